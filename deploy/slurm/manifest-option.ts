/** What a set of manifests of a Slurm cluster can be asked for, with its defaults. Pure. */
import type { SlurmRelease } from "./version.ts";

export const HOST_PORTS = ["control", "all", "none"] as const;
export type HostPorts = (typeof HOST_PORTS)[number];

export type SlurmManifestOptions = {
  /** A DNS label. */
  namespace: string;
  /** Image of the three Slurm roles, with its tag. */
  image: string;
  /** Of both claims; empty = the cluster's default class. */
  storageClass: string;
  /** Compute nodes, `slurm-compute-0` and on. */
  nodes: number;
  /** Limits of a compute pod, which its NodeName never exceeds. */
  cpus: number;
  memoryMiB: number;
  /** GPUs of a compute pod, all of its machine; `null` = none. */
  gpus: { model: string; count: number } | null;
  /** Slurm's release in the image. */
  version: SlurmRelease;
  /** Processes are tracked by cgroup, which needs a privileged compute pod. */
  hasCgroup: boolean;
  /** Ports of the pods' machines: `control` = 6817 and 6819, `all` = 6818 too. */
  hostPorts: HostPorts;
};

export const SLURM_DEFAULTS: SlurmManifestOptions = {
  namespace: "slurm",
  image: "slurm-base:latest",
  storageClass: "standard",
  nodes: 3,
  cpus: 1,
  memoryMiB: 2048,
  gpus: null,
  version: "22.05",
  hasCgroup: false,
  hostPorts: "control",
};

/** Of a pod's memory, for slurmd, munged and job steps' own processes. */
const OVERHEAD_MIB = 256;

/** What slurm.conf says of a compute node. */
export const realMemoryMiB = ({ memoryMiB }: SlurmManifestOptions): number =>
  memoryMiB - OVERHEAD_MIB;

export const NODES_MAX = 1_000;
export const GPUS_MAX = 16;
export const MEMORY_MIB_MIN = 512;

export const podName = (index: number): string => `slurm-compute-${index}`;

/** Keys of the Secret that the committed template leaves out. */
export const DB_SECRET = "slurm-db-credentials";
export const DB_KEYS = ["root-password", "password"] as const;

/** Lists the keys that a Secret gets later; `navarch slurm refs` takes them as there. */
export const KEYS_ANNOTATION = "navarch.dev/keys";

/** Prefers the machine whose ports a kind cluster maps; see `kind-config.yaml`. */
export const HOST_PORT_LABEL = "navarch.dev/slurm-ports";
