/**
 * Readings of NVML as plain data, which the probe child sends to the agent as JSON. A missing value
 * is `null`, and `unread` has the reason: "not supported" must never look healthy. Return codes are
 * `nvmlReturn_t` (docs/reference/nvml.md#return-codes).
 */

/** Readings that change all the time. Units in the names. */
export type NvmlGpuSample = {
  index: number;
  uuid: string;
  /** Worst return code about the GPU itself (15, 16, 8, 11, 14, 999, 10, in this order), else 0. */
  rc: number;
  /** Return code of opening it; without 0, nothing could be read. */
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
  /** °C; `null` if not reported (then 85/95 are used). */
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
  /** One entry per present link; `null` if the device reports none. */
  nvlinks: NvmlLink[] | null;
  /** `null` if not reported; most models have none. */
  fabric: NvmlFabric | null;
  persistence: boolean | null;
  /** Call name → return code, of calls without a value or a GPU fault. */
  unread: Record<string, number>;
};

export type NvmlCheck = {
  driverVersion: string | null;
  nvmlVersion: string | null;
  cudaVersion: string | null;
  /** NVML's count, GPUs without permission included. */
  count: number;
  excluded: number;
  /** Their addresses; absent if not reported. */
  excludedPci?: string[];
  /** GPUs within `count` that this process has no permission for; they are not in `gpus`. */
  denied?: number;
  gpus: NvmlGpuCheck[];
  /** The driver was loaded with NVLink off. */
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

/** Why nothing could be read. `code` is the NVML return code, if any. */
export type NvmlFailure =
  /** No library on the search path, or it cannot be loaded. */
  | { reason: "library"; code: number | null; message: string }
  /** The kernel driver is not loaded or finds no GPU (9, 12, 28). */
  | { reason: "driver"; code: number; message: string }
  /** User library and kernel module differ (18). */
  | { reason: "version"; code: number; message: string }
  /** The operating system or a container blocks access (17, or 4 on every GPU). */
  | { reason: "permission"; code: number; message: string }
  /** Released by the agent for a GPU reset (`nvml/release.ts`). */
  | { reason: "released"; code: number; message: string }
  | { reason: "other"; code: number; message: string };

export type NvmlAnswer<T> =
  | { kind: "ok"; value: T; durationMs: number }
  | { kind: "failed"; failure: NvmlFailure; durationMs: number }
  /** No answer by the deadline; the child was abandoned. `evidence`: state of its threads. */
  | { kind: "unresponsive"; evidence: string; abandoned: number }
  /** The child died on a signal in native code. */
  | { kind: "crashed"; signal: string; abandoned: number }
  /** Too many abandoned children: none is started until one is reaped. */
  | { kind: "stuck"; abandoned: number };
