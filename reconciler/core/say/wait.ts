/** Why nothing is done now: the waits and vetoes of a plan. */
import {
  type Attempt,
  type Cause,
  type Returned,
  sayAttempt,
  sayCause,
  sayCauses,
  sayReturned,
} from "./cause.ts";
import { type CodeOf, iso, sayFrom } from "./code.ts";
import { type Doubt, type Held, HOLDS, sayDoubt, sayHeld, sayOutNext, sayUnready } from "./hold.ts";
import type { Kept, Unready } from "./hold.ts";
import { LIMITS, sayHindrance, type Hindrance } from "./limit.ts";
import { type Loss, sayLoss, sayStranded, sayUnreached, type Unreached } from "./loss.ts";
import { type CalledOff, type Resume, sayCalledOff, sayResume } from "./uncordon.ts";

/** `kind` `null`: the operation's row cannot be read. */
type Open = { id: string; kind: string | null };
const open = ({ id, kind }: Open): string => (kind === null ? id : `${kind} is in progress`);

/** Waits for an answer, a call or a limit of the fleet. */
const CALL = {
  operation: (p: Open & { said: string | null }): string =>
    `${open(p)}${p.said === null || p.said === "" ? "" : `: ${p.said}`}`,
  operation_stranded: (p: Open & { why: Unreached }): string =>
    `${open(p)}: ${sayUnreached(p.why)}`,
  operation_held: (p: Open & { why: Held }): string =>
    `${open(p)}, and is not repeated: ${sayHeld(p.why)}`,
  effect_refused: "the last effect on it was refused",
  kube_refuses: (p: { what: string; said: string }): string =>
    `Kubernetes does not ${p.what} it: ${p.said}`,
  blind: (p: { why: readonly string[] }): string => p.why.join("; "),
  frozen: (p: { why: string }): string => `the fleet is frozen: ${p.why}`,
  pool_held: (p: { pool: string; by: string; why: string }): string =>
    `pool ${p.pool} is held by ${p.by}: ${p.why}`,
  stranded: (p: { why: Unreached }): string =>
    `${sayUnreached(p.why)}: held, because it could not be ended`,
  stranded_nodes: (p: { why: Unreached; nodes: number }): string => sayStranded(p.why, p.nodes),
  held: (p: { by: string; why: string }): string => `held by ${p.by}: ${p.why}`,
  worker: (p: { pool: string }): string => `its AgentPool ${p.pool} replaces it`,
};

type Instance = { id: string; state: string };

/** Waits of a node that comes into service. */
const ARRIVAL = {
  /** `said`: the last refusal; `null` = none is stored. */
  purchase_rests: (p: { said: string | null }): string => p.said ?? "waits",
  slot_occupied: (p: { slot: number }): string => `slot ${p.slot} still has a live instance`,
  late_boot: (p: Instance & { minutes: number }): string =>
    `instance ${p.id} is ${p.state} for ${p.minutes} min`,
  agent_silent: (p: Instance): string => `instance ${p.id} is ${p.state}, its agent is silent`,
  no_address_yet: (p: Instance): string => `instance ${p.id} is ${p.state}, no address yet`,
  set_up: (p: Attempt & { said: string | null }): string =>
    `set-up, attempt ${sayAttempt(p)}: ${p.said ?? "running"}`,
  set_up_waits: (p: { why: Hindrance }): string => `its set-up waits: ${sayHindrance(p.why)}`,
  /** `fix`: the owned machine on which a person repairs it. */
  set_up_rests: (p: Attempt & { said: string | null; fix: Host | null }): string => {
    const next = p.fix === null ? "" : `; fix it on ${p.fix.host} (${p.fix.address})`;
    return `attempt ${sayAttempt(p)} waits after: ${p.said ?? "?"}${next}`;
  },
  hardware_returned: (p: Returned): string =>
    `it has ${p.uuid}, ${sayReturned(p)}: repair it first`,
  first_check_open: (p: { verdict: string }): string =>
    `its first full check is open (health ${p.verdict})`,
  cluster_late: (p: { why: Cause }): string =>
    `${sayCause(p.why)}; it serves once that is fixed (kubernetes.ready)`,
  owned_silent: (p: { why: Cause } & Host): string =>
    `${sayCause(p.why)}: see \`journalctl -u navarch-node\` on ${p.host} (${p.address})`,
  adopted_silent: (p: { why: Cause }): string =>
    `${sayCause(p.why)}: it was found in the cloud's list and may be at work; ` +
    "it stays until a person ends it",
};

