/** A node's side in Slurm in the answers of `GET /v1/nodes`. */

/**
 * Who holds a node out of service in a scheduler: `slurm` is slurmctld itself, as for a node that
 * does not respond; `unknown` while it cannot be asked.
 */
export type SinkOwner = "none" | "own" | "foreign" | "slurm" | "unknown";

/** `null` = the node is not in that scheduler. */
export type NodeSinksView = { kubernetes: SinkOwner | null; slurm: SinkOwner | null };

export type SlurmNodeView = {
  /** Its NodeName, and what tells that it is this node's. */
  name: string;
  matched_by: string;
  /** As in `IDLE+DRAIN`; `null` while it is unknown. */
  state: string | null;
  owner: SinkOwner;
  reason: string | null;
  reason_by: string | null;
  /** When Navarch's own drain was read back. */
  drained_at: string | null;
  boot_time: string | null;
  absent_since: string | null;
  /** Why the controller's word cannot be had now. */
  unknown: string | null;
  /** Why Slurm last refused a drain or release; `null` once it accepts one. */
  refusal: string | null;
  /** Running and completing, at most 20. */
  jobs: {
    id: string;
    state: string;
    user: string | null;
    name: string | null;
    gpus: number;
  }[];
};
