/**
 * How a node is emptied. Each place that may say something about draining is read on its own;
 * `mergeDrain` then takes each field from the nearest place that has it.
 */
import type { Drain } from "../../schema/config.ts";
import { formatDuration } from "../../schema/duration.ts";
import type { Section } from "./section.ts";

export type DrainPart = { [Key in keyof Drain]: Drain[Key] | null };

/** The guide's `kubectl drain` flags; half an hour for the whole; then hardware decides. */
const DEFAULT: Drain = {
  mode: "evict",
  gracePeriodMs: 300_000,
  ignoreDaemonsets: true,
  deleteEmptydirData: true,
  force: false,
  timeoutMs: 1_800_000,
  fatalTimeoutMs: 600_000,
  onTimeout: "auto",
  unknownWaitMs: 60_000,
};

export function readDrain(drain: Section): DrainPart {
  const part: DrainPart = {
    mode: drain.choice("mode", ["evict", "wait"]),
    gracePeriodMs: readGrace(drain),
    ignoreDaemonsets: drain.flag("ignore_daemonsets"),
    deleteEmptydirData: drain.flag("delete_emptydir_data"),
    force: drain.flag("force"),
    timeoutMs: drain.duration("timeout"),
    fatalTimeoutMs: drain.duration("fatal_timeout"),
    onTimeout: drain.choice("on_timeout", ["auto", "terminate", "hold"]),
    unknownWaitMs: drain.duration("unknown_wait"),
  };
  drain.finish();
  warnCut(drain, part);
  return part;
}

/** At the drain's deadline the machine ends, whatever grace a pod still has. */
function warnCut(drain: Section, { gracePeriodMs, timeoutMs, fatalTimeoutMs }: DrainPart): void {
  const entry = drain.look("grace_period");
  if (entry === null || gracePeriodMs === null || gracePeriodMs <= 0) return;
  for (const [key, ms] of [
    ["timeout", timeoutMs],
    ["fatal_timeout", fatalTimeoutMs],
  ] as const) {
    if (ms === null || ms === 0 || gracePeriodMs <= ms) continue;
    const limit = `${key} (${formatDuration(ms)})`;
    const message = `is longer than ${limit}, which cuts each pod's grace short`;
    drain.problems.warning(entry.value.at, entry.path, "range", message);
  }
}

/** −1 leaves each pod its own grace period. */
function readGrace(drain: Section): number | null {
  const entry = drain.look("grace_period");
  if (entry?.value.kind === "scalar" && entry.value.value === -1) return -1;
  return drain.duration("grace_period");
}

/**
 * Nearest place first. Whoever sets only the time for the whole drain means it for broken hardware
 * too.
 */
export function mergeDrain(parts: readonly DrainPart[]): Drain {
  const pick = <Key extends keyof Drain>(key: Key): Drain[Key] => {
    for (const part of parts) {
      const value = part[key];
      if (value !== null) return value;
    }
    return DEFAULT[key];
  };
  const fatal = (): number => {
    for (const { fatalTimeoutMs, timeoutMs } of parts) {
      const value = fatalTimeoutMs ?? timeoutMs;
      if (value !== null) return value;
    }
    return DEFAULT.fatalTimeoutMs;
  };
  return {
    mode: pick("mode"),
    gracePeriodMs: pick("gracePeriodMs"),
    ignoreDaemonsets: pick("ignoreDaemonsets"),
    deleteEmptydirData: pick("deleteEmptydirData"),
    force: pick("force"),
    timeoutMs: pick("timeoutMs"),
    fatalTimeoutMs: fatal(),
    onTimeout: pick("onTimeout"),
    unknownWaitMs: pick("unknownWaitMs"),
  };
}