type Host = { host: string; address: string | null | undefined };
type Out = { name: string; since: number; shows: string | null };

const silentSince = (since: number): string => `silent since ${iso(since)}`;
const next = (isUnbought: boolean): string =>
  isUnbought ? "uncordon it" : "uncordon it, or order its replacement";
const NO_AUTO_REPLACE = "auto_replace is off for pool";

/** Waits of a node with evidence against it. */
const REPAIR = {
  threshold: (p: { run: number; of: number; causes: readonly Cause[] }): string =>
    `${p.run} of ${p.of} consecutive unhealthy evaluations: ${sayCauses(p.causes)}`,
  doubted: (p: { loss: Loss }): string =>
    `${sayLoss(p.loss)}, but its agent reports: the cloud is not trusted`,
  host_silent: (p: { since: number } & Host): string =>
    `${silentSince(p.since)}: is ${p.host} (${p.address}) on, and does navarch-node run there?`,
  instance_runs: (p: { since: number }): string =>
    `${silentSince(p.since)}, but the cloud shows its instance running`,
  unbought_silent: (p: { since: number; node: string }): string => {
    const way = `restart its agent, or run \`navarch forget ${p.node}\` once the machine is gone`;
    return `${silentSince(p.since)}, and this fleet did not buy it, so no cloud can be asked: ${way}`;
  },
  suppressed: (p: { by: string; why: string; causes: readonly Cause[] }): string =>
    `returned to service by ${p.by} (${p.why}) despite: ${sayCauses(p.causes)}`,
  called_off: (p: { off: CalledOff; causes: readonly Cause[]; resume: Resume }): string =>
    `${sayCalledOff(p.off)}, despite: ${sayCauses(p.causes)}. ${sayResume(p.resume)}`,
  /** `node`: to be replaced; `null` = it cannot be. */
  node_out: (p: Out & { node: string | null }): string => sayOutNext(p, p.node),
  node_out_doubted: (p: Out & { node: string | null; doubt: Doubt }): string =>
    `${sayOutNext(p, p.node)}; it is not repaired: ${sayDoubt(p.doubt)}`,
  node_out_awaited: (p: Out & { node: string | null }): string =>
    `${sayOutNext(p, p.node)}; it is repaired unless that ends`,
  lack: (p: { why: Unready }): string =>
    `${sayUnready(p.why)}, so no pod finds the others: look at its device plugin`,
  cordoned_in_kubernetes: (p: { by: readonly string[] }): string =>
    `cordoned in Kubernetes by ${p.by.join(", ")}`,
  cordoned_repair: (p: { by: string; why: string; isUnbought: boolean }): string =>
    `cordoned by ${p.by} (${p.why}): ${next(p.isUnbought)}`,
  cordoned_drain: (p: { by: string }): string => `cordoned by ${p.by}: ${next(false)}`,
  pool_unconfigured: (p: { pool: string | null }): string =>
    `its pool ${p.pool} is not in the configuration any more: ` +
    "it is billed until a person terminates it",
  /** `pool`: as its agent names it. */
  no_pool: (p: { pool: string | null; node: string }): string => {
    const why = p.pool === null ? "its agent names no pool" : `pool ${p.pool} is not configured`;
    return `${why}: drain it and repair it by hand (navarch drain ${p.node})`;
  },
  no_instance: "no instance of this fleet: a person has to repair it",
  no_auto_replace: (p: { pool: string }): string => `${NO_AUTO_REPLACE} ${p.pool}`,
  ladder_ends: (p: { pool: string; skipped: readonly Cause[] }): string =>
    `the ladder of pool ${p.pool} ends without replacement (${sayCauses(p.skipped)})`,
  relapse: (p: { lives: number }): string =>
    `${p.lives} machines in a row failed in this slot soon after they were bought: ` +
    "another one may not help, so it is bought later (replace it by hand to have it now)",
  reboot_rests: "the last reboot did not cure it; the next one waits",
  rebooting: "it is rebooting",
  rebooted: "rebooted; its first full check is open",
  rebooted_not_ready: "rebooted; its Node is not Ready yet",
  recovered: "recovered; waits for one full check to confirm it",
  no_slot: "no slot to fill",
  slot_has: (p: { slot: number; node: string; phase: string }): string =>
    `slot ${p.slot} still has ${p.node}, which is ${p.phase}`,
  replacement_failed: (p: { node: string }): string =>
    `its replacement ${p.node} did not come up and is being ended`,
  replacement_ends: (p: { node: string }): string => `its replacement ${p.node} is being ended`,
  replacement_comes: (p: { node: string; phase: string; verdict: string }): string =>
    `${p.node} is ${p.phase}; this node is ${p.verdict}`,
};

