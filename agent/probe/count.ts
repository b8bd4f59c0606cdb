/**
 * Are all GPUs there? Compared with what the instance type promises and with the most that was ever
 * seen, by UUID, because an index shifts when a neighbour leaves. A lost GPU keeps the identity it
 * had: it is told by name and not as a hole.
 */
import type { NvmlCheck } from "../nvml/reading.ts";
import {
  type Condition,
  type Probe,
  type ProbeContext,
  type ProbeMemory,
  isLost,
  isUnopened,
  onGpu,
  onNode,
} from "./probe.ts";

/**
 * GPUs that must be there: the promise if there is one, else the baseline; excluded ones do not
 * count.
 */
export function expectedGpus(
  check: Pick<NvmlCheck, "excluded">,
  memory: ProbeMemory,
  ctx: ProbeContext,
): number | null {
  if (ctx.expectedGpus !== null) return Math.max(0, ctx.expectedGpus - check.excluded);
  return memory.expected;
}

/** GPUs that answer, or exist and may not be opened by this process. */
export function presentGpus(check: NvmlCheck): number {
  const answering = check.gpus.filter((gpu) => !isLost(gpu) && !isUnopened(gpu));
  return answering.length + (check.denied ?? 0);
}

/** UUIDs known from earlier rounds that are not among the GPUs of this one. */
export function missingUuids(check: NvmlCheck, memory: ProbeMemory): string[] {
  const here = new Set(check.gpus.map((gpu) => gpu.uuid));
  return Object.keys(memory.gpus).filter((uuid) => !here.has(uuid));
}

/** XID 79 in other words: return code 15 (gpu/nvml.md §8). */
function lostConditions(check: NvmlCheck, metrics: Condition["metrics"]): Condition[] {
  return check.gpus.filter(isLost).map((gpu) =>
    onGpu(gpu, {
      kind: "lost",
      reason: "bus",
      severity: "fatal",
      message: `GPU ${gpu.index} (${gpu.uuid}) is lost: the driver no longer reaches it`,
      metrics: { ...metrics, nvml_code: gpu.rc },
    }),
  );
}

/** No verdict on the GPUs: this process lacks a permission that it needs to see them all. */
function deniedCondition(denied: number, listed: number): Condition {
  return onNode({
    kind: "driver",
    reason: "permission",
    severity: "warning",
    message: `${denied} of ${listed} GPUs may not be opened by this process: they are not checked`,
    metrics: { denied, listed },
    level: denied,
  });
}

export const countProbe: Probe = {
  name: "count",
  kinds: [],
  look(check, memory, ctx) {
    const expected = expectedGpus(check, memory, ctx);
    const present = presentGpus(check);
    const metrics = { expected: expected ?? present, present };
    const conditions = lostConditions(check, metrics);
    // `fault.ts` reports those that are listed and cannot be opened.
    const listed = conditions.length + check.gpus.filter(isUnopened).length;
    const short = Math.max(0, (expected ?? 0) - present - listed);
    // With enough GPUs present a known one that is gone was exchanged, and is no loss.
    const missing = short > 0 ? missingUuids(check, memory) : [];
    for (const uuid of missing) {
      const gpu = memory.gpus[uuid];
      if (gpu === undefined) continue;
      conditions.push(
        onGpu(
          { ...gpu, uuid },
          {
            kind: "lost",
            reason: "count",
            severity: "fatal",
            message: `GPU ${gpu.index} (${uuid}) is gone: ${present} of ${expected} GPUs listed`,
            metrics,
          },
        ),
      );
    }
    if (short > missing.length) {
      conditions.push(
        onNode({
          kind: "lost",
          reason: "count",
          severity: "fatal",
          message: `${present} GPUs present, ${expected} expected`,
          metrics,
          level: short - missing.length,
        }),
      );
    }
    const denied = check.denied ?? 0;
    if (denied > 0) conditions.push(deniedCondition(denied, check.count));
    const outcome = conditions.length > 0 ? "finding" : "ok";
    const message = `${present} of ${expected ?? "?"}`;
    return { conditions, outcome, message, learned: {}, blind: [] };
  },
};
