/**
 * Recognises a GPU that is listed and opened and gives no reading. Whether that is a fault depends
 * on the code: an error of the GPU that lasts proves one; "not supported" and "no permission" say
 * nothing, so a check that contains them is inconclusive. Pure.
 */
import { isGpuCode, isPassing } from "../nvml/return-code.ts";
import type { NvmlCheck, NvmlGpuCheck } from "../port/reading.ts";
import { type GpuMemory, type ProbeMemory, isLost, isUnopened } from "./probe.ts";

/** One "unknown error" or timeout is noise; three rounds of it are a fault. */
const PASSING_ROUNDS = 3;

/** A GPU of any model and mode gives one of these; modes and link states are no measurements. */
const READINGS = [
  "temperatureCelsius",
  "memoryTemperatureCelsius",
  "powerWatts",
  "utilizationPercent",
  "memoryUsedBytes",
  "smClockMhz",
  "memoryClockMhz",
  "throttleReasons",
  "eccCorrectedVolatile",
  "eccUncorrectedVolatile",
  "remapPending",
  "pcieReplay",
] as const satisfies readonly (keyof NvmlGpuCheck)[];

/** Opened, not lost, and without any reading. */
export function isMute(gpu: NvmlGpuCheck): boolean {
  if (isLost(gpu) || isUnopened(gpu)) return false;
  return READINGS.every((name) => gpu[name] === null);
}

/** Rounds in a row, this one included, with a code that may pass. */
export function countPassing(
  { rc }: NvmlGpuCheck,
  before: Pick<GpuMemory, "unknownRounds"> | undefined,
): number {
  return isPassing(rc) ? (before?.unknownRounds ?? 0) + 1 : 0;
}

/** True of a code of the GPU itself that has lasted. */
export function isProven({ rc }: NvmlGpuCheck, passingRounds: number): boolean {
  return isGpuCode(rc) && (!isPassing(rc) || passingRounds >= PASSING_ROUNDS);
}

/** What the GPU, or the most of its calls, answers. */
export function answerOf({ rc, unread }: NvmlGpuCheck): number {
  const codes = Object.values(unread);
  const timesOf = (code: number) => codes.filter((one) => one === code).length;
  const [most = rc] = codes.toSorted((a, b) => timesOf(b) - timesOf(a));
  return rc === 0 ? most : rc;
}

const passingRoundsOf = (gpu: NvmlGpuCheck, { gpus }: Pick<ProbeMemory, "gpus">): number =>
  countPassing(gpu, gpus[gpu.uuid]);

/** True if a GPU gives no reading and nothing is proven about it. */
export function isBlind({ gpus }: NvmlCheck, memory: ProbeMemory): boolean {
  return gpus.some((gpu) => isMute(gpu) && !isProven(gpu, passingRoundsOf(gpu, memory)));
}

/** True if the next reading decides about a GPU: its code may pass, and has not lasted yet. */
export function isOpen({ gpus }: NvmlCheck, memory: ProbeMemory): boolean {
  return gpus.some((gpu) => {
    const isWaiting = isPassing(gpu.rc) && !isUnopened(gpu);
    return isWaiting && !isProven(gpu, passingRoundsOf(gpu, memory));
  });
}
