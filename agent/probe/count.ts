/**
 * Are all GPUs there? Compared with what `expect.ts` says must be there, by UUID, because an index
 * shifts when a neighbour leaves. A lost GPU keeps the identity it had: it is told by name and not
 * as a hole. What stands on the bus and is not listed is `bus.ts`'s to report, and counted here.
 */
import { normalizePci } from "../pci.ts";
import type { NvmlCheck } from "../reading.ts";
import { unlistedGpus } from "./bus.ts";
import { expectGpus, presentGpus } from "./expect.ts";
import {
  type Condition,
  type Probe,
  type ProbeMemory,
  isLost,
  isUnopened,
  onGpu,
  onNode,
} from "./probe.ts";

/** UUIDs known from earlier rounds that are not among the GPUs of this one. */
export function missingUuids(check: NvmlCheck, memory: ProbeMemory): string[] {
  const here = new Set(check.gpus.map((gpu) => gpu.uuid));
  return Object.keys(memory.gpus).filter((uuid) => !here.has(uuid));
}

/** XID 79 in other words: return code 15 (docs/reference/nvml.md#return-codes). */
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
    const wanted = expectGpus(check, memory, ctx);
    const expected = wanted?.gpus ?? null;
    const unlisted = unlistedGpus(check, ctx.bus);
    const present = presentGpus(check);
    const from: Condition["metrics"] = wanted === null ? {} : { expected_from: wanted.from };
    const metrics = { expected: expected ?? present, present, ...from };
    const conditions = lostConditions(check, metrics);
    // `fault.ts` reports those that are listed and cannot be opened.
    const reported = conditions.length + check.gpus.filter(isUnopened).length + unlisted.count;
    const short = Math.max(0, (expected ?? 0) - present - reported);
    // With enough GPUs present a known one that is gone was exchanged, and is no loss.
    const onBus = new Set(unlisted.named.map(({ pci }) => pci));
    const pciOf = (uuid: string) => normalizePci(memory.gpus[uuid]?.pciBusId ?? "") ?? "";
    const isOnBus = (uuid: string) => onBus.has(pciOf(uuid));
    const missing = short > 0 ? missingUuids(check, memory).filter((uuid) => !isOnBus(uuid)) : [];
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
          message: `${present} GPUs present, ${expected} expected (${wanted?.from ?? "unknown"})`,
          metrics,
          level: short - missing.length,
        }),
      );
    }
    const denied = check.denied ?? 0;
    if (denied > 0) conditions.push(deniedCondition(denied, check.count));
    const outcome = conditions.length > 0 ? "finding" : "ok";
    const source = wanted === null ? "" : ` (${wanted.from})`;
    const message = `${present} of ${expected ?? "?"}${source}`;
    return { conditions, outcome, message, learned: {}, blind: [] };
  },
};
