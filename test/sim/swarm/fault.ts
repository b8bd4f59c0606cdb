/**
 * Faults of a simulated fleet, as data. A story is its seed and its list of faults. Each fault
 * carries every choice it needs, so that removing one leaves the rest of the story unchanged. Its
 * target is a number that is resolved when the fault happens.
 */
import type { Faults } from "../../../reconciler/provider/fake/fault.ts";
import type { KubeFault } from "../../../simulator/cluster/fault.ts";
import type { SlurmFault } from "../../world/slurm/fake.ts";
import type { SlurmAct } from "./sinks.ts";

export type Fault = {
  /** Milliseconds after the fleet was up. */
  at: number;
  what: What;
};

export type What =
  /** An XID in the kernel log of one node. */
  | { kind: "xid"; who: number; code: number }
  /** Many at once: a rack, a driver, a rule. */
  | { kind: "storm"; who: number; count: number; code: number; overMs: number }
  /** One agent is silent for a while. */
  | { kind: "silence"; who: number; forMs: number }
  /** A share of the fleet is cut off. */
  | { kind: "cut"; share: number; forMs: number }
  /** The cloud misbehaves for a while. */
  | { kind: "cloud"; name: string; forMs: number; faults: Faults }
  /** Somebody deletes an instance in the cloud's own console. */
  | { kind: "console-delete"; who: number }
  /** Somebody puts an instance there: with our mark, a copied one, another's, or none. */
  | { kind: "plant"; mark: "own" | "copied" | "foreign" | "none"; who: number }
  /** The next machine that the cloud gives is the one that was just given back, fault and all. */
  | { kind: "bad-machine"; code: number; afterMs: number }
  /** The process dies before or after its n-th next write or call (0: at once), and comes back. */
  | { kind: "crash"; calls: number; side: "before" | "after"; downMs: number }
  /** SIGSTOP, then SIGCONT. */
  | { kind: "pause"; forMs: number }
  /** The leader is stopped at a call of the sort, n calls from now, and goes on under another. */
  | { kind: "freeze"; calls: number; side: "before" | "after"; sort: CallSort; forMs: number }
  | { kind: "clock"; byMs: number }
  | { kind: "database-lost"; downMs: number }
  /** A backup is restored, or (`raw`) an old copy of the state folder is put in place by hand. */
  | { kind: "database-old"; agoMs: number; downMs: number; raw: boolean }
  /** The scheduler refuses, or loses its answers. */
  | { kind: "scheduler"; answers: ("refused" | "ambiguous")[] }
  /** A job for Slurm. */
  | { kind: "job"; lastsMs: number; nodeCount: number }
  /** slurmctld or the API server misbehaves for a while. */
  | { kind: "slurmctld"; name: string; forMs: number; fault: Partial<SlurmFault> }
  | { kind: "api-server"; name: string; forMs: number; fault: Partial<KubeFault> }
  /** A person changes a node in Slurm, and undoes it later. */
  | { kind: "scontrol"; act: SlurmAct; who: number; undoMs: number }
  | { kind: "human"; act: HumanAct; who: number; force: boolean; undoMs: number }
  | { kind: "scale"; pool: number; by: number }
  /** The configuration is edited, and the process reloads it or is restarted on it, in turns. */
  | { kind: "config" }
  /** The file's providers are edited, the process starts on it, and the edit is undone later. */
  | { kind: "provider"; edit: ProviderEdit; undoMs: number };

/**
 * `renamed`: the account under another name alone. `added`: under a second name. `reordered`: the
 * names in another order. `moved`: the name in another account, which shows nothing of ours.
 */
export type ProviderEdit = "renamed" | "added" | "reordered" | "moved";

/** `mark`: what changes a node or a job in a scheduler, or looks at it directly before. */
export type CallSort = "any" | "commit" | "mark";

export type HumanAct = "cordon" | "uncordon" | "drain" | "terminate" | "replace";

/** How a fault is counted in a summary: the cloud's by its own name. */
export function nameOf(what: What): string {
  if (what.kind === "cloud") return `cloud:${what.name}`;
  if (what.kind === "slurmctld" || what.kind === "api-server") return `${what.kind}:${what.name}`;
  if (what.kind === "scontrol") return `scontrol:${what.act}`;
  if (what.kind === "provider") return `provider:${what.edit}`;
  if (what.kind === "database-old") return what.raw ? "database-copied" : "database-restored";
  if (what.kind === "human") return `human:${what.act}`;
  return what.kind === "plant" ? `plant:${what.mark}` : what.kind;
}
