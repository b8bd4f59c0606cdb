/**
 * Audit rows in the database. Equal refusals within a minute raise a count. Refused and completed
 * calls are trimmed separately, so that a flood of refusals does not displace completed calls, and
 * the author with the most rows loses the oldest: nobody can displace what others did.
 *
 * Adapter: database.
 */
import { and, desc, eq, gte, inArray, isNotNull, isNull, lt, lte, or, sql } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import * as v from "valibot";
import { AuditMark } from "../../schema/audit.ts";
import * as table from "../../schema/table.ts";
import { LIMIT } from "../../schema/limit.ts";
import type { AuditTable } from "../core/store-table.ts";

/** Rows deleted at once, so that no transaction is long. */
const TRIM_ROWS = 2_000;

/** In the four ways in which an object is named, or by a name that a marked node has elsewhere. */
function isObject(object: string) {
  const { kind, namespace, target, mark } = table.audit;
  const named = sql`EXISTS (SELECT 1 FROM json_each(${mark}, '$.names') WHERE value = ${object})`;
  return or(
    eq(target, object),
    and(isNotNull(mark), named),
    eq(sql`${kind} || '/' || ${target}`, object),
    eq(sql`${namespace} || '/' || ${target}`, object),
    eq(sql`${kind} || '/' || ${namespace} || '/' || ${target}`, object),
  );
}

function readMark(text: string | null): AuditMark | null {
  return text === null ? null : v.parse(AuditMark, JSON.parse(text));
}

/** `write` is one transaction under the leader's fence. */
export function openAuditTable(
  reader: LibSQLDatabase,
  writer: LibSQLDatabase,
  write: (items: BatchItem<"sqlite">[]) => Promise<unknown[]>,
): AuditTable {
  const { audit } = table;
  const trimOf = (refused: number, kept: number): BatchItem<"sqlite"> =>
    writer.run(sql`DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE refused = ${refused}
      AND who = (SELECT who FROM audit WHERE refused = ${refused}
        GROUP BY who ORDER BY count(*) DESC, who LIMIT 1)
      ORDER BY id LIMIT max(0, min(${TRIM_ROWS},
        (SELECT count(*) FROM audit WHERE refused = ${refused}) - ${kept})))`);
  return {
    async append(draft) {
      const mark = draft.mark === undefined ? null : JSON.stringify(draft.mark);
      const row = { ...draft, mark, refused: draft.refused ? 1 : 0, count: 1, until: draft.at };
      const [made] = await write([writer.insert(audit).values(row).returning({ id: audit.id })]);
      return (made as { id: number }[])[0]?.id ?? 0;
    },
    async settle(id, outcome) {
      await write([writer.update(audit).set(outcome).where(eq(audit.id, id))]);
    },
    async count(rows) {
      if (rows.length === 0) return;
      await write(
        rows.map(({ id, count, until }) =>
          writer.update(audit).set({ count, until }).where(eq(audit.id, id)),
        ),
      );
    },
    async read({ who, since, until, before, verb, kind, object, refused, code, limit }) {
      // Rows of older releases have no verb; the caller judges those.
      const isOld = isNull(audit.verb);
      const where = [
        who === null ? undefined : inArray(audit.who, [...who]),
        since === null ? undefined : gte(audit.until, since),
        until === null ? undefined : lte(audit.at, until),
        before === null ? undefined : lt(audit.id, before),
        verb === null ? undefined : or(isOld, eq(audit.verb, verb)),
        kind === null ? undefined : or(isOld, eq(audit.kind, kind)),
        object === null ? undefined : or(isOld, isObject(object)),
        refused === null ? undefined : eq(audit.refused, refused ? 1 : 0),
        code === null ? undefined : eq(audit.code, code),
      ];
      const rows = await reader
        .select()
        .from(audit)
        .where(and(...where))
        .orderBy(desc(audit.id))
        .limit(limit);
      return rows.map((row) => ({ ...row, refused: row.refused === 1, mark: readMark(row.mark) }));
    },
    async authors() {
      const rows = await reader.selectDistinct({ who: audit.who }).from(audit);
      return rows.map(({ who }) => who);
    },
    async trim({ done, refused }) {
      await write([trimOf(0, done), trimOf(1, refused)]);
    },
  };
}

/** Marks written between two trims. */
const TRIM_EACH = 500;

/** Trims the rows of marks, which come with changes of the fleet; calls trim after their own. */
export class MarkTrim {
  private readonly table: Pick<AuditTable, "trim">;
  private written = 0;

  constructor(table: Pick<AuditTable, "trim">) {
    this.table = table;
  }

  /** Never throws: the next one tries again. */
  async note(marks: number): Promise<void> {
    this.written += marks;
    if (this.written < TRIM_EACH) return;
    this.written = 0;
    const kept = { done: LIMIT.auditKeptMax, refused: LIMIT.auditRefusedKeptMax };
    await this.table.trim(kept).catch(() => undefined);
  }
}
