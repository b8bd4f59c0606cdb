/** What people, schedulers and the configuration hold against acting on a node. */
import type { SlurmAct } from "../../../schema/slurm.ts";
import { type CodeOf, iso, sayFrom } from "./code.ts";
import { type Loss, sayLoss } from "./loss.ts";

/** The annotation, or the label, of a Node. */
const HOLD = "navarch.dev/hold";

/** Why nothing may be done to a node that its Node, or several Nodes, speak for. */
const KEPT = {
  /** `unclear`: a value that is neither yes nor no, or KEY=VALUE of a misspelt key. */
  node_held: ({ node, unclear }: { node: string; unclear: string | null }): string => {
    if (unclear === null) return `${HOLD} is set on Node ${node}`;
    if (unclear.startsWith("navarch.dev/")) {
      return `${unclear} on Node ${node} is taken for ${HOLD}, so the Node is held`;
    }
    const value = JSON.stringify(unclear);
    return `${HOLD}=${value} on Node ${node} is neither yes nor no, so the Node is held`;
  },
  /** `said`: which Nodes or NodeNames claim it. */
  ambiguous: ({ said }: { said: string }): string => said,
};
export type Kept = CodeOf<typeof KEPT>;
export const sayKept = (kept: Kept): string => sayFrom(KEPT, kept);

/** As in `drained in Slurm by alice (new fans)`. */
const ACT: { [K in SlurmAct["kind"]]: (by: string | null, why: string | null) => string } = {
  drain: (by, why) => `drained in Slurm ${whose(by, why)}`,
  down: (by, why) => `down in Slurm ${whose(by, why)}`,
  reboot: (by, why) =>
    `being rebooted with scontrol reboot${why === null && by === null ? "" : ` ${whose(by, why)}`}`,
  reservation: (_, why) =>
    why === null ? "in a MAINT reservation" : `in the MAINT reservation ${why}`,
};

const whose = (by: string | null, why: string | null): string =>
  `${by === null ? "by others" : `by ${by}`} (${why ?? "without a reason"})`;

export const sayActs = (acts: readonly SlurmAct[]): string =>
  acts.map(({ kind, by, why }) => ACT[kind](by, why)).join(", and ");

type Order = { order: "drain" | "replace"; node: string };
type Reopened = { name: string; node: string };

const reopened = ({ name }: Reopened): string =>
  `${name} was put back into service in Slurm after it was drained`;
const endsAllTheSame = ({ node }: Reopened): string =>
  `\`navarch terminate ${node} --force\` ends it all the same`;

/** Why a call that ends or empties a node waits for what others do in a scheduler. */
const HELD = {
  ...KEPT,
  /** `order`: what overrules them. */
  held_in_slurm: (p: { name: string; acts: readonly SlurmAct[] } & Order): string =>
    `${p.name} is ${sayActs(p.acts)}: it waits until they end that, or for ` +
    `\`navarch ${p.order} ${p.node}\``,
  reopened: (p: Reopened): string => `${reopened(p)}: ${endsAllTheSame(p)}`,
  /** `work`: what runs there; `null` = not known yet. */
  redrained: (p: Reopened & { work: string | null }): string => {
    const work = p.work ?? "its jobs are not known yet";
    return `${reopened(p)}, and is drained again (${work}): ${endsAllTheSame(p)}`;
  },
};
export type Held = CodeOf<typeof HELD>;
export const sayHeld = (held: Held): string => sayFrom(HELD, held);

/** Why the work on a node cannot be observed. `said`: what the scheduler's client reports. */
const DARK = {
  cluster_dark: ({ said }: { said: string }): string => said,
  slurm_ambiguous: ({ said }: { said: string }): string => said,
  slurm_dark: ({ said }: { said: string }): string => `stands still until Slurm answers: ${said}`,
  slurm_unlisted: ({ name }: { name: string }): string =>
    `Slurm no longer lists ${name}, so its jobs are unknown`,
  /** Of the work alone. */
  work_dark: ({ said }: { said: string }): string => said,
};
export type Dark = CodeOf<typeof DARK>;

