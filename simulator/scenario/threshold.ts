/**
 * Conditions on the report's figures: `stress.thresholds` of a file and `--fail-on`. The names are
 * the report's own, so that a reader of one can write the other.
 */
import type { Section } from "../../reconciler/config/section.ts";
import { nearest } from "../../schema/nearest.ts";
import { type Bare, parseBound } from "./bound.ts";
import { FAILURE_TYPES } from "./action.ts";
import type { Threshold } from "./scenario.ts";
import { wordOf } from "./value.ts";

type Kind = { bare: Bare; isDuration: boolean };
const LEAST: Kind = { bare: "min", isDuration: false };
const MOST: Kind = { bare: "max", isDuration: false };
const SPAN: Kind = { bare: "max", isDuration: true };

/** What a bare figure means for each name. Durations become milliseconds. */
export const THRESHOLDS = {
  nodes_started: LEAST,
  nodes_failed_to_start: MOST,
  /** From the start of the fleet until its last agent registered. */
  startup_time: SPAN,
  /** Mean of the cold starts that machines really had. */
  cold_start_mean: SPAN,
  cold_start_min: SPAN,
  cold_start_max: SPAN,
  peak_healthy_nodes: LEAST,
  min_healthy_nodes: LEAST,
  avg_healthy_nodes: LEAST,
  /** Lowest share of healthy nodes of all nodes after the start. */
  min_healthy_percent: LEAST,
  total_failures: MOST,
  cascading_failures: MOST,
  correlated_failures: MOST,
  /** Longest chain of a cascade. */
  cascade_depth: MOST,
  total_recoveries: MOST,
  total_outages: MOST,
  /** Outages still open at the end. */
  active_outages: MOST,
  avg_latency: SPAN,
  max_latency: SPAN,
  p99_latency: SPAN,
  detection_p50: SPAN,
  detection_p99: SPAN,
  detection_max: SPAN,
  replace_p50: SPAN,
  replace_p99: SPAN,
  replace_max: SPAN,
  launches: MOST,
  terminations: MOST,
  duplicate_launches: MOST,
  undrained_terminations: MOST,
  max_concurrent_unavailable: MOST,
  frozen_seconds: MOST,
  undetected: MOST,
  false_positives: MOST,
  /** Samples in the timeline. */
  samples: MOST,
  rss_mb: MOST,
} as const satisfies Record<string, Kind>;

/** More names than this is no question a person asks. */
const THRESHOLDS_MAX = 500;

function kindOf(name: string): Kind | null {
  const plain = Object.entries(THRESHOLDS).find(([key]) => key === name);
  if (plain !== undefined) return plain[1];
  const type = /^failures_(.+)$/.exec(name)?.[1];
  if (type !== undefined) return FAILURE_TYPES.some((one) => one === type) ? MOST : null;
  return /^xid_\d{1,4}$/.test(name) ? MOST : null;
}

function hintOf(name: string): string {
  const names = [...Object.keys(THRESHOLDS), ...FAILURE_TYPES.map((one) => `failures_${one}`)];
  const close = nearest(name, names);
  return close === null ? "also failures_<type>, xid_<code>" : `did you mean "${close}"?`;
}

/** Reads the mapping `thresholds`. */
export function readThresholds(section: Section): Threshold[] {
  const entry = section.look("thresholds");
  if (entry === null) return [];
  const found: Threshold[] = [];
  const map = section.map("thresholds");
  if (entry.value.kind !== "map") return [];
  if (entry.value.entries.length > THRESHOLDS_MAX) {
    section.fail("thresholds", "limit", `has more than ${THRESHOLDS_MAX} names`);
    return [];
  }
  for (const one of entry.value.entries) {
    const text = wordOf(map, one.key);
    const kind = kindOf(one.key);
    if (kind === null) {
      const hint = hintOf(one.key);
      section.problems.error(one.at, one.path, "unknown_field", "unknown threshold", hint);
    } else if (text === null) map.missing(one.key, "a bound such as 5 or >=5");
    else {
      const answer = parseBound(text, kind.bare, kind.isDuration);
      if (answer.ok) found.push({ name: one.key, bound: answer.bound, line: one.at.line });
      else map.fail(one.key, "bound", answer.message, answer.hint);
    }
  }
  return found;
}

export type ThresholdsAnswer =
  | { ok: true; thresholds: Threshold[] }
  | { ok: false; message: string };

/**
 * Reads `--fail-on`: `detection_p99<=20s,min_healthy_percent=60`. Line 0: not from a file.
 */
export function parseThresholds(text: string): ThresholdsAnswer {
  const thresholds: Threshold[] = [];
  for (const part of text.split(",").filter((one) => one.trim() !== "")) {
    const match = /^\s*([a-z0-9_]+)\s*(?:[:=](?!=)|(?=[<>=]))\s*(.+)$/.exec(part);
    const [name = "", figure = ""] = match === null ? [] : match.slice(1);
    if (match === null) {
      return { ok: false, message: `"${part.trim()}" is not a threshold (write NAME<=FIGURE)` };
    }
    const kind = kindOf(name);
    if (kind === null) {
      return { ok: false, message: `unknown threshold "${name}" (${hintOf(name)})` };
    }
    const answer = parseBound(figure, kind.bare, kind.isDuration);
    if (!answer.ok) return { ok: false, message: `${name}: ${answer.message} (${answer.hint})` };
    thresholds.push({ name, bound: answer.bound, line: 0 });
  }
  return { ok: true, thresholds };
}
