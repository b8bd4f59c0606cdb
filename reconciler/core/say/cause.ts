/** Why an action is taken: the evidence, the order or the circumstance behind it. */
import type { Purpose } from "../../../schema/node.ts";
import { type CodeOf, iso, sayFrom } from "./code.ts";
import { sayOut, sayUnready, type Unready } from "./hold.ts";
import { LOSS } from "./loss.ts";

/** Why a repair step is passed over. */
const NO_USE = {
  no_reset: "agents of this version do not carry it out",
  no_commands: "its agent runs without --allow-commands",
  refused: ({ said }: { said: string }): string => `its agent did not reboot it: ${said}`,
  no_instance: "it has no instance",
  no_reboots: "the provider does not reboot machines",
  outlives: ({ because }: { because: string }): string => `${because} outlives a reboot`,
  tried: ({ times }: { times: number }): string =>
    `${times} reboot${times === 1 ? "" : "s"} did not cure it`,
  relapsed: "it was rebooted less than a day ago and is sick again",
};
export type NoUse = CodeOf<typeof NO_USE>;

/** What was seen of a machine that was set up and stays silent. */
export type Seen = { attempts: number; id: string; state: string; address: string | null } | null;

function saySeen(seen: Seen): string {
  if (seen === null) return "";
  return (
    ` of its set-up, which ended well (attempt ${seen.attempts}): nothing was heard of an ` +
    `agent, instance ${seen.id} is ${seen.state} at ${seen.address ?? "no address"}`
  );
}

/** `of` `null`: it is tried until it succeeds. */
export type Attempt = { attempt: number; of: number | null };

export const sayAttempt = ({ attempt, of }: Attempt): string =>
  of === null ? `${attempt}` : `${attempt} of ${of}`;

/** Hardware that failed before. */
export type Returned = { uuid: string; at: number; because: string };

export const sayReturned = ({ at, because }: Returned): string =>
  `replaced ${iso(at)} because of ${because}`;

/** `provider` `null`: the cloud, by whatever name. */
export type Announced = {
  provider: string | null;
  kind: string;
  atMs: number | null;
  said: string;
};

/** One line about an announced interruption. */
export function sayNotice({ provider, kind, atMs, said }: Announced): string {
  return `${provider ?? "the cloud"} announces ${kind}${atMs === null ? "" : ` for ${iso(atMs)}`}: ${said}`;
}

/** Why a node that is on its way is given up, or comes into service. */
const ARRIVAL = {
  pool_gone: "its pool is no longer configured and nothing was bought",
  smaller_unbought: (p: { pool: string }): string =>
    `pool ${p.pool} became smaller before anything was bought`,
  slot_retaken: (p: { slot: number; by: string }): string =>
    `slot ${p.slot} is ${p.by}'s again, and nothing was bought`,
  slot_empty: (p: { slot: number; pool: string; wanted: number }): string =>
    `slot ${p.slot} of pool ${p.pool} is empty (wanted ${p.wanted})`,
  pool_wants: (p: { pool: string; wanted: number }): string =>
    `pool ${p.pool} wants ${p.wanted} nodes`,
  place_of: (p: { node: string }): string => `takes the place of ${p.node}`,
  replacement_for: (p: { node: string }): string =>
    `replacement for ${p.node} before it is drained (surge)`,
  smaller: "its pool became smaller",
  undeliverable: (p: { class: string; said: string }): string =>
    `the cloud cannot deliver it (${p.class}): ${p.said}`,
  registered: "its agent registered",
  boots_long: (p: { seconds: number; seen: Seen }): string =>
    `the cloud still calls its instance booting after ${p.seconds} s${saySeen(p.seen)}`,
  no_agent: (p: { seconds: number; seen: Seen }): string =>
    `no agent registered within ${p.seconds} s${saySeen(p.seen)}`,
  no_address: (p: { seconds: number }): string => `no address within ${p.seconds} s`,
  set_up_begins: (p: { address: string }): string => `its set-up begins at ${p.address}`,
  set_up_failed: (p: { times: number; said: string | null }): string =>
    `its set-up failed${p.times === 1 ? "" : ` ${p.times} times`}: ${p.said ?? "?"}`,
  set_up: (p: Attempt & { address: string }): string => `attempt ${sayAttempt(p)} at ${p.address}`,
  returned: (p: Returned): string => `the cloud returned ${p.uuid}, ${sayReturned(p)}`,
  first_unhealthy: (p: { because: string }): string => `unhealthy at its first check: ${p.because}`,
  not_verified: (p: { seconds: number }): string => `not verified within ${p.seconds} s`,
  first_check: (p: { verdict: string }): string => `its first full check is ${p.verdict}`,
  cluster_late: (p: { unready: Unready; seconds: number }): string =>
    `${sayUnready(p.unready)}, ${p.seconds} s after its agent registered`,
};

