/**
 * How many GPUs this machine must have, and who says so. Each source is a lower bound: a GPU that
 * fell off the bus before the start is missing from the bus too, and only the pool knows of it.
 * The order of trust is bus, what was promised (option, instance type, pool), and the most that was
 * ever seen; among equal numbers the first one is named. Pure.
 */
import type { Expected } from "../../schema/report.ts";
import type { NvmlCheck } from "../reading.ts";
import { awayGpus, managedGpus } from "./bus.ts";
import { type ProbeContext, type ProbeMemory, isLost, isUnopened } from "./probe.ts";

/** `null`: nothing says how many there should be. */
export function expectGpus(
  check: Pick<NvmlCheck, "excluded" | "excludedPci">,
  memory: ProbeMemory,
  ctx: Pick<ProbeContext, "bus" | "promised">,
): Expected | null {
  const onBus = managedGpus(ctx.bus, check);
  const away = awayGpus(ctx.bus, check.excluded);
  const sources: Expected[] = [];
  if (onBus !== null) {
    // Excluded GPUs stay on the bus; a driver that does not tell their addresses tells the number.
    const hidden = check.excludedPci === undefined ? check.excluded : 0;
    sources.push({ gpus: Math.max(0, onBus.length - hidden), from: "bus" });
  }
  const restricted = ctx.bus.kind === "unreadable" && ctx.bus.restricted === true;
  for (const { gpus, from } of ctx.promised) {
    // Instance type and pool speak of the machine; an option may speak of this container.
    if (restricted && from !== "option") continue;
    sources.push({ gpus: Math.max(0, gpus - away), from });
  }
  // What was seen once may have been another machine type: a promise is newer knowledge.
  if (ctx.promised.length === 0 && memory.expected !== null) {
    const given = awayGpus(ctx.bus, 0);
    sources.push({ gpus: Math.max(0, memory.expected - given), from: "baseline" });
  }
  return sources.reduce<Expected | null>(
    (most, source) => (most === null || source.gpus > most.gpus ? source : most),
    null,
  );
}

/** GPUs that answer, or exist and may not be opened by this process. */
export function presentGpus(check: NvmlCheck): number {
  const answering = check.gpus.filter((gpu) => !isLost(gpu) && !isUnopened(gpu));
  return answering.length + (check.denied ?? 0);
}
