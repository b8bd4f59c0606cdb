/** One reading of the machine around the GPUs; `null` is a part that could not be read. */

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

/** One local file system. */
export type FileSystem = {
  path: string;
  device: string;
  type: string;
  readOnly: boolean;
  /** Shares of 1; `null` if not read or not applicable. */
  usedRatio: number | null;
  inodesUsedRatio: number | null;
  freeBytes: number | null;
};

/** A record of a kernel panic. */
export type Panic = { name: string; atMs: number };

export type HostReading = {
  ports: readonly NetworkPort[] | null;
  fileSystems: readonly FileSystem[] | null;
  panics: readonly Panic[] | null;
  /** True if `nvidia_peermem` is loaded. */
  peermem: boolean | null;
  /** Parts that were not read in time. */
  late: readonly string[];
};

export const NOTHING_READ: HostReading = {
  ports: null,
  fileSystems: null,
  panics: null,
  peermem: null,
  late: [],
};
