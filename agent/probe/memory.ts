/**
 * Reports whether memory use is readable, and a GPU with less memory than its name or an equal GPU
 * says: jobs that fit do not. `ecc.ts` and `remap.ts` report memory errors.
 */
import { lookAtEach, onGpu, type Probe } from "./probe.ts";
import type { NvmlCheck, NvmlGpuCheck } from "../port/reading.ts";

/** ECC, page tables and firmware take a few per cent; a dead stack of memory takes a fifth. */
const SHARE_MIN = 0.9;

export const memoryProbe: Probe = {
  name: "memory",
  kinds: ["driver/memory_short"],
  look: (check) =>
    lookAtEach(check, ["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo"], (gpu) => ({
      read: gpu.memoryTotalBytes !== null && gpu.memoryUsedBytes !== null,
      conditions: findShort(gpu, dueBytes(gpu, check)),
    })),
};

/**
 * At the end of a name stands the GPU's memory (`A100-SXM4-80GB`, `H100 80GB HBM3`); of a Grace
 * module it is the CPU's.
 */
const NAMED = /(?:^|[ -])(\d{1,4})GB(?: HBM\w{1,4})?$/;
const MODULE = /\bG[HB]\d/;

function dueBytes({ name }: NvmlGpuCheck, { gpus }: NvmlCheck): number {
  const figure = MODULE.test(name) ? undefined : NAMED.exec(name)?.[1];
  const equal = gpus.flatMap((gpu) => (gpu.name === name ? [gpu.memoryTotalBytes ?? 0] : []));
  return Math.max(Number(figure ?? 0) * 1e9, ...equal);
}

function findShort(gpu: NvmlGpuCheck, due: number) {
  const { index, memoryTotalBytes: total } = gpu;
  if (total === null || total >= due * SHARE_MIN) return [];
  const message = `GPU ${index} has ${gigabytes(total)} GB of memory, ${gigabytes(due)} GB are due`;
  const short = { kind: "driver", reason: "memory_short", severity: "serious" } as const;
  return [onGpu(gpu, { ...short, message, metrics: { memory_total: total, memory_due: due } })];
}

const gigabytes = (bytes: number): number => Math.round(bytes / 1e9);
