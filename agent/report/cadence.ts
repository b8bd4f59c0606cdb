/**
 * How often the agent samples, checks and reports: the defaults, and the bounds of what the control
 * plane may order. Pure.
 */
import type { AgentConfig } from "../../schema/report.ts";

/** Used until the control plane sends another. */
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

/**
 * A heartbeat that falls together with a check waits this long for it, so that they share a report.
 */
export const GRACE_MS = 1_000;
/** The first report waits this long for the first check; after that it goes without. */
export const FIRST_GRACE_MS = 2_000;
/**
 * A log that moves all the time is looked at this often: a flood comes in batches of a few dozen
 * records, and each look has a price of its own.
 */
export const WAKE_MS = 10;
/** An event that waits for the log to say the same is looked at again after this time. */
export const EVENT_MS = 2_000;
/** A reading that looks wrong asks for a check at once, but not more often than this. */
export const EXTRA_CHECK_MS = 10_000;
/** What a round learned is stored once its report is out: a slow disk holds up no news. */
export const SAVE_MS = 100;
