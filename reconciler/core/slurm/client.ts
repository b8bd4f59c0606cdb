/**
 * The port to a Slurm controller: bounded calls without interpretation of ownership. Adapters speak
 * `slurmrestd` or the command-line tools. Nothing here rejects.
 */
import type { SlurmJob, SlurmNode, SlurmReservation } from "./object.ts";

/** `failed` of a read: nothing is known. Of a write: whether it was done is unknown. */
export type SlurmAnswer<T> =
  | { kind: "ok"; value: T }
  /** The controller answered and did nothing. */
  | { kind: "refused"; message: string }
  | { kind: "failed"; message: string };

/** Which nodes change how; `reason` is needed for `drain` and `down`. */
export type SlurmNodeChange = {
  state?: "drain" | "undrain" | "down" | "resume" | "power_down" | "power_down_force" | "power_up";
  reason?: string;
  address?: string;
  hostname?: string;
};

export type SlurmClient = {
  /** As in `scontrol, Slurm 22.05.8`. */
  describe(): string;
  /** All nodes in one call, or those named. */
  nodes(names?: readonly string[]): Promise<SlurmAnswer<readonly SlurmNode[]>>;
  jobs(): Promise<SlurmAnswer<readonly SlurmJob[]>>;
  /** Those that are active, and later ones. */
  reservations(): Promise<SlurmAnswer<readonly SlurmReservation[]>>;
  update(names: readonly string[], change: SlurmNodeChange): Promise<SlurmAnswer<null>>;
  /** Removes dynamic nodes. */
  remove(names: readonly string[]): Promise<SlurmAnswer<null>>;
  requeue(job: string, hold: boolean): Promise<SlurmAnswer<null>>;
  /** To script and steps of each, as in `TERM`; `refused` where one of them did not get it. */
  signal(jobs: readonly string[], signal: string): Promise<SlurmAnswer<null>>;
};
