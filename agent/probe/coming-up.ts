/**
 * Recognises a node that is still coming up: links, the fabric and the first driver may appear
 * minutes after boot. Until then a check is inconclusive: without the fabric CUDA does not start
 * ("system not yet initialized", error 802), so the machine is neither verified nor faulty. Pure.
 */
import type { NvmlAnswer, NvmlCheck } from "../port/reading.ts";
import { fabricProbe } from "./fabric.ts";
import { FABRIC_GRACE_MS, nvlinkProbe } from "./nvlink.ts";
import type { ProbeContext, ProbeMemory } from "./probe.ts";

/** Reasons of the two probes below for links that may still come up. */
const REASONS = new Set(["down", "fabric_pending"]);

/** The GPU Operator builds and loads a driver in this time on a fresh node. */
const INSTALL_MS = 600_000;

/**
 * True while the first driver of a fresh machine may still be installed: by a first-boot script or
 * by the GPU Operator, which may start after the agent.
 */
export function isInstalling(
  answer: NvmlAnswer<NvmlCheck>,
  { driverVersion }: Pick<ProbeMemory, "driverVersion">,
  { uptimeMs }: Pick<ProbeContext, "uptimeMs">,
): boolean {
  if (answer.kind !== "failed" || driverVersion !== null || uptimeMs >= INSTALL_MS) return false;
  return answer.failure.reason === "library" || answer.failure.reason === "driver";
}

/** True while links or fabric of a GPU may still come up. */
export function isComingUp(check: NvmlCheck, memory: ProbeMemory, ctx: ProbeContext): boolean {
  const leftMs = FABRIC_GRACE_MS - ctx.uptimeMs;
  if (leftMs <= 0) return false;
  const then = { ...ctx, uptimeMs: ctx.uptimeMs + leftMs, monoMs: ctx.monoMs + leftMs };
  const conditions = [nvlinkProbe, fabricProbe].flatMap(
    (probe) => probe.look(check, memory, then).conditions,
  );
  return conditions.some(({ reason }) => REASONS.has(reason));
}
