/**
 * Reads one GPU: the light sample, and the values that the probes judge. A missing value is `null`
 * and named in `unread`.
 */
import { FIELD } from "./field.ts";
import {
  FABRIC,
  FABRIC_V2,
  FABRIC_V3,
  MARGIN,
  MEMORY,
  MEMORY_V2,
  PCI_INFO,
  type Place,
  ROW_REMAPPER,
  SRAM_STATUS,
  TEMPERATURE,
  UTILIZATION,
  unsignedAt,
} from "./layout.ts";
import { flagOf, plausible, plausibleBanks, plausibleFabric, plausibleLink } from "./plausible.ts";
import type { GpuReader, Way } from "./read.ts";
import type { NvmlFabric, NvmlGpuCheck, NvmlGpuSample } from "../port/reading.ts";
import { NOT_SUPPORTED, SUCCESS, VERSION_UNKNOWN, isDenial, isUnsupported } from "./return-code.ts";

/** Constant values, read once per handle. */
export type DeviceIdentity = {
  index: number;
  uuid: string;
  name: string;
  serial: string | null;
  pciBusId: string;
  architecture: number | null;
  slowdownCelsius: number | null;
  shutdownCelsius: number | null;
  memoryMaxCelsius: number | null;
  pcieGenerationMax: number | null;
  pcieWidthMax: number | null;
};

/** The UUID of a GPU that never answered. */
export function formatUnknownUuid(index: number): string {
  return `unknown-${index}`;
}

export function readIdentity(reader: GpuReader, index: number): DeviceIdentity {
  const uuid = reader.text("nvmlDeviceGetUUID", 96) ?? formatUnknownUuid(index);
  const pci = reader.struct("nvmlDeviceGetPciInfo_v3", PCI_INFO);
  return {
    index,
    uuid,
    name: reader.text("nvmlDeviceGetName", 96) ?? "NVIDIA GPU",
    serial: reader.text("nvmlDeviceGetSerial", 30),
    pciBusId: pci === null ? "" : textAt(pci, PCI_INFO.fields.busId),
    architecture: reader.number({ name: "nvmlDeviceGetArchitecture" }),
    ...readThresholds(reader),
    pcieGenerationMax: reader.number({ name: "nvmlDeviceGetMaxPcieLinkGeneration" }),
    pcieWidthMax: reader.number({ name: "nvmlDeviceGetMaxPcieLinkWidth" }),
  };
}

function textAt(view: DataView, { at, bytes }: Place): string {
  const buffer = Buffer.from(view.buffer, view.byteOffset + at, bytes);
  const end = buffer.indexOf(0);
  return buffer.toString("latin1", 0, end < 0 ? bytes : end);
}

const threshold = (type: number): Way => ({
  name: "nvmlDeviceGetTemperatureThreshold",
  args: [type],
});

/**
 * Slowdown and shutdown in °C. On Ada and later the old call may be gone; the limit is then the
 * temperature plus the margin less field 193 or 194.
 */
function readThresholds(reader: GpuReader) {
  let slowdown = reader.number(threshold(1));
  let shutdown = reader.number(threshold(0));
  if (slowdown === null || shutdown === null) {
    const margin = reader.struct("nvmlDeviceGetMarginTemperature", MARGIN);
    const now = readTemperature(reader);
    const ids = [FIELD.slowdownLimit, FIELD.shutdownLimit];
    const [slow, shut] = reader.fields(ids.map((id) => ({ id }))).map((answer) => answer.value);
    const limit = (offset: number | null | undefined) =>
      margin === null || now === null || offset === null || offset === undefined
        ? null
        : limitOf(now + margin.getInt32(MARGIN.fields.marginTemperature.at, true) - offset);
    slowdown ??= limit(slow);
    shutdown ??= limit(shut);
  }
  return {
    slowdownCelsius: limitOf(slowdown),
    shutdownCelsius: limitOf(shutdown),
    memoryMaxCelsius: limitOf(reader.number(threshold(2))),
  };
}

/** Limits outside the range of silicon are ignored: the probe's fallback is safer. */
function limitOf(celsius: number | null): number | null {
  return celsius !== null && celsius >= 60 && celsius <= 130 ? celsius : null;
}

function readTemperature(reader: GpuReader): number | null {
  const view = reader.struct("nvmlDeviceGetTemperatureV", TEMPERATURE);
  if (view !== null) return view.getInt32(TEMPERATURE.fields.temperature.at, true);
  const celsius = reader.number({ name: "nvmlDeviceGetTemperature", args: [0] });
  if (celsius !== null) delete reader.unread["nvmlDeviceGetTemperatureV"];
  return celsius;
}

