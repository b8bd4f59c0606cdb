/**
 * What is read of the machine around the GPUs, as plain data. A part that could not be read is
 * `null`: it says nothing, neither that all is well nor that anything is wrong.
 */

/** One port of an InfiniBand or RoCE adapter, as `/sys/class/infiniband` shows it. */
export type NetworkPort = {
  /** `mlx5_0/1`: device and port. */
  name: string;
  /** `InfiniBand` or `Ethernet` (RoCE). */
  layer: string | null;
  /** `ACTIVE`, `DOWN`, `INIT`, `ARMED`. */
  state: string | null;
  /** `LinkUp`, `Disabled`, `Polling`, … */
  physical: string | null;
  gigabits: number | null;
  /** Times the link went down since the driver was loaded. */
  linkDowned: number | null;
};

/** One local file system, where it is mounted first. */
export type FileSystem = {
  path: string;
  device: string;
  type: string;
  readOnly: boolean;
  /** Shares of 1; `null` where the file system was not asked or does not count. */
  usedRatio: number | null;
  inodesUsedRatio: number | null;
  freeBytes: number | null;
};

/** A record that the firmware kept of a kernel that panicked. */
export type Panic = { name: string; atMs: number };

export type HostReading = {
  ports: readonly NetworkPort[] | null;
  fileSystems: readonly FileSystem[] | null;
  panics: readonly Panic[] | null;
  /** True if the module that lets adapters reach GPU memory is loaded. */
  peermem: boolean | null;
  /** Parts that were not read in time: a driver or a disk holds them up. */
  late: readonly string[];
};

export const NOTHING_READ: HostReading = {
  ports: null,
  fileSystems: null,
  panics: null,
  peermem: null,
  late: [],
};
