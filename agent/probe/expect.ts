/**
 * Decides how many GPUs this machine must have, and names the source. Each source is a lower bound:
 * a GPU lost before the start is missing on the bus too. Sources in order of trust: bus,
 * configuration (option, instance type, pool), highest count ever seen. Pure.
 */
import type { Expected } from "../../schema/report.ts";
import type { NvmlCheck } from "../port/reading.ts";
import { awayGpus, managedGpus } from "./bus.ts";
import { type ProbeContext, type ProbeMemory, isLost, isUnopened } from "./probe.ts";

/** `null`: no source states a count. */
export function expectGpus(
  check: Pick<NvmlCheck, "excluded" | "excludedPci">,
  memory: ProbeMemory,
  ctx: Pick<ProbeContext, "bus" | "promised">,
): Expected | null {
  const onBus = managedGpus(ctx.bus, check);
  const away = awayGpus(ctx.bus, check.excluded);
  const sources: Expected[] = [];
  if (onBus !== null) {
    // Excluded GPUs stay on the bus; a driver that hides their addresses reports their number.
    const hidden = check.excludedPci === undefined ? check.excluded : 0;
    sources.push({ gpus: Math.max(0, onBus.length - hidden), from: "bus" });
  }
  const restricted = ctx.bus.kind === "unreadable" && ctx.bus.restricted === true;
  for (const { gpus, from, isOwn = false } of ctx.promised) {
    // Instance type and pool describe the machine; an option may describe this container.
    if (restricted && from !== "option" && !isOwn) continue;
    sources.push({ gpus: Math.max(0, gpus - away), from });
  }
  // An earlier count may stem from another machine type; configuration is newer. A pool that
  // expects none explains a machine without GPUs, and hides no loss on one that had some.
  const isSilent = ctx.promised.every(({ gpus, from }) => gpus === 0 && from !== "option");
  if (isSilent && memory.expected !== null) {
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