function readMemory(reader: GpuReader): { total: number | null; used: number | null } {
  const bytesOf = (view: DataView, { total, used }: Record<"total" | "used", Place>) => {
    return { total: unsignedAt(view, total), used: unsignedAt(view, used) };
  };
  const v2 = reader.struct("nvmlDeviceGetMemoryInfo_v2", MEMORY_V2);
  if (v2 !== null) return bytesOf(v2, MEMORY_V2.fields);
  const v1 = reader.struct("nvmlDeviceGetMemoryInfo", MEMORY);
  if (v1 === null) return { total: null, used: null };
  delete reader.unread["nvmlDeviceGetMemoryInfo_v2"];
  return bytesOf(v1, MEMORY.fields);
}

const milli = (value: number | null) => (value === null ? null : value / 1_000);

export function readSample(reader: GpuReader, identity: DeviceIdentity): NvmlGpuSample {
  const ids = [FIELD.memoryTemperature, FIELD.recoveryAction];
  const [memoryTemperature, action] = reader.fields(ids.map((id) => ({ id })));
  const memory = readMemory(reader);
  const utilization = reader.struct("nvmlDeviceGetUtilizationRates", UTILIZATION);
  const sample = {
    temperatureCelsius: readTemperature(reader),
    memoryTemperatureCelsius: reader.field(memoryTemperature, FIELD.memoryTemperature),
    powerWatts: milli(reader.number({ name: "nvmlDeviceGetPowerUsage" })),
    utilizationPercent: utilization?.getUint32(UTILIZATION.fields.gpu.at, true) ?? null,
    memoryUsedBytes: memory.used,
    memoryTotalBytes: memory.total,
    smClockMhz: reader.number({ name: "nvmlDeviceGetClockInfo", args: [1] }),
    memoryClockMhz: reader.number({ name: "nvmlDeviceGetClockInfo", args: [2] }),
    throttleReasons: reader.number(
      { name: "nvmlDeviceGetCurrentClocksEventReasons", wide: true },
      { name: "nvmlDeviceGetCurrentClocksThrottleReasons", wide: true },
    ),
    recoveryAction: reader.field(action, FIELD.recoveryAction),
    processes: reader.count("nvmlDeviceGetComputeRunningProcesses_v3"),
  };
  const { index, uuid } = identity;
  return plausible({ index, uuid, rc: reader.rc, openCode: SUCCESS, ...sample });
}

export function readCheck(reader: GpuReader, identity: DeviceIdentity): NvmlGpuCheck {
  const sample = readSample(reader, identity);
  const modes = readModes(reader);
  const check = {
    ...sample,
    ...identity,
    ...modes,
    ...readCounters(reader),
    ...readRemap(reader),
    pcieGeneration: reader.number({ name: "nvmlDeviceGetCurrPcieLinkGeneration" }),
    pcieWidth: reader.number({ name: "nvmlDeviceGetCurrPcieLinkWidth" }),
    nvlinks: readLinks(reader),
    fabric: readFabric(reader),
  };
  return plausible({ ...check, rc: reader.rc, unread: { ...reader.unread } });
}

function readModes(reader: GpuReader) {
  const ecc = reader.numbers("nvmlDeviceGetEccMode", 2);
  const mig = reader.numbers("nvmlDeviceGetMigMode", 2);
  return {
    migEnabled: flagOf(mig?.[0]),
    eccEnabled: flagOf(ecc?.[0]),
    eccPending: flagOf(ecc?.[1]),
    persistence: reader.flag("nvmlDeviceGetPersistenceMode"),
    powerLimitWatts: milli(reader.number({ name: "nvmlDeviceGetEnforcedPowerLimit" })),
  };
}

/** `way` is a call of its own, for libraries whose batch lacks the field. */
const ecc = (error: 0 | 1, counter: 0 | 1): Way => ({
  name: "nvmlDeviceGetTotalEccErrors",
  args: [error, counter],
  wide: true,
});
const COUNTERS: readonly { id: number; way: Way | null }[] = [
  { id: FIELD.eccSbeVolatile, way: ecc(0, 0) },
  { id: FIELD.eccDbeVolatile, way: ecc(1, 0) },
  { id: FIELD.eccSbeAggregate, way: ecc(0, 1) },
  { id: FIELD.eccDbeAggregate, way: ecc(1, 1) },
  { id: FIELD.pcieReplay, way: { name: "nvmlDeviceGetPcieReplayCounter" } },
  { id: FIELD.retiredSbe, way: null },
  { id: FIELD.retiredDbe, way: null },
  { id: FIELD.retiredPending, way: { name: "nvmlDeviceGetRetiredPagesPendingStatus" } },
];

function readCounters(reader: GpuReader) {
  const answers = reader.fields(COUNTERS.map(({ id }) => ({ id })));
  const values = COUNTERS.map(({ id, way }, i) => {
    const answer = answers[i];
    const failed = answer !== undefined && (isUnsupported(answer.code) || isDenial(answer.code));
    return way !== null && failed ? reader.number(way) : reader.field(answer, id);
  });
  const [sbeVolatile, dbeVolatile, sbe, dbe, replay, retiredSbe, retiredDbe, pending] = values;
  return {
    eccCorrectedVolatile: sbeVolatile ?? null,
    eccUncorrectedVolatile: dbeVolatile ?? null,
    eccCorrectedAggregate: sbe ?? null,
    eccUncorrectedAggregate: dbe ?? null,
    pcieReplay: replay ?? null,
    retiredSbe: retiredSbe ?? null,
    retiredDbe: retiredDbe ?? null,
    retiredPending: flagOf(pending),
  };
}

