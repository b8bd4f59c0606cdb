/**
 * Orders to the observer: a process that is neither the product nor the generator, looks at the
 * cluster with a watch of its own, and asks the API server for something small again and again to
 * see how long it takes others.
 */
export type ObserverSettings = {
  url: string;
  authority: string;
  certificate: string;
  key: string;
  /** Where the writes go: a ConfigMap of this name in `default`. */
  name: string;
  /** Pause between two probes; each is one read and one write. 0 = none at all. */
  probeEveryMs: number;
  watch: "nodes" | "pods" | "none";
  /** Of pods: the label that says which disruption budget they count for. */
  groupLabel: string;
};

export type ObserverOrder =
  /** Ends a period of probing and begins the next. */
  | { do: "probes" }
  /** Nodes seen unschedulable: wall ms of the first sight, by name. */
  | { do: "nodes" }
  /** `brief` leaves the single pods out of the answer. */
  | { do: "pods"; brief: boolean };

export type Probes = { reads: number[]; writes: number[]; failed: number; lagMs: number[] };

export type NodesSeen = { unschedulable: Record<string, number> };

export type PodsSeen = {
  present: number;
  ended: number;
  /** Wall ms of the sight of each deletion's end, by UID. */
  gone: Record<string, number>;
  /** By group: the fewest pods at one time that were ready and not leaving. */
  fewest: Record<string, number>;
};
