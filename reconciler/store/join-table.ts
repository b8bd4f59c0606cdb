/**
 * Join tokens and their uses in the database. A use, its count and its credential are one
 * transaction; the database's index `join_use_ordinal` prevents a second use.
 *
 * Adapter: database.
 */
import { and, eq, lt, sql } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import { JoinToken, JoinUse } from "../../schema/join.ts";
import * as table from "../../schema/table.ts";
import { parseDoc, readDoc } from "./document.ts";
import type { CountedToken, JoinTable } from "../core/store-table.ts";

/** An unreadable token is invalid and does not hide the others. */
function readable({ doc, uses }: { doc: string; uses: number }): CountedToken[] {
  const read = readDoc(JoinToken, doc);
  return read.ok ? [{ token: read.value, uses }] : [];
}

/** `write` is one transaction under the leader's fence. */
export function openJoinTable(
  reader: LibSQLDatabase,
  writer: LibSQLDatabase,
  write: (items: BatchItem<"sqlite">[]) => Promise<unknown>,
): JoinTable {
  const { joinToken, joinUse, credential: credentials } = table;
  const one = async (where: ReturnType<typeof eq>): Promise<CountedToken | null> => {
    const [row] = await reader.select().from(joinToken).where(where);
    return row === undefined ? null : (readable(row)[0] ?? null);
  };
  return {
    async list() {
      const rows = await reader.select().from(joinToken);
      return rows.flatMap(readable).sort((a, b) => b.token.createdAt - a.token.createdAt);
    },
    byId: (id) => one(eq(joinToken.id, id)),
    byHash: (hash) => one(eq(joinToken.hash, hash)),
    async countOpen(now) {
      const rows = await reader.select().from(joinToken);
      const open = rows.flatMap(readable).filter(({ token, uses }) => {
        return token.revokedAt === null && token.expiresAt > now && uses < token.usesMax;
      });
      return open.length;
    },
    async use(token, nonce) {
      const same = and(eq(joinUse.token, token), eq(joinUse.nonce, nonce));
      const [row] = await reader.select().from(joinUse).where(same);
      return row === undefined ? null : parseDoc(JoinUse, row.doc, "join use");
    },
    async save(token) {
      const { id, hash, expiresAt } = token;
      const doc = JSON.stringify(token);
      await write([
        writer
          .insert(joinToken)
          .values({ id, hash, uses: 0, expiresAt, doc })
          .onConflictDoUpdate({ target: joinToken.id, set: { expiresAt, doc } }),
      ]);
    },
    async give({ token, ordinal, nonce, at, use, credential }) {
      const row = { id: credential.id, hash: credential.hash, doc: JSON.stringify(credential) };
      await write([
        writer.insert(joinUse).values({ token, ordinal, nonce, at, doc: JSON.stringify(use) }),
        writer
          .update(joinToken)
          .set({ uses: sql`${joinToken.uses} + 1` })
          .where(eq(joinToken.id, token)),
        writer
          .insert(credentials)
          .values(row)
          .onConflictDoUpdate({ target: credentials.id, set: { doc: row.doc } }),
      ]);
    },
    async forget(id) {
      await write([writer.delete(credentials).where(eq(credentials.id, id))]);
    },
    async trim(before) {
      const old = sql`token IN (SELECT id FROM join_token WHERE expires_at < ${before})`;
      await write([
        writer.delete(joinUse).where(old),
        writer.delete(joinToken).where(lt(joinToken.expiresAt, before)),
      ]);
    },
  };
}
