/**
 * Layouts of the library's structs; a test compares each with NVIDIA's Python binding
 * (`nvidia-ml-py`). They are the same on x86-64 and arm64, little endian. `word` is the version
 * word at offset 0: size and version << 24.
 */

/** Bytes from the start of the struct, and how many. */
export type Place = { at: number; bytes: number };

export type Layout = {
  /** The struct's name in `pynvml.py`. */
  name: string;
  bytes: number;
  /** 0 for structs without versions. */
  word: number;
  fields: Readonly<Record<string, Place>>;
};

const u32 = (at: number): Place => ({ at, bytes: 4 });
const u64 = (at: number): Place => ({ at, bytes: 8 });

/** With a `version`, the struct begins with a version word. */
function struct<const F extends Layout["fields"]>(
  name: string,
  bytes: number,
  fields: F,
  version = 0,
): Layout & { fields: F } {
  return { name, bytes, word: version === 0 ? 0 : (version << 24) | bytes, fields };
}

export const PCI_INFO = struct("nvmlPciInfo_t", 68, { busId: { at: 36, bytes: 32 } });

/** Begins with the PCI struct. */
export const EXCLUDED = struct("c_nvmlExcludedDeviceInfo_t", 148, { pci: { at: 0, bytes: 68 } });

export const MEMORY = struct("c_nvmlMemory_t", 24, { total: u64(0), used: u64(16) });

/** `used` contains `reserved`, so the two are never added. */
export const MEMORY_V2 = struct("c_nvmlMemory_v2_t", 40, { total: u64(8), used: u64(32) }, 2);

export const UTILIZATION = struct("c_nvmlUtilization_t", 8, { gpu: u32(0) });

/** The value is signed. */
export const TEMPERATURE = struct("c_nvmlTemperature_v1_t", 12, { temperature: u32(8) }, 1);

/** The value is signed. */
export const MARGIN = struct("c_nvmlMarginTemperature_v1_t", 8, { marginTemperature: u32(4) }, 1);

export const ROW_REMAPPER = struct("c_nvmlRowRemapperHistogramValues", 20, {
  max: u32(0),
  high: u32(4),
  partial: u32(8),
  low: u32(12),
  none: u32(16),
});

const sram = { bThresholdExceeded: u32(96) };
export const SRAM_STATUS = struct("c_nvmlEccSramErrorStatus_v1_t", 104, sram, 1);

export const FIELD_VALUE = struct("c_nvmlFieldValue_t", 40, {
  fieldId: u32(0),
  scopeId: u32(4),
  valueType: u32(24),
  nvmlReturn: u32(28),
  value: u64(32),
});

export const EVENT_DATA = struct("c_nvmlEventData_t", 32, {
  device: u64(0),
  eventType: u64(8),
  eventData: u64(16),
  gpuInstanceId: u32(24),
  computeInstanceId: u32(28),
});

/** `state` is one byte in the C header and four with padding in the Python one. */
const state = (at: number): Place => ({ at, bytes: 1 });

export const FABRIC = struct("c_nvmlGpuFabricInfo_t", 28, { status: u32(16), state: state(24) });

const fabric = { status: u32(20), state: state(28), healthMask: u32(32) };
export const FABRIC_V2 = struct("c_nvmlGpuFabricInfo_v2_t", 36, fabric, 2);

const wider = { ...fabric, healthSummary: { at: 36, bytes: 1 } };
export const FABRIC_V3 = struct("c_nvmlGpuFabricInfo_v3_t", 40, wider, 3);

/** Every struct that crosses into the library. @internal */
export const LAYOUTS: readonly Layout[] = [
  PCI_INFO,
  EXCLUDED,
  MEMORY,
  MEMORY_V2,
  UTILIZATION,
  TEMPERATURE,
  MARGIN,
  ROW_REMAPPER,
  SRAM_STATUS,
  FIELD_VALUE,
  EVENT_DATA,
  FABRIC,
  FABRIC_V2,
  FABRIC_V3,
];

/** An unsigned number as wide as its place; no value exceeds 2^53. */
export function unsignedAt(view: DataView, { at, bytes }: Place): number {
  if (bytes === 1) return view.getUint8(at);
  return bytes === 4 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
}