/** Why a node that serves stays out of service in Slurm. */
const STAYS = {
  ...KEPT,
  mirror_off: "slurm.mirror.cordon is off",
  unanswered: ({ said }: { said: string }): string => said,
  lost: ({ loss }: { loss: Loss }): string => sayLoss(loss),
  unproven: "its health is not proven",
  unregistered: "its slurmd has not registered with a new BootTime since the machine changed",
  silent: "its slurmd does not respond",
  former: ({ minutes }: { minutes: number }): string =>
    `its slurmd may be the former machine's: seen for ${minutes} min first`,
  settling: ({ seconds }: { seconds: number }): string =>
    `its slurmd registered less than ${seconds} s ago`,
  power_saving: "it is in a state of power saving",
  epilog: "an epilog runs",
  refused: ({ said }: { said: string | null }): string => `Slurm refused the release: ${said}`,
};
export type Stays = CodeOf<typeof STAYS>;

/** What a person should know of a serving node's side in Slurm. */
const SLURM_NOTE = {
  slurm_ambiguous: DARK.slurm_ambiguous,
  /** `stale`: the reason of a state from before the present machine. */
  stays: (p: { name: string; isStale: boolean; reason: string | null; why: Stays }): string => {
    const how = p.isStale ? `out of service (${p.reason})` : "drained";
    return `${p.name} stays ${how} in Slurm: ${sayFrom(STAYS, p.why)}`;
  },
  slurm_foreign: (p: { byItself: boolean; reason: string | null }): string => {
    const why = `(${p.reason ?? "without a reason"})`;
    if (p.byItself) return `taken out of service by Slurm itself ${why}`;
    return `out of service in Slurm by others ${why}`;
  },
};
export type SlurmNote = CodeOf<typeof SLURM_NOTE>;

/** Why the cluster places no work on a node, or not all that it could. */
const UNREADY = {
  ...KEPT,
  not_in_cluster: "its Node is not in the cluster",
  not_ready: (p: { node: string; shows: string }): string =>
    `Ready of Node ${p.node} is ${p.shows}`,
  lacks_gpus: (p: { node: string; offers: number | null; counted: number }): string => {
    const offers = p.offers === null ? "does not offer" : `offers ${p.offers} of`;
    return `Node ${p.node} ${offers} its ${p.counted} GPUs`;
  },
};
export type Unready = CodeOf<typeof UNREADY>;
export const sayUnready = (unready: Unready): string => sayFrom(UNREADY, unready);

/** Why a cluster's word about its Nodes is no reason to repair this one. */
const DOUBT = {
  no_cluster: "no cluster is attached now that could say whether its Node is Ready",
  left_cordoned: (p: { node: string }): string => `Node ${p.node} was cordoned when it was removed`,
  cordoned: (p: { by: string; why: string }): string => `cordoned by ${p.by}: ${p.why}`,
  /** `who`: as in `karpenter may delete it (taint …)`. */
  deleter: (p: { node: string; who: string }): string => `Node ${p.node}: ${p.who}`,
  others_cordoned: (p: { node: string; by: readonly string[] }): string =>
    `Node ${p.node} is cordoned by ${p.by.join(", ")}`,
  /** `scope` `null`: the fleet. */
  crowd: (p: { out: number; all: number; scope: string | null }): string =>
    `${p.out} of ${p.all} Nodes of ${p.scope ?? "the fleet"} are NotReady or missing at once: ` +
    "the cluster is suspected and not the machines",
};
export type Doubt = CodeOf<typeof DOUBT>;
export const sayDoubt = (doubt: Doubt): string => sayFrom(DOUBT, doubt);

/** A Node that is missing or not Ready; `shows`: its Ready condition, `null` = it is missing. */
type OutOfCluster = { name: string; since: number; shows: string | null };

export function sayOut({ name, since, shows }: OutOfCluster): string {
  const what =
    shows === null ? "is missing in Kubernetes" : `is not Ready in Kubernetes (${shows})`;
  return `Node ${name} ${what} since ${iso(since)}`;
}

/** The same, with what a person can do. `node`: to be replaced; `null` = it cannot be. */
export function sayOutNext(out: OutOfCluster, node: string | null): string {
  const kubelet =
    out.shows === null
      ? "restart its kubelet, which registers the Node again"
      : "look at its kubelet and network";
  const order = node === null ? "" : `, or run \`navarch replace ${node}\``;
  return `${sayOut(out)}, so no pod can be placed there: ${kubelet}${order}`;
}

/** Tables of families that the waits of a plan contain. */
export const HOLDS = { ...HELD, ...DARK, ...SLURM_NOTE, ...UNREADY, ...DOUBT };
