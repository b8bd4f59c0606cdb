/** What a Slurm cluster is rendered from: pools of nodes, and where its daemons run. */

export type SlurmGpus = {
  /** As in `gpu:h100:8`. */
  model: string;
  count: number;
  /** A hostlist of as many device files. */
  files: string;
};

export type SlurmHost = {
  /** NodeName. */
  name: string;
  address: string | null;
  /** Where it differs from the name. */
  hostname: string | null;
  /** How Navarch calls the machine: a node id, an owned host or an instance id. */
  instance: string | null;
};

export type SlurmPool = {
  name: string;
  partition: string;
  /** `cloud` nodes exist only while Slurm has powered them up. */
  state: "static" | "cloud";
  cpus: number;
  /** Sockets, cores of each and threads of each; their product is `cpus`. */
  topology: { sockets: number; cores: number; threads: number } | null;
  memoryMb: number;
  gpus: SlurmGpus | null;
  features: readonly string[];
  nodes: readonly SlurmHost[];
  /** Their names, as `n[0-7]`. */
  hostlist: string;
};

export type SlurmInventory = {
  cluster: string;
  controller: { host: string; address: string | null };
  /** Holds every node, unless pools name it as their own. */
  defaultPartition: string;
  /** `null`: no accounting. */
  accounting: { host: string; database: { host: string; name: string; user: string } } | null;
  /** The folder with `slurm-resume` and the others; `null`: neither power saving nor checks. */
  programs: string | null;
  /** Processes are tracked and confined by cgroups. */
  cgroup: boolean;
  mpi: string;
  /** A key file makes slurmctld accept tokens. */
  jwtKey: string | null;
  /** Static and dynamic nodes together. */
  maxNodes: number;
  suspendSeconds: number;
  resumeSeconds: number;
  pools: readonly SlurmPool[];
};
