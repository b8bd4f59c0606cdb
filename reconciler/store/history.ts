/**
 * Keeps findings and events within their bounds: a node with many rows displaces its own oldest
 * rows and never another's. Rows are deleted a few at a time, so that no transaction is long.
 */
import { type SQL, sql } from "drizzle-orm";
import { LIMIT } from "../../schema/limit.ts";
import type { Change } from "../core/store.ts";

/** Most rows of all nodes together, and of one node. */
export type HistoryLimits = Record<Table, { all: number; node: number }>;

export const HISTORY_LIMITS: HistoryLimits = {
  finding: { all: LIMIT.findingsKeptMax, node: LIMIT.findingsPerNodeMax },
  event: { all: LIMIT.eventsKeptMax, node: LIMIT.eventsPerNodeMax },
};

type Table = "event" | "finding";
const TABLES: readonly Table[] = ["finding", "event"];

/** Rows written between two checks of the bounds. */
const LOOK_EACH = 500;
/** Rows deleted by one transaction, during which nothing else is served: a few milliseconds. */
const TRIM_ROWS = 250;
/** Most transactions of one periodic trim. */
const ROUNDS_MAX = 200;
/** A table over its bound is trimmed this far below it, so that not every check deletes. */
const SLACK = 0.05;
/** Nodes trimmed by one transaction, those with the most to lose first. */
const NODES_MAX = 100;

/** Where rows are counted and deleted. */
export type HistoryDb = {
  counts(query: SQL): Promise<{ node: string | null; rows: number }[]>;
  /** In one transaction. */
  remove(statements: readonly SQL[]): Promise<unknown>;
  /** Yields between two transactions. */
  turn: () => Promise<void>;
};

/** Row counts by node; `null`: rows that concern no node. */
type Counts = Map<string | null, number>;
/** A node, and how many of its newest rows stay. */
export type Keep = [node: string | null, rows: number];

export class History {
  private readonly db: HistoryDb;
  private readonly limits: HistoryLimits;
  private readonly counts = new Map<Table, Counts>();
  private added = 0;

  constructor(db: HistoryDb, limits: HistoryLimits = HISTORY_LIMITS) {
    this.db = db;
    this.limits = limits;
  }

  /** Counts new rows and trims after every 500. Never throws: the next check tries again. */
  async noteCommitted({ findings, events }: Change): Promise<void> {
    for (const { node } of findings) this.add("finding", node);
    for (const { node } of events) this.add("event", node);
    this.added += findings.length + events.length;
    if (this.added < LOOK_EACH) return;
    // Deletes more than was written, to keep up.
    const rounds = Math.ceil(this.added / TRIM_ROWS) + 1;
    this.added = 0;
    for (const table of TABLES) await this.trimTable(table, rounds).catch(() => undefined);
  }

  /** Counts again, because repeated rows were counted but not written, and trims. */
  async trim(): Promise<void> {
    this.counts.clear();
    for (const table of TABLES) await this.trimTable(table, ROUNDS_MAX);
  }

  private add(table: Table, node: string | null): void {
    const counts = this.counts.get(table);
    counts?.set(node, (counts.get(node) ?? 0) + 1);
  }

  private async trimTable(table: Table, roundsMax: number): Promise<void> {
    let counts = this.counts.get(table);
    if (counts === undefined) {
      const rows = await this.db.counts(
        sql.raw(`SELECT node, count(*) AS rows FROM ${table} GROUP BY node`),
      );
      counts = new Map(rows.map(({ node, rows: count }) => [node, count]));
      this.counts.set(table, counts);
    }
    let excess = excessOf(counts, this.limits[table]);
    for (let round = 0; round < roundsMax && excess.length > 0; round++) {
      await this.db.turn();
      excess = await this.removeSome(table, counts, excess);
    }
  }

  /** One transaction; returns what is left to delete. */
  private async removeSome(table: Table, counts: Counts, excess: readonly Keep[]): Promise<Keep[]> {
    const statements: SQL[] = [];
    const left: Keep[] = [];
    let room = TRIM_ROWS;
    for (const [node, keep] of excess) {
      const rows = counts.get(node) ?? 0;
      const some = Math.min(rows - keep, room);
      if (some <= 0 || statements.length === NODES_MAX) {
        left.push([node, keep]);
        continue;
      }
      statements.push(removeStatement(table, node, keep, some));
      room -= some;
      counts.set(node, rows - some);
      if (rows - some > keep) left.push([node, keep]);
    }
    try {
      await this.db.remove(statements);
    } catch (error) {
      this.counts.delete(table);
      throw error;
    }
    return left;
  }
}

/**
 * The nodes that lose rows. If all rows are too many, every node keeps at most `level` rows: the
 * largest number at which all fit. A node below the level loses nothing. Pure.
 */
export function excessOf(
  counts: ReadonlyMap<string | null, number>,
  limits: { all: number; node: number },
): Keep[] {
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  const capped = sorted.map(([, rows]) => Math.min(rows, limits.node));
  const total = capped.reduce((sum, rows) => sum + rows, 0);
  const target = Math.floor(limits.all * (1 - SLACK));
  const level = total > limits.all ? levelOf(capped, target) : Infinity;
  const own = Math.floor(limits.node * (1 - SLACK));
  const excess: Keep[] = [];
  for (const [node, rows] of sorted) {
    const kept = Math.min(rows > limits.node ? own : rows, level);
    if (kept < rows) excess.push([node, kept]);
  }
  return excess;
}

/** The largest number of rows per node at which all nodes have at most `target` rows. */
function levelOf(descending: readonly number[], target: number): number {
  let below = descending.reduce((sum, rows) => sum + rows, 0);
  for (const [above, rows] of descending.entries()) {
    // The total if all larger nodes are cut to this node's rows. At the first node that is the sum
    // of all rows, which is too many.
    if (below + above * rows <= target) return Math.floor((target - below) / above);
    below -= rows;
  }
  return Math.floor(target / Math.max(1, descending.length));
}

/** Deletes at most `rows` of the node's oldest rows and always keeps the `keep` newest. */
function removeStatement(table: Table, node: string | null, keep: number, rows: number): SQL {
  const name = sql.raw(table);
  return sql`DELETE FROM ${name} WHERE id IN (
    SELECT id FROM ${name} WHERE node IS ${node} AND id <= (
      SELECT id FROM ${name} WHERE node IS ${node} ORDER BY id DESC LIMIT 1 OFFSET ${keep})
    ORDER BY id LIMIT ${rows})`;
}
