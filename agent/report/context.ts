/** What the probes judge by, besides the readings. Pure. */
import type { ProbeContext } from "../probe/probe.ts";
import type { AgentParts } from "./part.ts";

/** `bootMonoMs` is the monotonic time of the boot. */
export function contextOf(parts: AgentParts, bootMonoMs: number): ProbeContext {
  const { clock, identity, nvml } = parts;
  return {
    bootId: identity.bootId,
    wallMs: clock.wallMs(),
    monoMs: clock.monoMs(),
    uptimeMs: Math.max(0, clock.monoMs() - bootMonoMs),
    promised: parts.promises.all(),
    bus: parts.readBus(),
    simulated: nvml.simulated,
  };
}
