/** How often the agent samples, checks and reports, and how long it waits. Pure. */
import type { AgentConfig } from "../../schema/report.ts";

/** Used until the control plane sends another. */
export const CADENCE: AgentConfig = { heartbeat_ms: 30_000, sample_ms: 10_000, check_ms: 60_000 };
/** Bounds of an ordered cadence: neither a flood nor silence can be ordered. */
const CADENCE_MS = { min: 100, max: 600_000 };

/** The ordered cadence within its bounds. */
export function boundCadence({ heartbeat_ms, sample_ms, check_ms }: AgentConfig): AgentConfig {
  const bound = (ms: number) => Math.min(CADENCE_MS.max, Math.max(CADENCE_MS.min, ms));
  return {
    heartbeat_ms: bound(heartbeat_ms),
    sample_ms: bound(sample_ms),
    check_ms: bound(check_ms),
  };
}

/**
 * The longest time to read one GPU (`nvml/parent.ts` allows more for starting and opening). A
 * healthy check of 8 GPUs takes tens of milliseconds. With the pause of `nvml/pulse.ts` a hang is
 * reported within ten seconds.
 */
export const READ_DEADLINE_MS = 4_000;

/** A heartbeat waits this long for a check under way, so that they share a report. */
export const GRACE_MS = 1_000;
/** The first report waits this long for the first check. */
export const FIRST_GRACE_MS = 2_000;
/** The shortest pause between reads of a busy log: a flood is read in batches. */
export const WAKE_MS = 10;
/** An event of the library waits this long for its line in the kernel log. */
export const EVENT_MS = 2_000;
/** The shortest pause between extra checks, which suspicious readings cause. */
export const EXTRA_CHECK_MS = 10_000;
/** The pause before a reading that decides about a GPU (`ProbeRound.open`). */
export const OPEN_CHECK_MS = 20_000;
/** Memory is stored this long after a round, so that a slow disk does not delay its report. */
export const SAVE_MS = 100;
