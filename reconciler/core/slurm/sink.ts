/**
 * The port to Slurm as a second scheduler of the same nodes. Slurm cannot refuse a stale call:
 * `drain` and `undrain` read the owner directly before they write and directly after, and undo a
 * write over another owner's reason, so a race of milliseconds remains (docs/reference/slurm.md).
 */
import type { DrainSight } from "../fleet.ts";
import type { Fence } from "../provider.ts";
import type { SlurmJob, SlurmNode } from "./object.ts";
import type { SlurmAnswer } from "./client.ts";
import type { PodSight } from "./pod-scale.ts";
import type { PowerMark } from "./power-save.ts";
import type { SlurmOwner } from "../../../schema/slurm.ts";

/** `owner`: who holds the node out of service after the call; a foreign drain is left as it is. */
export type SlurmMark =
  | { kind: "ok"; owner: SlurmOwner; bootTime: number | null }
  | { kind: "refused"; message: string }
  /** Its turn did not come and nothing was asked of Slurm: no reason to wait before the next. */
  | { kind: "unsent"; message: string }
  | { kind: "ambiguous"; message: string };

/** `told`: which jobs were reached and which were not, for people. */
export type JobsTold =
  | { kind: "ok"; told: string }
  | { kind: "refused"; message: string }
  | { kind: "ambiguous"; message: string };

export type Undrain = { liftsDown?: boolean | undefined; lifts?: string | undefined };

export type SlurmSink = {
  readonly name: string;
  /** Drains with `reason` (`core/slurm/reason.ts`) unless another owner holds it. Idempotent. */
  drain(nodeName: string, reason: string, fence: Fence): Promise<SlurmMark>;
  /**
   * Undrains if the reason is the product's; DOWN stays unless `liftsDown`. Idempotent. Slurm sets
   * DOWN and keeps the reason when a drained machine reboots or is replaced. `lifts`: also this
   * very reason, which slurmctld itself wrote of the machine before.
   */
  undrain(nodeName: string, fence: Fence, options?: Undrain): Promise<SlurmMark>;
  /**
   * Requeues (`signal` null) or signals those of the jobs that still run on the node, while the
   * product's own drain is set there. A job that was requeued runs elsewhere, so a repetition does
   * not reach it; a signal may arrive twice.
   */
  endJobs(
    nodeName: string,
    jobs: readonly string[],
    signal: string | null,
    fence: Fence,
  ): Promise<JobsTold>;
  /**
   * The last complete list; `version` grows when it changes. Rows are never older than the answer
   * to a drain or release of their node.
   */
  nodes(): { version: number; known: boolean; list: readonly SlurmNode[] };
  /** Why the controller's word cannot be had now; `null` while it is fresh. */
  dark(): string | null;
  /** Work left, by node state and queue; jobs in their epilog count. */
  left(nodeName: string): DrainSight;
  /** Jobs on the node as last seen, for people. */
  jobsOn(nodeName: string): readonly SlurmJob[];
  /** Pending and running jobs as last seen, and when (wall); `null` = unknown. */
  queue(): { jobs: readonly SlurmJob[]; observedAt: number } | null;
  /** Nodes whose drain or release is awaited: listed more often than at rest. */
  attend(nodeNames: ReadonlySet<string>): void;
  /** What power saving is to show, which replaces what was asked before; compared, then written. */
  power(marks: readonly PowerMark[]): void;
  /** Nodes that are pods of a StatefulSet. */
  readonly pods: PodNodes;
  start(wakeUp: () => void): void;
  stop(): void;
  status(): SlurmStatus;
  /** Asks whether nodes may be changed; changes nothing. */
  rights(): Promise<SlurmRights>;
};

/** Drains for fewer pods, which are not those of repairs. `may` is asked before each write. */
export type PodNodes = {
  /** Asked now: nodes, and then jobs. `of`: whose state must not be an old one. */
  look(of: (name: string) => boolean): Promise<SlurmAnswer<PodSight>>;
  /** Leaves nodes that others hold as they are. Idempotent, as the release. */
  drain(names: readonly string[], reason: string, may: () => boolean): Promise<SlurmAnswer<null>>;
  release(names: readonly string[], may: () => boolean): Promise<SlurmAnswer<null>>;
  /** Nodes whose jobs are awaited, in place of those of the call before. */
  attend(names: ReadonlySet<string>): void;
};

/** `allowed` `null` = not known, with the answer. */
export type SlurmRights = { allowed: boolean | null; message: string | null };

/** For people. */
export type SlurmStatus = {
  /** Transport, address and version, as in `scontrol, Slurm 22.05.8`. */
  server: string;
  nodes: number;
  /** Age of the last list in milliseconds; `null` = none yet. */
  ageMs: number | null;
  dark: string | null;
};
