/**
 * The link to the node. Its width never drops at rest, so fewer lanes than the maximum are a fault
 * at any time. Its generation does drop at rest (docs/reference/nvml.md#pitfalls), so it is judged
 * only while the GPU is busy, and in two rounds: a link that has just left its rest may still be
 * training.
 */
import { type Condition, type Look, type Probe, lookAtEach, metricsOf, onGpu } from "./probe.ts";
import type { NvmlGpuCheck } from "../reading.ts";
import { nextWindow } from "./window.ts";

/** A clean link replays a few packets a day; a hundred an hour is a connector or a riser. */
const REPLAYS_PER_HOUR_MAX = 100;

/** A GPU at this much is at work, and has its link at full speed. Per cent. */
const BUSY_PERCENT = 75;
const SLOW_ROUNDS = 2;

export const pcieProbe: Probe = {
  name: "pcie",
  kinds: ["pcie"],
  look: (check, memory, ctx) => {
    const calls = ["nvmlDeviceGetCurrPcieLinkWidth", "field.94"];
    return lookAtEach(check, calls, (gpu): Look => {
      const window = memory.gpus[gpu.uuid]?.replay ?? null;
      const value = gpu.pcieReplay;
      const replay = value === null ? window : nextWindow(window, value, ctx.monoMs);
      const grown = value === null ? 0 : (replay?.grown ?? 0);
      const slowRounds = nextSlowRounds(gpu, memory.gpus[gpu.uuid]?.slowRounds ?? 0);
      return {
        read: gpu.pcieWidth !== null || value !== null,
        conditions: [
          ...narrow(gpu, grown),
          ...slow(gpu, grown, slowRounds),
          ...replaying(gpu, grown),
        ],
        learned: { replay, slowRounds },
      };
    });
  },
};

function metricsFor(gpu: NvmlGpuCheck, grown: number): Condition["metrics"] {
  return metricsOf({
    replay_count: grown,
    link_width: gpu.pcieWidth,
    max_width: gpu.pcieWidthMax,
    link_generation: gpu.pcieGeneration,
    max_generation: gpu.pcieGenerationMax,
    utilization: gpu.utilizationPercent,
  });
}

function narrow(gpu: NvmlGpuCheck, grown: number): Condition[] {
  const { pcieWidth: width, pcieWidthMax: max } = gpu;
  // Width 0 is a device without a PCIe link of its own, such as one behind a coherent link.
  if (width === null || max === null || width === 0 || width >= max) return [];
  return [
    onGpu(gpu, {
      kind: "pcie",
      reason: "width",
      severity: "warning",
      message: `GPU ${gpu.index} runs on ${width} of ${max} PCIe lanes`,
      metrics: metricsFor(gpu, grown),
      level: max - width,
    }),
  ];
}

/** Rounds in a row in which the busy GPU's link was slow; at rest, what was seen is kept. */
function nextSlowRounds(gpu: NvmlGpuCheck, before: number): number {
  const { pcieGeneration: now, pcieGenerationMax: max, utilizationPercent: used } = gpu;
  if (now === null || max === null || now >= max) return 0;
  return used !== null && used >= BUSY_PERCENT ? before + 1 : before;
}

function slow(gpu: NvmlGpuCheck, grown: number, rounds: number): Condition[] {
  const { pcieGeneration: now, pcieGenerationMax: max } = gpu;
  if (rounds < SLOW_ROUNDS || now === null || max === null) return [];
  return [
    onGpu(gpu, {
      kind: "pcie",
      reason: "generation",
      severity: "warning",
      message: `GPU ${gpu.index} at work runs on PCIe generation ${now} of ${max}`,
      metrics: metricsFor(gpu, grown),
    }),
  ];
}

function replaying(gpu: NvmlGpuCheck, grown: number): Condition[] {
  if (grown <= REPLAYS_PER_HOUR_MAX) return [];
  return [
    onGpu(gpu, {
      kind: "pcie",
      reason: "replay",
      severity: "warning",
      message: `GPU ${gpu.index} replayed ${grown} PCIe packets within an hour`,
      metrics: metricsFor(gpu, grown),
      level: Math.floor(Math.log10(grown)),
    }),
  ];
}
