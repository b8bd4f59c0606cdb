/**
 * The history in which rules with a time window count. Pure. One fault prints several lines, so
 * lines close together count as one occurrence every five minutes, in any order.
 */
import { countOf } from "../../schema/article.ts";
import type { Finding } from "../../schema/finding.ts";
import type { FindingHistory, PastFinding, Repeats } from "../../schema/held.ts";
import type { PolicyRule } from "../../schema/policy.ts";
import { parseInstant } from "../../schema/instant.ts";

/**
 * Lines of one fault come within milliseconds, a crashing program's within seconds. A longer gap
 * would merge two faults, a shorter one would count a fault twice and replace a node for it.
 */
const STRETCH_GAP_MS = 5_000;
/**
 * Lines that go on for longer tell of a fault that comes back: each further five minutes of a
 * stretch are one more occurrence. It is far above what one fault prints, so that none counts
 * twice.
 */
const OCCURRENCE_MS = 300_000;
/** Occurrences remembered for one rule on one GPU. A rule that needs more is refused. */
export const REPEATS_MAX = 64;
/** The longest window of the built-in rules. */
const KEEP_MS_MIN = 24 * 3_600_000;
/** Bound of the stored list (`FindingHistory`). */
const ENTRIES_MAX = 256;
/** Of these, for shadow rules, where the deciding rules leave room. */
const SHADOW_ENTRIES_MAX = 64;
/** A code within this time explains XID 45. */
const FOLLOW_MS = 30_000;

/** The GPU in keys: UUID, else address, else index, else the node. */
export function gpuOf(finding: Finding): string {
  const { gpu_uuid: uuid, pci, gpu_index: index } = finding;
  return (uuid || pci || (typeof index === "number" ? `gpu-${index}` : "node")).slice(0, 96);
}

/** Milliseconds since the epoch, by the node's clock. */
export function atOf(finding: Finding): number {
  return parseInstant(finding.at);
}

/** The link of codes that are counted per link. */
function linkOf(finding: Finding): number | null {
  const { code } = finding;
  if (finding.kind !== "xid" || typeof code !== "number") return null;
  if (code !== 74 && code !== 136 && (code < 144 || code > 150)) return null;
  const link = finding.metrics?.link;
  return typeof link === "number" ? link : null;
}

function entryOf(finding: Finding, rule: string, isShadow: boolean): PastFinding {
  const at = atOf(finding);
  return {
    rule,
    kind: finding.kind,
    code: finding.code ?? null,
    gpu: gpuOf(finding),
    link: linkOf(finding),
    fromAt: at,
    toAt: at,
    count: 1,
    ...(isShadow ? { shadow: true } : {}),
  };
}

/** Equal for findings of one coded fault on one GPU and link; `null` without a code. */
export function faultKeyOf(finding: Finding): string | null {
  const code = finding.code ?? null;
  return code === null ? null : `${finding.kind}\n${code}\n${gpuOf(finding)}\n${linkOf(finding)}`;
}

function keyOf(entry: PastFinding): string {
  const { rule, kind, code, gpu, link } = entry;
  return `${rule}\n${kind}\n${code}\n${gpu}\n${link}\n${entry.shadow === true}`;
}

function order(a: PastFinding, b: PastFinding): number {
  return a.fromAt - b.fromAt || (keyOf(a) < keyOf(b) ? -1 : 1);
}

/** A finding and a rule that matched it. */
export type Remembered = { finding: Finding; rule: string; isShadow?: boolean };

/** Adds findings, each joining the stretches that it touches. Keys are formed once: it is hot. */
export function remember(
  history: FindingHistory,
  added: readonly Remembered[],
): readonly PastFinding[] {
  if (added.length === 0) return history;
  const byKey = Map.groupBy(history, keyOf);
  for (const { finding, rule, isShadow = false } of added) {
    const entry = entryOf(finding, rule, isShadow);
    const key = keyOf(entry);
    byKey.set(key, join(byKey.get(key) ?? [], entry));
  }
  const keyed = [...byKey].flatMap(([key, entries]) => entries.map((entry) => ({ key, entry })));
  keyed.sort((a, b) => a.entry.fromAt - b.entry.fromAt || (a.key < b.key ? -1 : 1));
  return keyed.map(({ entry }) => entry);
}

function join(stretches: readonly PastFinding[], joined: PastFinding): PastFinding[] {
  const rest: PastFinding[] = [];
  for (const entry of stretches) {
    const near =
      entry.fromAt - STRETCH_GAP_MS <= joined.toAt && entry.toAt + STRETCH_GAP_MS >= joined.fromAt;
    if (!near) {
      rest.push(entry);
      continue;
    }
    joined.fromAt = Math.min(joined.fromAt, entry.fromAt);
    joined.toAt = Math.max(joined.toAt, entry.toAt);
    joined.count += entry.count;
  }
  return [...rest, joined];
}

/**
 * Drops entries out of reach of every window around `atMs`, also later ones: a clock may have
 * jumped ahead. Then drops the oldest beyond the bounds, shadows' first.
 */
