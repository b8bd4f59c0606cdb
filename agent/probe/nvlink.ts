/**
 * Links between GPUs. A link is a fault if it is down and was up before, if the GPU's model has it
 * (`model.ts`), or, on a model that nobody knows, if its neighbours are up. A card without a bridge
 * has all links down and is well. Sleep is not down, and right after a boot links train.
 */
import { ConditionList, type Look, type Probe, lookAtEach } from "./probe.ts";
import type { NvmlGpuCheck, NvmlLink } from "../reading.ts";
import { type LinkPromise, isLinkedNode, promisedLinks } from "./link-promise.ts";
import { nextWindow } from "./window.ts";

/** NVLink training and the fabric manager take minutes on the largest baseboards. */
export const FABRIC_GRACE_MS = 600_000;

/**
 * Recoveries are retrainings of a whole link: one an hour happens, ten are a bad cable or board.
 */
const RECOVERIES_PER_HOUR_MAX = 10;

/** States of a link by their names in nvml.h; before R520 only the first two are told. */
export const LINK_STATE = { INACTIVE: 0, ACTIVE: 1, SLEEP: 2, ACTIVE_TRAFFIC_DISABLED: 3 } as const;
const { INACTIVE, ACTIVE, ACTIVE_TRAFFIC_DISABLED } = LINK_STATE;

export const nvlinkProbe: Probe = {
  name: "nvlink",
  kinds: ["nvlink/inactive", "nvlink/down", "nvlink/missing", "nvlink/recovery"],
  look(check, memory, ctx) {
    const bootChanged = memory.bootId !== ctx.bootId;
    const neighbours = check.gpus.some((gpu) => gpu.nvlinks?.some((one) => one.state === ACTIVE));
    const linked = isLinkedNode(check);
    return lookAtEach(check, ["field.91"], (gpu): Look => {
      const { active, recoveries, told } = sumUp(gpu.nvlinks ?? []);
      const promise = promisedLinks(gpu, linked);
      const settled = ctx.uptimeMs >= FABRIC_GRACE_MS;
      const nvlink = new ConditionList("nvlink", gpu);
      if (!told) {
        if (settled && (promise.links ?? 0) > 0) tellUnseen(nvlink, gpu, promise);
        return { read: nvlink.all.length > 0, conditions: nvlink.all };
      }
      const before = memory.gpus[gpu.uuid];
      const seen = bootChanged ? [] : (before?.linksSeen ?? []);
      const linksSeen = [...new Set([...seen, ...active])].sort((a, b) => a - b);
      const linkErrors = nextWindow(before?.linkErrors ?? null, recoveries, ctx.monoMs);
      tellRecovering(nvlink, gpu, linkErrors.grown);
      if (settled) tellInactive(nvlink, gpu, { linksSeen, promise, neighbours });
      return { read: true, conditions: nvlink.all, learned: { linksSeen, linkErrors } };
    });
  },
};

type LinkSum = {
  /** Numbers of the links that are up. */
  active: number[];
  recoveries: number;
  /** True if the driver tells the state of any link. */
  told: boolean;
};

/** One pass: eight GPUs have 144 links, and a closure that is called so often is compiled. */
function sumUp(links: readonly NvmlLink[]): LinkSum {
  const sum: LinkSum = { active: [], recoveries: 0, told: false };
  for (const { link, state, recovery } of links) {
    if (state !== null) sum.told = true;
    if (state === ACTIVE) sum.active.push(link);
    sum.recoveries += recovery ?? 0;
  }
  return sum;
}

/** Neither up nor asleep: a trained link whose traffic is switched off carries nothing. */
const isDown = ({ state }: NvmlLink) => state === INACTIVE || state === ACTIVE_TRAFFIC_DISABLED;

function tellInactive(
  nvlink: ConditionList,
  gpu: NvmlGpuCheck,
  from: { linksSeen: readonly number[]; promise: LinkPromise; neighbours: boolean },
): void {
  const { linksSeen, promise, neighbours } = from;
  const links = gpu.nvlinks ?? [];
  const down = links.filter(isDown).map((link) => link.link);
  const promised = promise.links ?? 0;
  if (promised > 0 && links.every((link) => isDown(link) || link.state === null)) {
    return tellAllDown(nvlink, gpu, promised);
  }
  // Where links may lead nowhere, or no model says that they are meant to be, only one that was up
  // can have gone down; of an unknown model also one whose neighbours are up.
  const all = promise.links === null ? neighbours : promised > 0 && !promise.partial;
  const wrong = all ? down : down.filter((link) => linksSeen.includes(link));
  const [first] = wrong;
  if (first === undefined) {
    if (!promise.partial) tellMissing(nvlink, gpu, promised);
    return;
  }
  const count = `${wrong.length} of ${links.length}`;
  const message = `GPU ${gpu.index}: ${count} NVLinks are down (${wrong.join(", ")})`;
  const metrics = { inactive: wrong.length, total: links.length, state: INACTIVE };
  const more = { metrics: { link_id: first, ...metrics }, level: wrong.length };
  nvlink.add("inactive", "serious", message, more);
}

/** No link at all: the GPU computes alone, and a job over several GPUs fails. */
function tellAllDown(nvlink: ConditionList, gpu: NvmlGpuCheck, expected: number): void {
  const message = `GPU ${gpu.index}: no NVLink is up, ${gpu.name} has ${expected}`;
  const metrics = { inactive: gpu.nvlinks?.length ?? 0, total: expected, state: INACTIVE };
  nvlink.add("down", "serious", message, { metrics, level: expected });
}

/** Fewer than the model has, with those that there are in order. */
function tellMissing(nvlink: ConditionList, gpu: NvmlGpuCheck, expected: number): void {
  const present = gpu.nvlinks?.length ?? 0;
  if (present >= expected) return;
  const count = `${present} of ${expected}`;
  const message = `GPU ${gpu.index} (${gpu.name}): the driver lists ${count} NVLinks`;
  const metrics = { present, total: expected };
  nvlink.add("missing", "warning", message, { metrics, level: expected - present });
}

/** A model with links of which the driver tells nothing: none listed is down, the rest unknown. */
function tellUnseen(nvlink: ConditionList, gpu: NvmlGpuCheck, promise: LinkPromise): void {
  const { index, name, nvlinks } = gpu;
  const expected = promise.links ?? 0;
  if (nvlinks?.length === 0) return tellAllDown(nvlink, gpu, expected);
  const message = `GPU ${index}: the driver does not report the ${expected} NVLinks of ${name}`;
  nvlink.add("missing", "warning", message, { metrics: { total: expected }, level: expected });
}

function tellRecovering(nvlink: ConditionList, gpu: NvmlGpuCheck, grown: number): void {
  if (grown <= RECOVERIES_PER_HOUR_MAX) return;
  const sum = (of: "replay" | "crc") =>
    (gpu.nvlinks ?? []).reduce((total, link) => total + (link[of] ?? 0), 0);
  const message = `NVLinks of GPU ${gpu.index} recovered ${grown} times within an hour`;
  const metrics = { recovery_errors: grown, replay_errors: sum("replay"), crc_errors: sum("crc") };
  nvlink.add("recovery", "warning", message, { metrics, level: Math.floor(Math.log10(grown)) });
}
