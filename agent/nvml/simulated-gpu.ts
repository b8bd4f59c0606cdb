/** Makes readings of simulated GPUs: plausible, slowly changing, determined by seed and time. */
import { LIMIT } from "../../schema/limit.ts";
import { normalizePci } from "../kernel/pci.ts";
import type { Bus } from "../port/port.ts";
import { formatUnknownUuid } from "./device.ts";
import { healthyGpu } from "./healthy.ts";
import { plausible } from "./plausible.ts";
import type { NvmlCheck, NvmlGpuCheck } from "../port/reading.ts";
import { UNKNOWN, isGpuCode } from "./return-code.ts";
import type { GpuFault, SimulatedFaults, SimulatedOptions } from "./simulated.ts";

export function makeCheck(options: SimulatedOptions, faults: SimulatedFaults): NvmlCheck {
  const listed = indicesOf(options).filter((index) => isListed(faults.gpus?.[index] ?? {}));
  return {
    driverVersion: "570.86.16",
    nvmlVersion: "12.570.86.16",
    cudaVersion: "12.8",
    count: listed.length,
    excluded: 0,
    gpus: listed.map((index) => makeGpu(options, index, faults.gpus?.[index] ?? {})),
    missing: [],
  };
}

function indicesOf({ count }: SimulatedOptions): number[] {
  const length = Math.min(Math.max(0, Math.floor(count)), LIMIT.gpusPerNodeMax);
  return Array.from({ length }, (_, index) => index);
}

function isListed({ missing, offBus, boundDriver }: GpuFault): boolean {
  return missing !== true && offBus !== true && boundDriver === undefined;
}

/** The simulated PCI bus, with the same GPUs. */
export function makeBus(options: SimulatedOptions, faults: SimulatedFaults): Bus {
  const gpus = indicesOf(options).flatMap((index) => {
    const fault = faults.gpus?.[index] ?? {};
    const pci = normalizePci(healthyGpu(index).pciBusId);
    if (fault.offBus === true || pci === null) return [];
    return [{ pci, driver: fault.boundDriver === undefined ? "nvidia" : fault.boundDriver }];
  });
  return { kind: "read", gpus };
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  return value >>> 0;
}

const hex = (text: string, digits: number) =>
  hash(text).toString(16).padStart(8, "0").slice(0, digits);

export function uuidOf(seed: string, index: number): string {
  const part = (name: string, digits: number) => hex(`${seed}/${index}/${name}`, digits);
  const last = `${part("e", 8)}${part("f", 4)}`;
  return `GPU-${part("a", 8)}-${part("b", 4)}-4${part("c", 3)}-8${part("d", 3)}-${last}`;
}

/** A load that varies within minutes, different for each GPU. */
function loadOf(seed: string, index: number, wallMs: number): number {
  const phase = hash(`${seed}/${index}/phase`) / 2 ** 32;
  const wave = Math.sin((wallMs / 180_000 + phase) * 2 * Math.PI);
  return 0.75 + 0.2 * wave;
}

const GIBIBYTE = 1_073_741_824;
const LINKS = 18;

function makeGpu(options: SimulatedOptions, index: number, fault: GpuFault): NvmlGpuCheck {
  const { seed, name, clock } = options;
  const load = loadOf(seed, index, clock.wallMs());
  const down = new Set(fault.linksDown ?? []);
  const { missing: _, offBus: _off, boundDriver: _bound, linksDown: __, ...readings } = fault;
  const well = healthyGpu(index, {
    uuid: uuidOf(seed, index),
    name,
    serial: String(1_650_000_000_000 + (hash(`${seed}/${index}`) % 1_000_000)),
    temperatureCelsius: Math.round(34 + 34 * load),
    memoryTemperatureCelsius: Math.round(40 + 38 * load),
    powerWatts: Math.round(90 + 560 * load),
    utilizationPercent: Math.round(100 * load),
    memoryUsedBytes: Math.round(72 * GIBIBYTE * load),
    memoryTotalBytes: 80 * GIBIBYTE,
    nvlinks: Array.from({ length: LINKS }, (_, link) => ({
      link,
      state: down.has(link) ? 0 : 1,
      replay: 0,
      recovery: 0,
      crc: 0,
    })),
  });
  if (readings.rc === 15) return lostGpu(well);
  const { openCode } = readings;
  return openCode === undefined || openCode === 0
    ? plausible({ ...well, ...definedOnly(readings) })
    : unopenedGpu(well, openCode);
}

type Readings = Omit<GpuFault, "missing" | "offBus" | "boundDriver" | "linksDown">;

function definedOnly(fault: Readings): Partial<NvmlGpuCheck> {
  return Object.fromEntries(Object.entries(fault).filter(([, value]) => value !== undefined));
}

const UNCHANGING = ["index", "uuid", "name", "serial", "pciBusId", "architecture", "unread"];

function blankGpu(gpu: NvmlGpuCheck, kept: readonly string[]): NvmlGpuCheck {
  const blank = Object.entries(gpu).map(([key, value]) => [key, kept.includes(key) ? value : null]);
  return Object.fromEntries(blank);
}

/** A lost GPU keeps its identity and has no readings. */
function lostGpu(gpu: NvmlGpuCheck): NvmlGpuCheck {
  return { ...blankGpu(gpu, UNCHANGING), rc: 15, openCode: 0 };
}

/** A GPU that was never opened has only an index, as in `driver.ts`. */
function unopenedGpu(gpu: NvmlGpuCheck, openCode: number): NvmlGpuCheck {
  const { index } = gpu;
  const unknown = { uuid: formatUnknownUuid(index), name: "NVIDIA GPU", pciBusId: "" };
  const rc = isGpuCode(openCode) ? openCode : UNKNOWN;
  return { ...blankGpu(gpu, ["index", "unread"]), ...unknown, rc, openCode };
}
