/**
 * One transaction's statements, at most one a table, many rows each. Pure: a change in, SQL out.
 * `json_each` carries the rows, so that a statement's text, and the driver's cache of it, does not
 * grow with them (docs/reference/runtime.md#statements).
 */
import { sql, type SQL } from "drizzle-orm";
import * as v from "valibot";
import type { AuditDraft } from "../../schema/audit.ts";
import { Command } from "../../schema/command.ts";
import { Node, PoolState } from "../../schema/node.ts";
import { Operation } from "../../schema/operation.ts";
import { Fact, factKey } from "../../schema/safety.ts";
import { quarantineStatements } from "./quarantine.ts";
import type { Change } from "../core/store.ts";

/** An invalid document must fail its own transaction, not the next start. */
export function checkDocuments(change: Change): void {
  for (const node of change.nodes) v.parse(Node, node);
  for (const pool of change.pools) v.parse(PoolState, pool);
  for (const operation of change.operations) v.parse(Operation, operation);
  for (const command of change.commands) v.parse(Command, command);
  for (const fact of change.facts) v.parse(Fact, fact);
}

type Cell = string | number | null;
type Row = Cell[];

/**
 * SQLite's json.c turns half of a surrogate pair into invalid UTF-8, on which the driver aborts the
 * process; a NUL truncates the text. Both may come from agents, people and shortened texts.
 */
export function storable<T extends Cell>(cell: T): T | string {
  return typeof cell === "string" ? cell.toWellFormed().replaceAll("\0", "\uFFFD") : cell;
}

/** The rows as a table value, for `INSERT … SELECT value->>0, … FROM`. */
export function each(rows: Row[]): SQL {
  return sql`json_each(${JSON.stringify(rows.map((row) => row.map(storable)))}) WHERE true`;
}

export function listed(ids: readonly (string | number)[]): SQL {
  return sql`(SELECT value FROM json_each(${JSON.stringify(ids.map(storable))}))`;
}

export function changeStatements(change: Change): SQL[] {
  const aside = quarantineStatements(change.quarantined, change.events[0]?.at ?? null);
  const state = [...stateStatements(change), ...factStatements(change)];
  return [...aside, ...state, ...historyStatements(change)];
}

/** What is true now: nodes, pools, operations, orders. */
function stateStatements({ nodes, removedNodes, pools, operations, commands }: Change): SQL[] {
  const out: SQL[] = [];
  if (nodes.length > 0) {
    const rows = nodes.map((node): Row => {
      const held = node.phase.kind === "gone" ? null : node.instance;
      const claim = held === null ? null : `${held.provider}/${held.id}`;
      return [node.id, node.pool, node.phase.kind, claim, JSON.stringify(node)];
    });
    out.push(sql`INSERT INTO node (id, pool, phase, instance, doc)
      SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM ${each(rows)}
      ON CONFLICT (id) DO UPDATE SET pool = excluded.pool, phase = excluded.phase,
        instance = excluded.instance, doc = excluded.doc`);
  }
  if (removedNodes.length > 0) out.push(sql`DELETE FROM node WHERE id IN ${listed(removedNodes)}`);
  if (pools.length > 0) {
    const rows = pools.map((pool): Row => [pool.name, JSON.stringify(pool)]);
    out.push(sql`INSERT INTO pool (name, doc) SELECT value->>0, value->>1 FROM ${each(rows)}
      ON CONFLICT (name) DO UPDATE SET doc = excluded.doc`);
  }
  if (operations.length > 0) {
    const rows = operations.map((one): Row => {
      return [one.id, one.node, one.payload.kind, one.state, one.askedAt, JSON.stringify(one)];
    });
    out.push(sql`INSERT INTO operation (id, node, kind, state, asked_at, doc)
      SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5 FROM ${each(rows)}
      ON CONFLICT (id) DO UPDATE SET state = excluded.state, doc = excluded.doc`);
  }
  if (commands.length > 0) {
    const rows = commands.map((one): Row => {
      return [one.id, one.node, one.state, one.issuedAt, JSON.stringify(one)];
    });
    out.push(sql`INSERT INTO command (id, node, state, issued_at, doc)
      SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM ${each(rows)}
      ON CONFLICT (id) DO UPDATE SET state = excluded.state, doc = excluded.doc`);
  }
  return out;
}

/** Prefix of facts in the table `meta`. */
export const FACT_PREFIX = "fact:";

function factStatements({ facts, removedFacts }: Change): SQL[] {
  const out: SQL[] = [];
  if (facts.length > 0) {
    const rows = facts.map((fact): Row => [FACT_PREFIX + factKey(fact), JSON.stringify(fact)]);
    out.push(sql`INSERT INTO meta (key, value) SELECT value->>0, value->>1 FROM ${each(rows)}
      ON CONFLICT (key) DO UPDATE SET value = excluded.value`);
  }
  if (removedFacts.length > 0) {
    const keys = removedFacts.map((key) => FACT_PREFIX + key);
    out.push(sql`DELETE FROM meta WHERE key IN ${listed(keys)}`);
  }
  return out;
}

/** History and deliveries, which are only appended, and processed inbox rows. */
function historyStatements(change: Change): SQL[] {
  const { events, findings, marks, deliveries, foldedEntries } = change;
  const out: SQL[] = [];
  if (events.length > 0) {
    const rows = events.map((one): Row => {
      return [one.at, one.kind, one.node, one.pool, one.session, one.actor, one.message];
    });
    out.push(sql`INSERT INTO event (at, kind, node, pool, session, actor, message)
      SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6
      FROM ${each(rows)}`);
  }
  if (findings.length > 0) {
    const rows = findings.map(({ node, stream, seq, receivedAt, finding }): Row => {
      const { kind, code } = finding;
      return [node, stream, seq, receivedAt, kind, code ?? null, JSON.stringify(finding)];
    });
    out.push(sql`INSERT INTO finding (node, stream, seq, received_at, kind, code, doc)
      SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6
      FROM ${each(rows)} ON CONFLICT (node, stream, seq) DO NOTHING`);
  }
  out.push(...auditStatements(marks));
  if (deliveries.length > 0) {
    const rows = deliveries.map((one): Row => [one.kind, one.node, one.body, 0, one.notBefore]);
    out.push(sql`INSERT INTO outbox (kind, node, body, attempts, not_before)
      SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM ${each(rows)}`);
  }
  if (foldedEntries.length > 0) {
    out.push(sql`DELETE FROM inbox WHERE id IN ${listed(foldedEntries)}`);
  }
  return out;
}

/** Rows of the audit that belong to a transaction, without calls. */
export function auditStatements(rows: readonly AuditDraft[]): SQL[] {
  if (rows.length === 0) return [];
  const all = rows.map((one): Row => {
    const call = [one.method, one.path, one.target, one.code, one.status, one.remote];
    const mark = one.mark === undefined ? null : JSON.stringify(one.mark);
    const act = [one.verb, one.kind, one.namespace, one.detail, mark];
    return [one.at, one.refused ? 1 : 0, one.who, one.role, ...call, one.request, ...act];
  });
  return [
    sql`INSERT INTO audit (at, refused, who, role, method, path, target, code, status,
        remote, request, verb, kind, namespace, detail, mark, count, until)
      SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7,
        value->>8, value->>9, value->>10, value->>11, value->>12, value->>13, value->>14,
        value->>15, 1, value->>0
      FROM ${each(all)}`,
  ];
}
