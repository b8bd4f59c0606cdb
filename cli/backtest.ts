/**
 * Compares two policies on one record: which nodes each would have cordoned or replaced. Pure.
 */
import { LIMIT } from "../schema/limit.ts";
import type { RecordedFinding } from "../schema/past.ts";
import type { Replay, RuleHits, Touch } from "./replay.ts";
import { parseInstant } from "../schema/instant.ts";

/** Findings read by one backtest, some minutes of work; a longer record is cut, with a note. */
export const FINDINGS_MAX = 1_000_000;

export type Change = "only candidate" | "only active" | "both";

export type Touched = {
  node: string;
  pool: string | null;
  change: Change;
  candidate: Touch | null;
  active: Touch | null;
};

export type Backtest = {
  findings: number;
  nodes: number;
  /** Nodes whose records the control plane removed. */
  unknown: number;
  /** The record is longer than `FINDINGS_MAX`. */
  cut: boolean;
  fromAt: number | null;
  toAt: number | null;
  touched: Touched[];
  rules: { rule: string; candidate: RuleHits; active: RuleHits }[];
};

/** Rows may come in pages of any size; rows of one report are adjacent. */
export class Backtester {
  private readonly candidate: Replay;
  private readonly active: Replay;
  private batch: RecordedFinding[] = [];
  private readonly nodes = new Map<string, { pool: string | null; known: boolean }>();
  private findings = 0;
  private fromAt: number | null = null;
  private toAt: number | null = null;
  private cut = false;

  constructor(candidate: Replay, active: Replay) {
    this.candidate = candidate;
    this.active = active;
  }

  /** False once it has enough. */
  take(row: RecordedFinding): boolean {
    if (this.findings >= FINDINGS_MAX) {
      this.cut = true;
      return false;
    }
    const at = parseInstant(row.received_at);
    this.findings++;
    this.fromAt = Math.min(this.fromAt ?? at, at);
    this.toAt = Math.max(this.toAt ?? at, at);
    this.nodes.set(row.node_id, { pool: row.node.pool, known: row.node.known });
    const [first] = this.batch;
    const isSame = first?.node_id === row.node_id && first.received_at === row.received_at;
    const isFull = this.batch.length >= LIMIT.findingsPerReportMax;
    if (first !== undefined && (!isSame || isFull)) this.flush();
    this.batch.push(row);
    return true;
  }

  private flush(): void {
    this.candidate.take(this.batch);
    this.active.take(this.batch);
    this.batch = [];
  }

  /** `nowMs` is the end of the record: held findings count until then. */
  end(nowMs: number): Backtest {
    this.flush();
    const until = Math.max(nowMs, this.toAt ?? nowMs);
    for (const replay of [this.candidate, this.active]) replay.end(until);
    const unknown = [...this.nodes.values()].filter((one) => !one.known).length;
    const { findings, cut, fromAt, toAt } = this;
    const touched = this.touched();
    const rules = this.rules();
    return { findings, nodes: this.nodes.size, unknown, cut, fromAt, toAt, touched, rules };
  }

  private touched(): Touched[] {
    const ids = new Set([...this.candidate.touches.keys(), ...this.active.touches.keys()]);
    const all = [...ids].map((node): Touched => {
      const candidate = this.candidate.touches.get(node) ?? null;
      const active = this.active.touches.get(node) ?? null;
      const pool = this.nodes.get(node)?.pool ?? null;
      return { node, pool, change: changeOf(candidate, active), candidate, active };
    });
    const order: Change[] = ["only candidate", "only active", "both"];
    return all.sort(
      (a, b) => order.indexOf(a.change) - order.indexOf(b.change) || (a.node < b.node ? -1 : 1),
    );
  }

  private rules(): Backtest["rules"] {
    const none: RuleHits = { hits: 0, shadowHits: 0 };
    const names = new Set([...this.candidate.hits.keys(), ...this.active.hits.keys()]);
    return [...names].sort().map((rule) => ({
      rule,
      candidate: this.candidate.hits.get(rule) ?? none,
      active: this.active.hits.get(rule) ?? none,
    }));
  }
}

function changeOf(candidate: Touch | null, active: Touch | null): Change {
  if (active === null) return "only candidate";
  return candidate === null ? "only active" : "both";
}

export function countTouched({ touched }: Backtest) {
  const of = (change: Change): number => touched.filter((one) => one.change === change).length;
  const both = of("both");
  const onlyCandidate = of("only candidate");
  const onlyActive = of("only active");
  return {
    candidate: both + onlyCandidate,
    active: both + onlyActive,
    onlyCandidate,
    onlyActive,
    both,
  };
}
