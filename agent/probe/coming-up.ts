/**
 * Links train and GPUs join their fabric during the first minutes of a boot. What would be a fault
 * at the end of that time proves nothing before it: until then CUDA does not start on such a GPU
 * ("system not yet initialized", error 802), so a fresh machine must not be taken for verified, nor
 * bought again and again because each one fails ten minutes later. Pure.
 */
import type { NvmlCheck } from "../nvml/reading.ts";
import { fabricProbe } from "./fabric.ts";
import { FABRIC_GRACE_MS, nvlinkProbe } from "./nvlink.ts";
import type { ProbeContext, ProbeMemory } from "./probe.ts";

const REASONS = new Set(["down", "fabric_pending"]);

/** True while a GPU has no link, or no fabric, and may still get it. */
export function isComingUp(check: NvmlCheck, memory: ProbeMemory, ctx: ProbeContext): boolean {
  const leftMs = FABRIC_GRACE_MS - ctx.uptimeMs;
  if (leftMs <= 0) return false;
  const then = { ...ctx, uptimeMs: ctx.uptimeMs + leftMs, monoMs: ctx.monoMs + leftMs };
  const conditions = [nvlinkProbe, fabricProbe].flatMap(
    (probe) => probe.look(check, memory, then).conditions,
  );
  return conditions.some(({ kind, reason }) => kind === "nvlink" && REASONS.has(reason));
}