function readRemap(reader: GpuReader) {
  const rows = reader.numbers("nvmlDeviceGetRemappedRows", 4);
  const banks = reader.struct("nvmlDeviceGetRowRemapperHistogram", ROW_REMAPPER);
  // Needs root; `bThresholdExceeded` means replace the hardware (docs/reference/nvml.md#functions).
  const sram = reader.struct("nvmlDeviceGetSramEccErrorStatus", SRAM_STATUS);
  const { max, high, partial, low, none } = ROW_REMAPPER.fields;
  const { bThresholdExceeded } = SRAM_STATUS.fields;
  const at = (place: Place) => (banks === null ? 0 : unsignedAt(banks, place));
  return {
    remappedCorrectable: rows?.[0] ?? null,
    remappedUncorrectable: rows?.[1] ?? null,
    remapPending: flagOf(rows?.[2]),
    remapFailure: flagOf(rows?.[3]),
    remapHistogram:
      banks === null
        ? null
        : plausibleBanks({
            ...{ max: at(max), high: at(high), partial: at(partial) },
            ...{ low: at(low), none: at(none) },
          }),
    sramThresholdExceeded: sram === null ? null : flagOf(unsignedAt(sram, bThresholdExceeded)),
  };
}

/** A bound against an absurd count; headers know up to 36 links (13.3). */
const LINKS_MAX = 72;

/** Field 91 counts the present links. */
function readLinks(reader: GpuReader): NvmlGpuCheck["nvlinks"] {
  const [answer] = reader.fields([{ id: FIELD.linkCount }]);
  const count = reader.field(answer, FIELD.linkCount);
  if (count === null || count < 0 || count > LINKS_MAX) return null;
  const links = Array.from({ length: count }, (_, link) => link);
  if (links.length === 0) return [];
  const ids = [FIELD.linkState, FIELD.linkReplay, FIELD.linkRecovery, FIELD.linkCrc];
  const answers = reader.fields(links.flatMap((scope) => ids.map((id) => ({ id, scope }))));
  const old = (answers[0]?.code ?? NOT_SUPPORTED) !== 0;
  return links.map((link) => {
    const [state, replay, recovery, crc] = answers.slice(link * ids.length);
    if (old) return plausibleLink(readOldLink(reader, link));
    return plausibleLink({
      link,
      state: state?.value ?? null,
      replay: replay?.value ?? null,
      recovery: recovery?.value ?? null,
      crc: crc?.value ?? null,
    });
  });
}

/** Before R520: no sleep state, and counters by call (0 replay, 1 recovery, 2 CRC flit). */
function readOldLink(reader: GpuReader, link: number) {
  const counter = (kind: number) =>
    reader.number({ name: "nvmlDeviceGetNvLinkErrorCounter", args: [link, kind], wide: true });
  return {
    link,
    state: reader.number({ name: "nvmlDeviceGetNvLinkState", args: [link] }),
    replay: counter(0),
    recovery: counter(1),
    crc: counter(2),
  };
}

/**
 * The fabric state by the newest call of the library, which answers 25 to an unknown version word
 * (`nvmlGpuFabricInfo_v3_t` since R580, `_v2` since R550, the call without versions since R525).
 */
function readFabric(reader: GpuReader): NvmlFabric | null {
  const call = "nvmlDeviceGetGpuFabricInfoV";
  const third = reader.struct(call, FABRIC_V3);
  if (third !== null) {
    return parseVersioned(third, unsignedAt(third, FABRIC_V3.fields.healthSummary));
  }
  const second = reader.unread[call] === VERSION_UNKNOWN ? reader.struct(call, FABRIC_V2) : null;
  if (second !== null) {
    delete reader.unread[call];
    return parseVersioned(second, null);
  }
  const first = reader.struct("nvmlDeviceGetGpuFabricInfo", FABRIC);
  if (first === null) return null;
  delete reader.unread[call];
  const state = unsignedAt(first, FABRIC.fields.state);
  const status = unsignedAt(first, FABRIC.fields.status);
  return plausibleFabric({ state, status, healthMask: null, healthSummary: null });
}

/** The third version begins as the second. */
function parseVersioned(view: DataView, healthSummary: number | null): NvmlFabric | null {
  const { state, status, healthMask } = FABRIC_V2.fields;
  return plausibleFabric({
    state: unsignedAt(view, state),
    status: unsignedAt(view, status),
    healthMask: unsignedAt(view, healthMask),
    healthSummary,
  });
}