export function prune(
  history: FindingHistory,
  atMs: number,
  rules: { deciding: readonly PolicyRule[]; shadow: readonly PolicyRule[] },
): PastFinding[] {
  const own = history.filter((entry) => entry.shadow !== true);
  const kept = pruneTo(ENTRIES_MAX, own, atMs, rules.deciding);
  if (own.length === history.length) return kept;
  const room = Math.min(SHADOW_ENTRIES_MAX, ENTRIES_MAX - kept.length);
  const others = history.filter((entry) => entry.shadow === true);
  return [...kept, ...pruneTo(room, others, atMs, rules.shadow)].sort(order);
}

function pruneTo(
  entriesMax: number,
  history: FindingHistory,
  atMs: number,
  rules: readonly PolicyRule[],
): PastFinding[] {
  const keepMs = Math.max(KEEP_MS_MIN, ...rules.map((rule) => rule.repeat?.withinMs ?? 0));
  const seen = new Map<string, number>();
  const kept: PastFinding[] = [];
  for (const entry of [...history].reverse()) {
    if (entry.toAt < atMs - keepMs || entry.fromAt > atMs + keepMs) continue;
    const of = keyOf(entry);
    const before = seen.get(of) ?? 0;
    if (before >= REPEATS_MAX || kept.length >= entriesMax) continue;
    seen.set(of, before + 1);
    kept.push(entry);
  }
  return kept.reverse();
}

/** Occurrences in the part of a stretch that lies between two times; 0 outside. */
function occurrencesOf(entry: PastFinding, fromAt = -Infinity, toAt = Infinity): number {
  const [from, to] = [Math.max(entry.fromAt, fromAt), Math.min(entry.toAt, toAt)];
  return to < from ? 0 : 1 + Math.floor((to - from) / OCCURRENCE_MS);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

/** How often a rule matched around this finding: on its GPU and link, or on the node. */
export function countRepeats(
  history: FindingHistory,
  finding: Finding,
  rule: string,
  repeat: NonNullable<PolicyRule["repeat"]>,
): number {
  const at = atOf(finding);
  const gpu = gpuOf(finding);
  const link = linkOf(finding);
  const own = history.filter(
    (entry) =>
      entry.rule === rule &&
      (repeat.by === "node" || (entry.gpu === gpu && (link === null || entry.link === link))),
  );
  const { withinMs } = repeat;
  return sum(own.map((entry) => occurrencesOf(entry, at - withinMs, at + withinMs)));
}

/**
 * How often this fault is in the history, on its GPU and link; `null` if it is not counted there.
 * A code is one fault under every rule, other findings have only their rule.
 */
export function repeatsOf(history: FindingHistory, finding: Finding, rule: string): Repeats | null {
  const code = finding.code ?? null;
  const gpu = gpuOf(finding);
  const link = linkOf(finding);
  const own = history.filter(
    (entry) =>
      entry.shadow !== true &&
      entry.kind === finding.kind &&
      entry.code === code &&
      (code !== null || entry.rule === rule) &&
      entry.gpu === gpu &&
      entry.link === link,
  );
  if (own.length === 0) return null;
  const lines = sum(own.map(({ count }) => count));
  return { lines, occurrences: sum(own.map((entry) => occurrencesOf(entry))) };
}

export function formatRepeats({ lines, occurrences }: Repeats): string {
  return `${countOf(lines, "line")}, ${countOf(occurrences, "occurrence")}`;
}

/** A link error without registers, as NVML reports it. */
function isBareLinkError(finding: Finding): boolean {
  const { code, metrics } = finding;
  if (typeof code !== "number" || (code !== 74 && (code < 144 || code > 150))) return false;
  return linkOf(finding) === null && metrics?.intr_info === undefined;
}

/**
 * True if another finding explains this one: XID 45 with a cause in its text or another XID around
 * it, and a link error without registers beside the same one with them.
 */
export function isFollowed(
  finding: Finding,
  report: readonly Finding[],
  history: FindingHistory,
): boolean {
  if (finding.kind !== "xid") return false;
  if (finding.code === 45 && finding.metrics?.root_xid !== undefined) return true;
  const bare = isBareLinkError(finding);
  if (finding.code !== 45 && !bare) return false;
  const at = atOf(finding);
  const gpu = gpuOf(finding);
  const explains = (kind: string, code: number | null, link: number | null): boolean =>
    kind === "xid" && (bare ? code === finding.code && link !== null : code !== 45);
  return (
    report.some(
      (other) =>
        other !== finding &&
        explains(other.kind, other.code ?? null, linkOf(other)) &&
        gpuOf(other) === gpu &&
        Math.abs(atOf(other) - at) <= FOLLOW_MS,
    ) ||
    history.some(
      (entry) =>
        entry.shadow !== true &&
        explains(entry.kind, entry.code, entry.link) &&
        entry.gpu === gpu &&
        entry.fromAt - FOLLOW_MS <= at &&
        entry.toAt + FOLLOW_MS >= at,
    )
  );
}
