/**
 * How often the agent samples, checks and reports: the defaults, and the bounds of what the control
 * plane may order. Pure.
 */
import type { AgentConfig } from "../schema/report.ts";

/** Decision 22, until the control plane says otherwise. */
export const CADENCE: AgentConfig = { heartbeat_ms: 30_000, sample_ms: 10_000, check_ms: 60_000 };
/**
 * A cadence outside these is taken as the nearest one: neither a flood nor silence can be ordered.
 */
const CADENCE_MS = { min: 100, max: 600_000 };

/** The cadence that is kept when this one is ordered. */
export function boundCadence({ heartbeat_ms, sample_ms, check_ms }: AgentConfig): AgentConfig {
  const bound = (ms: number) => Math.min(CADENCE_MS.max, Math.max(CADENCE_MS.min, ms));
  return {
    heartbeat_ms: bound(heartbeat_ms),
    sample_ms: bound(sample_ms),
    check_ms: bound(check_ms),
  };
}

/**
 * The longest that a driver may read one GPU without getting on, or start (`nvml/parent.ts` gives
 * starting and opening more). A healthy check of 8 GPUs takes tens of milliseconds in all. Together
 * with the pause of `nvml/pulse.ts` a hang is reported within ten seconds.
 */
export const READ_DEADLINE_MS = 4_000;
