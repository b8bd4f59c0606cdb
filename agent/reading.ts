/**
 * What is read from NVML in one go, as plain data: it crosses the process boundary between the
 * probe child and the agent as JSON, so there are no handles and no BigInt here. A value that the
 * driver did not give is `null`; why it did not is in `unread`, because "not supported" must never
 * look healthy. Return codes are `nvmlReturn_t` (docs/reference/nvml.md#return-codes).
 */

/** Readings that change all the time. Units in the names. */
export type NvmlGpuSample = {
  index: number;
  uuid: string;
  /**
   * Worst return code that speaks about the GPU itself (15, 16, 8, 11, 14, 999, in this order),
   * else 0.
   */
  rc: number;
  /** What opening it answered; 0 while it is open. Anything else: nothing could be read of it. */
  openCode: number;
  temperatureCelsius: number | null;
  memoryTemperatureCelsius: number | null;
  powerWatts: number | null;
  utilizationPercent: number | null;
  memoryUsedBytes: number | null;
  memoryTotalBytes: number | null;
  smClockMhz: number | null;
  memoryClockMhz: number | null;
  throttleReasons: number | null;
  /** NVML field 230; `null` before R570. */
  recoveryAction: number | null;
  processes: number | null;
};

export type NvmlSample = { gpus: NvmlGpuSample[] };

/** One NVLink: 0 inactive, 1 active, 2 sleep, `null` unreadable; counters since driver load. */
export type NvmlLink = {
  link: number;
  state: number | null;
  replay: number | null;
  recovery: number | null;
  crc: number | null;
};

/** `nvmlGpuFabricState_t` and an `nvmlReturn_t`; health where the library is new enough. */
export type NvmlFabric = {
  state: number;
  status: number;
  healthMask: number | null;
  healthSummary: number | null;
};

/** Everything the probes judge about one GPU. Extends the sample, so one check is also a sample. */
export type NvmlGpuCheck = NvmlGpuSample & {
  name: string;
  serial: string | null;
  /** `00000000:18:00.0` as NVML prints it. */
  pciBusId: string;
  architecture: number | null;
  migEnabled: boolean | null;
  /** °C; `null` when the device does not tell (then 85/95 are used). */
  slowdownCelsius: number | null;
  shutdownCelsius: number | null;
  memoryMaxCelsius: number | null;
  powerLimitWatts: number | null;
  eccEnabled: boolean | null;
  eccPending: boolean | null;
  eccCorrectedVolatile: number | null;
  eccUncorrectedVolatile: number | null;
  eccCorrectedAggregate: number | null;
  eccUncorrectedAggregate: number | null;
  sramThresholdExceeded: boolean | null;
  remappedCorrectable: number | null;
  remappedUncorrectable: number | null;
  remapPending: boolean | null;
  remapFailure: boolean | null;
  retiredPending: boolean | null;
  retiredSbe: number | null;
  retiredDbe: number | null;
  /** Banks by spare rows left. */
  remapHistogram: { max: number; high: number; partial: number; low: number; none: number } | null;
  pcieGeneration: number | null;
  pcieGenerationMax: number | null;
  pcieWidth: number | null;
  pcieWidthMax: number | null;
  pcieReplay: number | null;
  /** One entry per link present; `null` where the device has none to tell of. */
  nvlinks: NvmlLink[] | null;
  /** `null` where the library does not tell; most models have none. */
  fabric: NvmlFabric | null;
  persistence: boolean | null;
  /** Call name → return code, for everything that gave neither a value nor a GPU fault. */
  unread: Record<string, number>;
};

export type NvmlCheck = {
  driverVersion: string | null;
  nvmlVersion: string | null;
  cudaVersion: string | null;
  /** Count as NVML tells it, GPUs without permission included. */
  count: number;
  excluded: number;
  /** Their addresses; absent if this library does not tell. */
  excludedPci?: string[];
  /** GPUs within `count` that this process has no permission for; they are not in `gpus`. */
  denied?: number;
  gpus: NvmlGpuCheck[];
  /** True if the driver was loaded with NVLink switched off; absent if it was not. */
  linksOff?: true;
  /** Symbols that this driver's library lacks. */
  missing: string[];
};

/** From `nvmlEventSetWait_v2`. */
export type NvmlEvent = {
  /** Wall clock of the child when the call returned. */
  atMs: number;
  uuid: string | null;
  /** Event type bit: 0x8 XID, 0x4000 GPU unavailable, 0x8000 recovery action, …. */
  type: number;
  /** XID number for type 0x8. */
  data: number;
  gpuInstance: number | null;
  computeInstance: number | null;
};

/** Why nothing could be read. `code` is the NVML return code where there is one. */
export type NvmlFailure =
  /** No library on the search path, or it cannot be loaded. */
  | { reason: "library"; code: number | null; message: string }
  /** The kernel driver is not loaded or finds no GPU (9, 12, 28). */
  | { reason: "driver"; code: number; message: string }
  /** User library and kernel module differ (18). */
  | { reason: "version"; code: number; message: string }
  /** The operating system or a container blocks access (17, or 4 on every GPU). */
  | { reason: "permission"; code: number; message: string }
  /** Released by the agent for work that needs the GPU exclusively (`release.ts`). */
  | { reason: "lent"; code: number; message: string }
  | { reason: "other"; code: number; message: string };

export type NvmlAnswer<T> =
  | { kind: "ok"; value: T; durationMs: number }
  | { kind: "failed"; failure: NvmlFailure; durationMs: number }
  /**
   * The call did not return by its deadline; the child was abandoned. `evidence` = wchan and state
   * of its threads.
   */
  | { kind: "unresponsive"; evidence: string; abandoned: number }
  /** The child died on a signal in native code. */
  | { kind: "crashed"; signal: string; abandoned: number }
  /** Too many abandoned children: nothing more is started until one is reaped. */
  | { kind: "stuck"; abandoned: number };