/** What stands against a node in service, and what repairs it or ends the repair. */
const REPAIR = {
  /** `because`: the judgement of a rule. `more`: findings that follow from it. */
  evidence: (p: { because: string; more: number }): string =>
    `${p.because}${p.more > 0 ? ` (and ${p.more} that follow from it)` : ""}`,
  silent: "its heartbeats stopped",
  out_of_cluster: (p: { name: string; since: number; shows: string | null }): string =>
    `its ${sayOut(p)}`,
  out: "its Node is out of the cluster",
  skipped: (p: { rung: string; why: NoUse }): string =>
    `${p.rung} skipped: ${sayFrom(NO_USE, p.why)}`,
  agent_refused: (p: { rung: string; said: string }): string =>
    `its agent did not ${p.rung}: ${p.said}`,
  not_cured: (p: { verdict: string; rung: string }): string =>
    `still ${p.verdict} after its ${p.rung}`,
  rung_late: (p: { hasBooted: boolean; minutes: number; rung: string }): string =>
    `${p.hasBooted ? "no full check" : "no new boot"} within ${p.minutes} min of its ${p.rung}`,
  repair_by_hand: (p: { host: string; because: readonly string[]; node: string }): string => {
    const next = `after the repair: \`navarch uncordon ${p.node} --force --reason WHY\``;
    return `a person has to repair ${p.host} (${p.because.join("; ")}); ${next}`;
  },
  /** `said`: the record's faults in one line. */
  rma: (p: { said: string }): string => p.said,
  /** `why`: of the cordon that is lifted. */
  was: (p: { why: string }): string => `was: ${p.why}`,
  passed: "the reason to cordon it has passed",
  recovered: "recovered",
  cleared: "every held finding is cleared",
  cancelled: "recovered before the drain ended: the repair is cancelled",
  repaired: "its checks are clean again: it was repaired",
  replacement_failed: (p: { node: string }): string => `its replacement ${p.node} did not come up`,
  replacement_lost: (p: { slot: number }): string =>
    `slot ${p.slot} lost its replacement: another one comes first (surge)`,
  /** `isSuspect`: by now. */
  replaced: (p: { by: string; isSuspect: boolean }): string =>
    p.isSuspect
      ? `${p.by} was verified and takes its place, and is suspect itself since`
      : `${p.by} is verified and takes its place`,
};

/** Why a node leaves, and what ends its drain. `work`: what runs there; `null` = not known. */
const LEAVING = {
  /** A person's words. */
  ordered: (p: { why: string }): string => p.why,
  forced: (p: { why: string; by: string }): string => `${p.why} (forced by ${p.by})`,
  /** `isSuspended`: by Slurm's power saving. */
  scale_down: (p: { pool: string; wanted: number; isSuspended: boolean }): string => {
    const by = p.isSuspended ? "Slurm suspended it, " : "";
    return `scale down: ${by}pool ${p.pool} wants ${p.wanted} nodes`;
  },
  slot_unwanted: (p: { pool: string; wanted: number }): string =>
    `its slot is no longer wanted: pool ${p.pool} wants ${p.wanted} nodes`,
  surplus: "no slot needs this instance",
  notice: (p: { notice: Announced }): string => sayNotice(p.notice),
  cut_short: (p: { seconds: number }): string =>
    `work that needs longer than ${p.seconds} s is cut off`,
  empty: "no work is left on it",
  work: (p: { work: string }): string => p.work,
  work_came: (p: { work: string }): string => `work came after it was drained: ${p.work}`,
  work_unknown: (p: { seconds: number }): string =>
    `the work on it is unknown; waited ${p.seconds} s`,
  jobs_overdue: "its drain deadline passed with jobs in Slurm",
  overdue: "its drain deadline passed with work still on it",
  cut_off: (p: { work: string | null }): string =>
    `its drain deadline passed and its work is cut off: ${p.work ?? "the work on it is unknown"}`,
  drained: "drained",
  drained_for_reboot: "drained for its reboot",
  purpose: (p: { purpose: Purpose }): string => p.purpose,
  never_bought: "nothing was bought for it",
  released: (p: { host: string }): string => `host ${p.host} is released and runs on`,
  end_confirmed: (p: { id: string }): string => `the cloud confirms the end of instance ${p.id}`,
};

/** How the marks in a scheduler are brought in line. */
const MARKS = {
  unmarked: (p: { node: string }): string => `Node ${p.node} is not marked`,
  marked: (p: { node: string }): string => `Node ${p.node} is marked`,
  not_drained: (p: { name: string }): string => `${p.name} is not drained in Slurm`,
  no_cordon: "no cordon remains",
  /** What proves that a machine may return to service in Slurm. */
  boot_changed: "boot-changed",
  health_passed: "health-passed",
  released_by_person: "released-by-a-person",
};

const CAUSE = { ...LOSS, ...ARRIVAL, ...REPAIR, ...LEAVING, ...MARKS };
export type Cause = CodeOf<typeof CAUSE>;
export const sayCause = (cause: Cause): string => sayFrom(CAUSE, cause);

export const sayCauses = (causes: readonly Cause[]): string => causes.map(sayCause).join("; ");
