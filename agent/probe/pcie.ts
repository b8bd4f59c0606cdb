/**
 * The link to the node. Its width never drops at rest, so fewer lanes than the maximum are a fault
 * at any time; its generation does drop at idle and says nothing (gpu/nvml.md §11.9).
 */
import { type Condition, type Look, type Probe, lookAtEach, metricsOf, onGpu } from "./probe.ts";
import type { NvmlGpuCheck } from "../nvml/reading.ts";
import { nextWindow } from "./window.ts";

/** A clean link replays a few packets a day; a hundred an hour is a connector or a riser. */
const REPLAYS_PER_HOUR_MAX = 100;

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
      return {
        read: gpu.pcieWidth !== null || value !== null,
        conditions: [...narrow(gpu, grown), ...replaying(gpu, grown)],
        learned: { replay },
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
