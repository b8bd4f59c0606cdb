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

/** Answer of `GET /v1/slurm`. Lists of names are hostlists. */
export type SlurmClusterView = {
  /** False: `slurm.enabled` is off, or this replica stands by. */
  attached: boolean;
  /** Transport, address and version. */
  server: string | null;
  /** That Slurm lists; of them, those of a node here. */
  nodes: number;
  matched: number;
  /** Of the last complete list. */
  age_ms: number | null;
  /** Why Slurm cannot be asked now. */
  dark: string | null;
  alarms: string[];
  /** Nodes about whose NodeName nothing is done. */
  ambiguous: { node_id: string; why: string }[];
  /** Names of the configuration that Slurm does not list, by key. */
  unknown_names: { key: string; names: string }[];
  /** Partitions of the configuration in which Slurm shows no node, by key. */
  unknown_partitions: { key: string; partition: string }[];
  /** NodeNames that no node, pool or alias has. */
  unclaimed: string;
  refusals: { node_id: string; name: string; message: string }[];
  /** The StatefulSet of `slurm.pods`; `null` = none, or not looked at yet. */
  pods: SlurmPodsView | null;
};

export type SlurmPodsView = {
  stateful_set: string;
  namespace: string;
  min: number;
  max: number;
  /** `null` = not read yet. */
  replicas: number | null;
  /** Nodes with work, those for pending jobs, and the pods that both need. */
  busy: number | null;
  pending: number | null;
  needed: number | null;
  /** `held`: others hold a node that would have to go first. */
  state: "steady" | "step" | "wait" | "held" | "failed";
  why: string;
};

/** Answer of `GET /v1/slurm/rights`; `allowed` is `null` if it is not known. */
export type SlurmRightsView = { allowed: boolean | null; message: string | null };
