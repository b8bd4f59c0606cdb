/**
 * Reports degraded PCIe links. The width never drops at idle, so fewer lanes are a fault at any
 * time. The generation does (docs/reference/nvml.md#pitfalls), so it counts only while the GPU is
 * busy, and in two rounds: a link that has just woken up may still train.
 */
import { type Condition, ConditionList, lookAtEach, metricsOf } from "./probe.ts";
import type { Look, Probe } from "./probe.ts";
import type { NvmlGpuCheck } from "../port/reading.ts";
import { nextWindow } from "./window.ts";

/** A clean link replays a few packets a day; a hundred an hour is a connector or a riser. */
const REPLAYS_PER_HOUR_MAX = 100;

/** Utilisation at which the link runs at full speed, per cent. */
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
        conditions: judge(gpu, grown, slowRounds),
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

/** Rounds in a row in which the busy GPU's link was slow; at idle the count stays. */
function nextSlowRounds(gpu: NvmlGpuCheck, before: number): number {
  const { pcieGeneration: now, pcieGenerationMax: max, utilizationPercent: used } = gpu;
  if (now === null || max === null || now >= max) return 0;
  return used !== null && used >= BUSY_PERCENT ? before + 1 : before;
}

function judge(gpu: NvmlGpuCheck, grown: number, slowRounds: number): Condition[] {
  const { index, pcieWidth: width, pcieWidthMax: widest } = gpu;
  const { pcieGeneration: generation, pcieGenerationMax: newest } = gpu;
  const pcie = new ConditionList("pcie", gpu, metricsFor(gpu, grown));
  // Width 0 is a device without a PCIe link of its own, such as one behind a coherent link.
  if (width !== null && widest !== null && width !== 0 && width < widest) {
    const message = `GPU ${index} runs on ${width} of ${widest} PCIe lanes`;
    pcie.add("width", "warning", message, { level: widest - width });
  }
  if (slowRounds >= SLOW_ROUNDS && generation !== null && newest !== null) {
    const message = `GPU ${index} at work runs on PCIe generation ${generation} of ${newest}`;
    pcie.add("generation", "warning", message);
  }
  if (grown > REPLAYS_PER_HOUR_MAX) {
    const message = `GPU ${index} replayed ${grown} PCIe packets within an hour`;
    pcie.add("replay", "warning", message, { level: Math.floor(Math.log10(grown)) });
  }
  return pcie.all;
}
