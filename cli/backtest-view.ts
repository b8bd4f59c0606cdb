/**
 * Formats a backtest as text and as data.
 */
import type { CompiledPolicy } from "../health/policy/compile.ts";
import { formatTime } from "./age.ts";
import { type Backtest, countTouched, type Touched } from "./backtest.ts";
import { ASSUMPTIONS, type Replay, type Touch } from "./replay.ts";
import { formatTable, plain, type Style } from "./table.ts";

export type Tested = { backtest: Backtest; candidate: Replay; active: Replay };

const isoOf = (at: number | null): string | null =>
  at === null ? null : new Date(at).toISOString();

export function dataOf({ backtest, candidate, active }: Tested): object {
  const counts = countTouched(backtest);
  return {
    candidate: nameOf(candidate.policy),
    active: nameOf(active.policy),
    findings: backtest.findings,
    nodes: backtest.nodes,
    forgotten_nodes: backtest.unknown,
    cut: backtest.cut,
    from: isoOf(backtest.fromAt),
    to: isoOf(backtest.toAt),
    summary: {
      candidate: counts.candidate,
      active: counts.active,
      only_candidate: counts.onlyCandidate,
      only_active: counts.onlyActive,
      both: counts.both,
    },
    touched: backtest.touched.map((one) => ({
      node_id: one.node,
      pool: one.pool,
      change: one.change.replace(" ", "_"),
      candidate: touchOf(one.candidate),
      active: touchOf(one.active),
    })),
    rules: backtest.rules.map(({ rule, candidate: own, active: theirs }) => ({
      rule,
      candidate: { hits: own.hits, shadow_hits: own.shadowHits },
      active: { hits: theirs.hits, shadow_hits: theirs.shadowHits },
    })),
    errors: [...candidate.errors].map(([rule, message]) => ({ rule, message })),
    assumptions: ASSUMPTIONS,
  };
}

function nameOf({ policy }: CompiledPolicy): object {
  return { name: policy.name, hash: policy.hash };
}

function touchOf(touch: Touch | null): object | null {
  if (touch === null) return null;
  return {
    isolated_at: isoOf(touch.isolatedAt),
    replaced_at: isoOf(touch.replacedAt),
    rule: touch.rule,
    version: touch.version,
    because: touch.because,
    assumed: touch.assumed,
  };
}

export function formatBacktest({ backtest }: Tested, style: Style): string {
  const parts: string[] = [];
  const { touched, rules } = backtest;
  if (touched.length > 0) {
    const head = ["Node ID", "Pool", "Touched By", "Cordoned", "Replaced", "Rule", "Why"];
    parts.push(formatTable(head, touched.map(cellsOf), style));
  }
  if (rules.length > 0) {
    const rows = rules.map(({ rule, candidate, active }) => [
      rule,
      formatHits(candidate),
      formatHits(active),
    ]);
    parts.push(formatTable(["Rule", "Candidate Hits", "Active Hits"], rows, style));
  }
  parts.push(formatSummary(backtest));
  parts.push(`What the record does not hold:\n${ASSUMPTIONS.map((a) => `- ${a}\n`).join("")}`);
  return parts.join("\n");
}

function formatHits({ hits, shadowHits }: { hits: number; shadowHits: number }): string {
  return shadowHits === 0 ? String(hits) : `${hits} (shadow ${shadowHits})`;
}

function cellsOf(one: Touched): string[] {
  const touch = one.candidate ?? one.active;
  if (touch === null) throw new Error(`no policy touched ${one.node}`);
  return [
    one.node,
    one.pool ?? "",
    one.change,
    formatTime(new Date(touch.isolatedAt).toISOString()),
    touch.replacedAt === null ? "" : formatTime(new Date(touch.replacedAt).toISOString()),
    touch.rule,
    plain(touch.assumed ? `${touch.because} (duration assumed)` : touch.because),
  ];
}

function formatSummary(backtest: Backtest): string {
  const { candidate, active, onlyCandidate, onlyActive, both } = countTouched(backtest);
  const { findings, nodes, unknown, cut, fromAt, toAt } = backtest;
  const span = fromAt === null ? "" : `, ${isoOf(fromAt)} to ${isoOf(toAt)}`;
  const forgotten = unknown === 0 ? "" : `, ${unknown} of them forgotten by the control plane`;
  const lines = [
    `Replayed ${findings} findings of ${nodes} nodes${forgotten}${span}`,
    `The candidate would touch ${candidate} nodes, the active policy ${active}: ` +
      `${onlyCandidate} more, ${onlyActive} fewer, ${both} by both`,
  ];
  if (cut) lines.push(`The record is longer: only its first ${findings} findings were replayed`);
  return `${lines.join("\n")}\n`;
}
