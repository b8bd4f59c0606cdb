/**
 * Reports NVLinks that are down: those that were up before, that the GPU's model has (`model.ts`),
 * or, on an unlisted model, whose neighbours are up. A card without a bridge has all links down and
 * is healthy. Sleep is not down, and links train after a boot.
 */
import { ConditionList, type Look, type Probe, isDenied, lookAtEach } from "./probe.ts";
import type { NvmlGpuCheck, NvmlLink } from "../port/reading.ts";
import { type LinkPromise, isLinkedNode, promisedLinks } from "./link-promise.ts";
import { isMute } from "./mute.ts";
import { nextWindow } from "./window.ts";

/** NVLink training and the fabric manager take minutes on the largest baseboards. */
export const FABRIC_GRACE_MS = 600_000;

/** A recovery retrains a whole link: one an hour is normal, ten are a bad cable or board. */
const RECOVERIES_PER_HOUR_MAX = 10;

/** Link states as named in nvml.h; before R520 only the first two exist. */
export const LINK_STATE = { INACTIVE: 0, ACTIVE: 1, SLEEP: 2, ACTIVE_TRAFFIC_DISABLED: 3 } as const;
const { INACTIVE, ACTIVE, ACTIVE_TRAFFIC_DISABLED } = LINK_STATE;

/** What tells the number of links, and their states. */
const CALLS = ["field.91", "nvmlDeviceGetNvLinkState"];

export const nvlinkProbe: Probe = {
  name: "nvlink",
  kinds: ["nvlink/inactive", "nvlink/down", "nvlink/missing", "nvlink/recovery"],
  look(check, memory, ctx) {
    const bootChanged = memory.bootId !== ctx.bootId;
    const neighbours = check.gpus.some((gpu) => gpu.nvlinks?.some((one) => one.state === ACTIVE));
    const linked = isLinkedNode(check);
    return lookAtEach(check, CALLS, (gpu): Look => {
      const { active, recoveries, known } = sumUp(gpu.nvlinks ?? []);
      const promise = promisedLinks(gpu, linked);
      const settled = ctx.uptimeMs >= FABRIC_GRACE_MS;
      const nvlink = new ConditionList("nvlink", gpu);
      if (!known) {
        const isDue = settled && (promise.links ?? 0) > 0;
        if (isDue && !isDenied(gpu, CALLS) && !isMute(gpu)) addUnseen(nvlink, gpu, promise);
        return { read: nvlink.all.length > 0, conditions: nvlink.all };
      }
      const before = memory.gpus[gpu.uuid];
      const seen = bootChanged ? [] : (before?.linksSeen ?? []);
      const linksSeen = [...new Set([...seen, ...active])].sort((a, b) => a - b);
      const linkErrors = nextWindow(before?.linkErrors ?? null, recoveries, ctx.monoMs);
      addRecovering(nvlink, gpu, linkErrors.grown);
      if (settled) addInactive(nvlink, gpu, { linksSeen, promise, neighbours });
      return { read: true, conditions: nvlink.all, learned: { linksSeen, linkErrors } };
    });
  },
};

type LinkSum = {
  /** Numbers of the links that are up. */
  active: number[];
  recoveries: number;
  /** True if the driver reports the state of any link. */
  known: boolean;
};

/** One pass without closures: eight GPUs have 144 links. */
function sumUp(links: readonly NvmlLink[]): LinkSum {
  const sum: LinkSum = { active: [], recoveries: 0, known: false };
  for (const { link, state, recovery } of links) {
    if (state !== null) sum.known = true;
    if (state === ACTIVE) sum.active.push(link);
    sum.recoveries += recovery ?? 0;
  }
  return sum;
}

/** Neither up nor asleep: a trained link whose traffic is switched off carries nothing. */
const isDown = ({ state }: NvmlLink) => state === INACTIVE || state === ACTIVE_TRAFFIC_DISABLED;

function addInactive(
  nvlink: ConditionList,
  gpu: NvmlGpuCheck,
  from: { linksSeen: readonly number[]; promise: LinkPromise; neighbours: boolean },
): void {
  const { linksSeen, promise, neighbours } = from;
  const links = gpu.nvlinks ?? [];
  const down = links.filter(isDown).map((link) => link.link);
  const promised = promise.links ?? 0;
  if (promised > 0 && links.every((link) => isDown(link) || link.state === null)) {
    return addAllDown(nvlink, gpu, promised);
  }
  // All links must be up on a full model, and on an unlisted one with active neighbours; otherwise
  // only those that were up before.
  const all = promise.links === null ? neighbours : promised > 0 && !promise.partial;
  const wrong = all ? down : down.filter((link) => linksSeen.includes(link));
  const [first] = wrong;
  if (first === undefined) {
    if (!promise.partial) addMissing(nvlink, gpu, promised);
    return;
  }
  const count = `${wrong.length} of ${links.length}`;
  const message = `GPU ${gpu.index}: ${count} NVLinks are down (${wrong.join(", ")})`;
  const metrics = { inactive: wrong.length, total: links.length, state: INACTIVE };
  const more = { metrics: { link_id: first, ...metrics }, level: wrong.length };
  nvlink.add("inactive", "serious", message, more);
}

/** Without any link, a job over several GPUs fails. */
function addAllDown(nvlink: ConditionList, gpu: NvmlGpuCheck, expected: number): void {
  const message = `GPU ${gpu.index}: no NVLink is up, ${gpu.name} has ${expected}`;
  const metrics = { inactive: gpu.nvlinks?.length ?? 0, total: expected, state: INACTIVE };
  nvlink.add("down", "serious", message, { metrics, level: expected });
}

/** The driver lists fewer links than the model has. */
function addMissing(nvlink: ConditionList, gpu: NvmlGpuCheck, expected: number): void {
  const present = gpu.nvlinks?.length ?? 0;
  if (present >= expected) return;
  const count = `${present} of ${expected}`;
  const message = `GPU ${gpu.index} (${gpu.name}): the driver lists ${count} NVLinks`;
  const metrics = { present, total: expected };
  nvlink.add("missing", "warning", message, { metrics, level: expected - present });
}

/** The driver reports no state of the model's links: none listed counts as down. */
function addUnseen(nvlink: ConditionList, gpu: NvmlGpuCheck, promise: LinkPromise): void {
  const { index, name, nvlinks } = gpu;
  const expected = promise.links ?? 0;
  if (nvlinks?.length === 0) return addAllDown(nvlink, gpu, expected);
  const message = `GPU ${index}: the driver does not report the ${expected} NVLinks of ${name}`;
  nvlink.add("missing", "warning", message, { metrics: { total: expected }, level: expected });
}

function addRecovering(nvlink: ConditionList, gpu: NvmlGpuCheck, grown: number): void {
  if (grown <= RECOVERIES_PER_HOUR_MAX) return;
  const sum = (of: "replay" | "crc") =>
    (gpu.nvlinks ?? []).reduce((total, link) => total + (link[of] ?? 0), 0);
  const message = `NVLinks of GPU ${gpu.index} recovered ${grown} times within an hour`;
  const metrics = { recovery_errors: grown, replay_errors: sum("replay"), crc_errors: sum("crc") };
  nvlink.add("recovery", "warning", message, { metrics, level: Math.floor(Math.log10(grown)) });
}