/** What its end at the deadline does to jobs in Slurm. `signal` `null`: they are requeued. */
type JobsEnd = { signal: string | null; graceSeconds: number };

const QUIET = "interactive ones and those of --no-requeue run on";
const REQUEUE = `Slurm is asked to requeue them, those of several nodes on all of them (${QUIET})`;

/** Waits of a node that leaves. `work`: what runs there. */
const LEAVING = {
  list_is_old: "waits for a process list that is newer than its cordon",
  work: (p: { work: string }): string => p.work,
  work_kept: (p: { kept: Kept; work: string }): string => `${sayHeld(p.kept)}; ${p.work}`,
  /** `isCut`: what runs at the end is cut off; else a person decides. `end` `null`: none is due. */
  jobs: (p: { work: string; isTold: boolean; isCut: boolean; end: JobsEnd | null }): string => {
    const last = p.isCut ? "what still runs is cut off" : "the node is held for a person";
    if (p.isTold) return `${p.work}; they were told; when their grace ends, ${last}`;
    if (p.end === null) return `${p.work}; at its deadline ${last}`;
    const order = p.end.signal === null ? REQUEUE : `they get SIG${p.end.signal}`;
    return `${p.work}; at its deadline ${order}, ${p.end.graceSeconds} s later ${last}`;
  },
  work_seen: "work was seen on it, and whether it has ended is unknown",
  work_unknown: "the work on it is unknown",
  drained_as_ordered: "drained as ordered: uncordon it, terminate it or replace it",
  drained_unbought: (p: { node: string; isRepair: boolean }): string => {
    const way = p.isRepair ? "repair it: it comes back by itself" : "uncordon it";
    const gone = `\`navarch forget ${p.node}\` once the machine is gone`;
    return `drained, and this fleet did not buy it: ${way}, or ${gone}`;
  },
  still_billed: (p: Instance): string => `instance ${p.id} is ${p.state}, still billed`,
  end_refused: (p: EndRefused): string => sayEndRefused(p),
  /** Of a row that has no more. */
  end_was_refused: "the last request to terminate it was refused",
  end_unavailable: (p: { provider: string; said: string; id: string }): string =>
    `${p.provider}: ${p.said}; ${p.id} is billed`,
};

export type EndRefused = { provider: string; id: string; node: string; said: string };

/** Of a machine that the cloud refuses to end. */
export function sayEndRefused({ provider, id, node, said }: EndRefused): string {
  return (
    `${provider} refuses to end instance ${id} of node ${node}, which is billed ` +
    `and keeps its slot: ${said}; lift what protects it at the cloud, or end it there`
  );
}

/** Why a machine that the cloud shows as lost, or that is given up, is not ended. */
const LOST = {
  lost_cordoned: (p: { why: Cause; by: string }): string =>
    `${sayCause(p.why)}, but ${p.by} has cordoned it`,
  lost_kept: (p: { why: Cause; pool: string }): string =>
    `${sayCause(p.why)}, and ${NO_AUTO_REPLACE} ${p.pool}`,
};

const WAIT = {
  ...HOLDS,
  ...LIMITS,
  ...CALL,
  ...ARRIVAL,
  ...REPAIR,
  ...LEAVING,
  ...LOST,
};

/** `but`: what the veto stands in the way of. */
export type WaitCause = CodeOf<typeof WAIT> | { code: "but"; why: Cause; veto: WaitCause };

export function sayWait(why: WaitCause): string {
  if (why.code === "but") return `${sayCause(why.why)}, but ${sayWait(why.veto)}`;
  return sayFrom(WAIT, why);
}
