/**
 * What is not there yet in the first minutes of a boot, and may still come: links, the fabric, the
 * first driver. What would be a fault at the end of that time proves nothing before it. Without the
 * fabric CUDA does not start on a GPU ("system not yet initialized", error 802), so a fresh machine
 * must not be taken for verified, nor bought again and again because each one fails ten minutes
 * later. Pure.
 */
import type { NvmlAnswer, NvmlCheck } from "../reading.ts";
import { fabricProbe } from "./fabric.ts";
import { FABRIC_GRACE_MS, nvlinkProbe } from "./nvlink.ts";
import type { ProbeContext, ProbeMemory } from "./probe.ts";

/** What the two probes below say of links that may still come. */
const REASONS = new Set(["down", "fabric_pending"]);

/** The GPU Operator builds and loads a driver in this time on a fresh node. */
const INSTALL_MS = 600_000;

/**
 * True while the first driver of a fresh machine may still be on its way: images without one get it
 * from a first-boot script or from the GPU Operator, which may well start after the agent.
 */
export function isInstalling(
  answer: NvmlAnswer<NvmlCheck>,
  { driverVersion }: Pick<ProbeMemory, "driverVersion">,
  { uptimeMs }: Pick<ProbeContext, "uptimeMs">,
): boolean {
  if (answer.kind !== "failed" || driverVersion !== null || uptimeMs >= INSTALL_MS) return false;
  return answer.failure.reason === "library" || answer.failure.reason === "driver";
}

/** True while a GPU has no link, or no fabric, and may still get it. */
export function isComingUp(check: NvmlCheck, memory: ProbeMemory, ctx: ProbeContext): boolean {
  const leftMs = FABRIC_GRACE_MS - ctx.uptimeMs;
  if (leftMs <= 0) return false;
  const then = { ...ctx, uptimeMs: ctx.uptimeMs + leftMs, monoMs: ctx.monoMs + leftMs };
  const conditions = [nvlinkProbe, fabricProbe].flatMap(
    (probe) => probe.look(check, memory, then).conditions,
  );
  return conditions.some(({ reason }) => REASONS.has(reason));
}
