/**
 * The structs of the library that are read or written, as data: a test compares each with the
 * structures of NVIDIA's own Python binding (`nvidia-ml-py`). Layouts are the same on x86-64 and
 * arm64, little endian. `word` is the version word at offset 0: size and version << 24.
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

export const PCI_INFO = {
  name: "nvmlPciInfo_t",
  bytes: 68,
  word: 0,
  fields: { busId: { at: 36, bytes: 32 } },
} as const satisfies Layout;

/** Begins with the PCI struct. */
export const EXCLUDED = {
  name: "c_nvmlExcludedDeviceInfo_t",
  bytes: 148,
  word: 0,
  fields: { pci: { at: 0, bytes: 68 } },
} as const satisfies Layout;

export const MEMORY = {
  name: "c_nvmlMemory_t",
  bytes: 24,
  word: 0,
  fields: { total: u64(0), used: u64(16) },
} satisfies Layout;

/** `used` contains `reserved`, so the two are never added. */
export const MEMORY_V2 = {
  name: "c_nvmlMemory_v2_t",
  bytes: 40,
  word: 0x2000028,
  fields: { total: u64(8), used: u64(32) },
} satisfies Layout;

export const UTILIZATION = {
  name: "c_nvmlUtilization_t",
  bytes: 8,
  word: 0,
  fields: { gpu: u32(0) },
} satisfies Layout;

/** The value is signed. */
export const TEMPERATURE = {
  name: "c_nvmlTemperature_v1_t",
  bytes: 12,
  word: 0x100000c,
  fields: { temperature: u32(8) },
} satisfies Layout;

/** The value is signed. */
export const MARGIN = {
  name: "c_nvmlMarginTemperature_v1_t",
  bytes: 8,
  word: 0x1000008,
  fields: { marginTemperature: u32(4) },
} satisfies Layout;

export const ROW_REMAPPER = {
  name: "c_nvmlRowRemapperHistogramValues",
  bytes: 20,
  word: 0,
  fields: { max: u32(0), high: u32(4), partial: u32(8), low: u32(12), none: u32(16) },
} satisfies Layout;

export const SRAM_STATUS = {
  name: "c_nvmlEccSramErrorStatus_v1_t",
  bytes: 104,
  word: 0x1000068,
  fields: { bThresholdExceeded: u32(96) },
} satisfies Layout;

export const FIELD_VALUE = {
  name: "c_nvmlFieldValue_t",
  bytes: 40,
  word: 0,
  fields: {
    fieldId: u32(0),
    scopeId: u32(4),
    valueType: u32(24),
    nvmlReturn: u32(28),
    value: u64(32),
  },
} satisfies Layout;

export const EVENT_DATA = {
  name: "c_nvmlEventData_t",
  bytes: 32,
  word: 0,
  fields: {
    device: u64(0),
    eventType: u64(8),
    eventData: u64(16),
    gpuInstanceId: u32(24),
    computeInstanceId: u32(28),
  },
} satisfies Layout;

/** `state` is one byte in the C header and four with padding in the Python one. */
const STATE_BYTES = 1;

export const FABRIC = {
  name: "c_nvmlGpuFabricInfo_t",
  bytes: 28,
  word: 0,
  fields: { status: u32(16), state: { at: 24, bytes: STATE_BYTES } },
} satisfies Layout;

export const FABRIC_V2 = {
  name: "c_nvmlGpuFabricInfo_v2_t",
  bytes: 36,
  word: 0x2000024,
  fields: { status: u32(20), state: { at: 28, bytes: STATE_BYTES }, healthMask: u32(32) },
} satisfies Layout;

export const FABRIC_V3 = {
  name: "c_nvmlGpuFabricInfo_v3_t",
  bytes: 40,
  word: 0x3000028,
  fields: { ...FABRIC_V2.fields, healthSummary: { at: 36, bytes: 1 } },
} satisfies Layout;

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

/** An unsigned number as wide as its place; above 2^53 it loses digits, which no value reaches. */
export function unsignedAt(view: DataView, { at, bytes }: Place): number {
  if (bytes === 1) return view.getUint8(at);
  return bytes === 4 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
}
