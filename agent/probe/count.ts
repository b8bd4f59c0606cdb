/**
 * Reports missing GPUs against the expectation of `expect.ts`, by UUID: an index shifts when a
 * neighbour leaves. A lost GPU keeps its identity. GPUs on the bus that are not listed are counted
 * here and reported by `bus.ts`.
 */
import { normalizePci } from "../kernel/pci.ts";
import type { NvmlCheck } from "../port/reading.ts";
import { unlistedGpus } from "./bus.ts";
import { expectGpus, presentGpus } from "./expect.ts";
import { type Condition, ConditionList, isLost, isUnopened, onNode, wholeNode } from "./probe.ts";
import type { Probe, ProbeContext, ProbeMemory } from "./probe.ts";

/** UUIDs known from earlier rounds that are not among the GPUs of this one. */
export function missingUuids(check: NvmlCheck, memory: ProbeMemory): string[] {
  const here = new Set(check.gpus.map((gpu) => gpu.uuid));
  return Object.keys(memory.gpus).filter((uuid) => !here.has(uuid));
}

/**
 * True without any GPU where nothing says that there is none: an agent watches GPUs, so they may
 * all be missing. A count of zero that is configured, or GPUs on the bus that belong to virtual
 * machines, say it.
 */
export function isUnexplained(check: NvmlCheck, memory: ProbeMemory, ctx: ProbeContext): boolean {
  return check.count === 0 && expectGpus(check, memory, ctx) === null;
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
    const list = new ConditionList("lost", null, metrics);
    // Return code 15, the counterpart of XID 79 (docs/reference/nvml.md#return-codes).
    for (const gpu of check.gpus.filter(isLost)) {
      const message = `GPU ${gpu.index} (${gpu.uuid}) is lost: the driver no longer reaches it`;
      list.add("bus", "fatal", message, { gpu, metrics: { ...metrics, nvml_code: gpu.rc } });
    }
    // `fault.ts` reports those that are listed and cannot be opened.
    const reported = list.all.length + check.gpus.filter(isUnopened).length + unlisted.count;
    const short = Math.max(0, (expected ?? 0) - present - reported);
    // With enough GPUs present, a known one that is gone was exchanged.
    const onBus = new Set(unlisted.named.map(({ pci }) => pci));
    const pciOf = (uuid: string) => normalizePci(memory.gpus[uuid]?.pciBusId ?? "") ?? "";
    const isOnBus = (uuid: string) => onBus.has(pciOf(uuid));
    const missing = short > 0 ? missingUuids(check, memory).filter((uuid) => !isOnBus(uuid)) : [];
    for (const uuid of missing) {
      const gpu = memory.gpus[uuid];
      if (gpu === undefined) continue;
      const message = `GPU ${gpu.index} (${uuid}) is gone: ${present} of ${expected} GPUs listed`;
      list.add("count", "fatal", message, { gpu: { ...gpu, uuid } });
    }
    if (short > missing.length) {
      const source = wanted?.from ?? "unknown";
      const message = `${present} GPUs present, ${expected} expected (${source})`;
      list.add("count", "fatal", message, { level: short - missing.length });
    }
    if (isUnexplained(check, memory, ctx)) {
      const none = "the driver lists no GPU, the PCI bus shows none, and no number is expected";
      const remedy = "give --expected-gpus, 0 on a machine without GPUs";
      const missing = { kind: "driver", reason: "no_gpus", severity: "warning" } as const;
      list.all.push(onNode({ ...missing, message: `${none}: ${remedy}` }));
    }
    const source = wanted === null ? "" : ` (${wanted.from})`;
    const message = `${present} of ${expected ?? "?"}${source}`;
    return wholeNode(list.all, message);
  },
};
