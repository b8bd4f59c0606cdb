/**
 * Links between GPUs. A link is a fault if it is down and was up before, or if its neighbours are
 * up: a card without a bridge has all links down and is well. Sleep is not down, and right after a
 * boot links train (gpu/nvml.md §11.15).
 */
import { type Condition, type Look, type Probe, lookAtEach, onGpu } from "./probe.ts";
import type { NvmlGpuCheck } from "../nvml/reading.ts";
import { nextWindow } from "./window.ts";

/** NVLink training and the fabric manager take minutes on the largest baseboards. */
const GRACE_MS = 600_000;

/**
 * Recoveries are retrainings of a whole link: one an hour happens, ten are a bad cable or board.
 */
const RECOVERIES_PER_HOUR_MAX = 10;

const INACTIVE = 0;
const ACTIVE = 1;

export const nvlinkProbe: Probe = {
  name: "nvlink",
  kinds: ["nvlink"],
  look(check, memory, ctx) {
    const bootChanged = memory.bootId !== ctx.bootId;
    const fabric = check.gpus.some((gpu) => gpu.nvlinks?.some((link) => link.state === ACTIVE));
    return lookAtEach(check, ["field.91"], (gpu): Look => {
      const links = gpu.nvlinks ?? [];
      if (links.every((link) => link.state === null)) return { read: false };
      const before = memory.gpus[gpu.uuid];
      const active = links.filter((link) => link.state === ACTIVE).map((link) => link.link);
      const seen = bootChanged ? [] : (before?.linksSeen ?? []);
      const linksSeen = [...new Set([...seen, ...active])].sort((a, b) => a - b);
      const recoveries = links.reduce((sum, link) => sum + (link.recovery ?? 0), 0);
      const linkErrors = nextWindow(before?.linkErrors ?? null, recoveries, ctx.monoMs);
      const conditions = recovering(gpu, linkErrors.grown);
      if (ctx.uptimeMs >= GRACE_MS) conditions.push(...inactive(gpu, linksSeen, fabric));
      return { read: true, conditions, learned: { linksSeen, linkErrors } };
    });
  },
};

/** `fabric`: some link of this node is up, so links are meant to be. */
function inactive(gpu: NvmlGpuCheck, linksSeen: readonly number[], fabric: boolean): Condition[] {
  const links = gpu.nvlinks ?? [];
  const down = links.filter((link) => link.state === INACTIVE).map((link) => link.link);
  // With no other link up on this GPU or node, only one that was up before can have gone down.
  const wrong = fabric ? down : down.filter((link) => linksSeen.includes(link));
  const [first] = wrong;
  const names = wrong.join(", ");
  if (first === undefined) return [];
  return [
    onGpu(gpu, {
      kind: "nvlink",
      reason: "inactive",
      severity: "serious",
      message: `GPU ${gpu.index}: ${wrong.length} of ${links.length} NVLinks are down (${names})`,
      metrics: { link_id: first, inactive: wrong.length, total: links.length, state: INACTIVE },
      level: wrong.length,
    }),
  ];
}

function recovering(gpu: NvmlGpuCheck, grown: number): Condition[] {
  if (grown <= RECOVERIES_PER_HOUR_MAX) return [];
  const sum = (of: "replay" | "crc") =>
    (gpu.nvlinks ?? []).reduce((total, link) => total + (link[of] ?? 0), 0);
  return [
    onGpu(gpu, {
      kind: "nvlink",
      reason: "recovery",
      severity: "warning",
      message: `NVLinks of GPU ${gpu.index} recovered ${grown} times within an hour`,
      metrics: { recovery_errors: grown, replay_errors: sum("replay"), crc_errors: sum("crc") },
      level: Math.floor(Math.log10(grown)),
    }),
  ];
}
