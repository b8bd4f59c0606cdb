/**
 * Takes readings that cannot be true for unknown: a register of a dead device reads as all ones,
 * and a broken library returns anything. A verdict on such a value would end a machine for it.
 * Pure.
 */
import type { NvmlFabric, NvmlGpuCheck, NvmlLink } from "../port/reading.ts";

type Bound = readonly [least: number, most: number];

/** Counters: 2^32 − 1 is a register that reads as all ones. */
const COUNT: Bound = [0, 0xffff_fffe];
/** Silicon in operation; 255, 127 and their like are sensors that do not answer. */
const CELSIUS: Bound = [-40, 125];
/** Far above any clock, link, board power and memory of today. */
const MEGAHERTZ: Bound = [0, 100_000];
const WATTS: Bound = [0, 10_000];
const BYTES: Bound = [0, 2 ** 50];
const LANES: Bound = [0, 64];
const GENERATION: Bound = [0, 32];

const BOUNDS = {
  temperatureCelsius: CELSIUS,
  memoryTemperatureCelsius: CELSIUS,
  powerWatts: WATTS,
  powerLimitWatts: WATTS,
  utilizationPercent: [0, 100],
  memoryUsedBytes: BYTES,
  memoryTotalBytes: BYTES,
  smClockMhz: MEGAHERTZ,
  memoryClockMhz: MEGAHERTZ,
  throttleReasons: COUNT,
  recoveryAction: [0, 255],
  processes: [0, 1_000_000],
  eccCorrectedVolatile: COUNT,
  eccUncorrectedVolatile: COUNT,
  eccCorrectedAggregate: COUNT,
  eccUncorrectedAggregate: COUNT,
  remappedCorrectable: COUNT,
  remappedUncorrectable: COUNT,
  retiredSbe: COUNT,
  retiredDbe: COUNT,
  pcieReplay: COUNT,
  pcieGeneration: GENERATION,
  pcieGenerationMax: GENERATION,
  pcieWidth: LANES,
  pcieWidthMax: LANES,
} as const satisfies Partial<Record<keyof NvmlGpuCheck, Bound>>;

const isIn = (value: number, [least, most]: Bound): boolean => value >= least && value <= most;

/** The value, or `null` if it cannot be true. */
const bounded = (value: number | null, bound: Bound): number | null =>
  value !== null && isIn(value, bound) ? value : null;

/** A flag of the library: anything but 0 and 1 is none. */
export function flagOf(value: number | null | undefined): boolean | null {
  return value === 0 || value === 1 ? value === 1 : null;
}

type Bounded = Pick<NvmlGpuCheck, keyof typeof BOUNDS>;

/** The same reading without what cannot be true. */
export function plausible<T extends Partial<Bounded>>(reading: T): T {
  const entries = Object.entries(BOUNDS).flatMap(([name, bound]) => {
    const value: unknown = Object.getOwnPropertyDescriptor(reading, name)?.value;
    return typeof value === "number" && !isIn(value, bound) ? [[name, null] as const] : [];
  });
  return entries.length === 0 ? reading : { ...reading, ...Object.fromEntries(entries) };
}

const LINK_STATES: Bound = [0, 3];

export function plausibleLink({ link, state, replay, recovery, crc }: NvmlLink): NvmlLink {
  return {
    link,
    state: bounded(state, LINK_STATES),
    replay: bounded(replay, COUNT),
    recovery: bounded(recovery, COUNT),
    crc: bounded(crc, COUNT),
  };
}

/** More spare rows, or banks, than a board has: the whole histogram is none. */
export function plausibleBanks(
  banks: NonNullable<NvmlGpuCheck["remapHistogram"]>,
): NvmlGpuCheck["remapHistogram"] {
  return Object.values(banks).every((count) => isIn(count, [0, 1_000_000])) ? banks : null;
}

/** `nvmlGpuFabricState_t` has four states (13.3), and the status is a return code. */
export function plausibleFabric(fabric: NvmlFabric): NvmlFabric | null {
  if (!isIn(fabric.state, [0, 3]) || !isIn(fabric.status, [0, 999])) return null;
  const { healthMask, healthSummary } = fabric;
  return {
    ...fabric,
    healthMask: bounded(healthMask, COUNT),
    healthSummary: bounded(healthSummary, [0, 16]),
  };
}
