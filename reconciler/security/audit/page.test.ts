/** C11: pages of the audit log give every row of a filter exactly once, also while rows arrive. */
import { actOfCall as actOf } from "../../http/route/table.ts";
import { expect, test } from "bun:test";
import fc from "fast-check";
import { ANY_ROW, type AuditDraft, type AuditQuery } from "../../../schema/audit.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { MemoryDatabase } from "../../../simulator/engine/sql.ts";
import { openLibsqlStore } from "../../store/libsql.ts";
import { isObject, withAct } from "./act.ts";
import { Audit } from "./audit.ts";

const name = fc.constantFrom("a", "b", "a/b");
const draft: fc.Arbitrary<AuditDraft> = fc.record({
  at: fc.integer({ min: 0, max: 20 }),
  refused: fc.boolean(),
  who: fc.constantFrom("admin", "token:x", "anonymous"),
  role: fc.constant("admin"),
  method: fc.constantFrom("POST", "DELETE"),
  path: fc.constantFrom("/v1/nodes/a/cordon", "/v1/pools/a/hold", "/v1/none"),
  target: fc.option(name),
  code: fc.constantFrom("ok", "conflict"),
  status: fc.constant(200),
  remote: fc.constant("10.0.0.1"),
  request: fc.constant("r"),
  // `null` is what a row of an older release has.
  verb: fc.option(fc.constantFrom("cordon", "hold", "restart")),
  kind: fc.option(fc.constantFrom("node", "pod", "a")),
  namespace: fc.option(name),
  detail: fc.constant(null),
});
const instant = fc.option(fc.integer({ min: 0, max: 20 }));
const query: fc.Arbitrary<AuditQuery> = fc.record({
  who: fc.option(fc.subarray(["admin", "token:x"])),
  since: instant,
  until: instant,
  before: fc.constant(null),
  verb: fc.option(fc.constantFrom("cordon", "hold", "restart", "resume", "create")),
  kind: fc.option(fc.constantFrom("node", "pod", "pool", "a")),
  object: fc.option(fc.constantFrom("a", "b", "node/a", "a/b", "pod/a/b", "a/a/b")),
  refused: fc.option(fc.boolean()),
  code: fc.option(fc.constantFrom("ok", "conflict")),
  limit: fc.integer({ min: 1, max: 7 }),
});

async function open() {
  const database = MemoryDatabase.empty();
  const clients = { writer: database.client(), reader: database.client() };
  const store = await openLibsqlStore({ url: "memory:", now: 1, clients });
  const table = store.auditTable();
  return {
    table,
    audit: new Audit({ table, clock: new VirtualClock(), log: () => undefined, actOf }),
  };
}

/** The filter in its own words. */
function isAsked(asked: AuditQuery, row: ReturnType<typeof withAct>): boolean {
  return (
    (asked.who === null || asked.who.includes(row.who)) &&
    (asked.since === null || row.until >= asked.since) &&
    (asked.until === null || row.at <= asked.until) &&
    (asked.refused === null || row.refused === asked.refused) &&
    (asked.code === null || row.code === asked.code) &&
    (asked.verb === null || row.verb === asked.verb) &&
    (asked.kind === null || row.kind === asked.kind) &&
    (asked.object === null || isObject(row, asked.object))
  );
}

test("C11: pages give every row once, newest first, whatever the filter and what is added", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(draft, { maxLength: 40 }),
      fc.array(draft, { minLength: 1, maxLength: 5 }),
      query,
      async (before, later, asked) => {
        const { table, audit } = await open();
        for (const one of before) await table.append(one);
        const rows = (await table.read({ ...ANY_ROW, limit: 1_000 })).map((row) =>
          withAct(row, actOf),
        );
        const wanted = rows.filter((row) => isAsked(asked, row)).map(({ id }) => id);
        const seen: number[] = [];
        for (let cursor: number | null = null, turn = 0; ; turn++) {
          const page = await audit.page({ ...asked, before: cursor });
          seen.push(...page.rows.map(({ id }) => id));
          expect(page.rows.length).toBeLessThanOrEqual(asked.limit);
          if (page.next === null) break;
          expect(page.rows.length).toBe(asked.limit);
          cursor = page.next;
          await table.append(later[turn % later.length] ?? before[0] ?? (later[0] as AuditDraft));
          await audit.share({ ...(later[0] as AuditDraft), at: turn });
        }
        expect(seen).toEqual(wanted);
      },
    ),
    { numRuns: 150 },
  );
});

test("C11: a page finds what matches behind thousands of rows that do not", async () => {
  const { table, audit } = await open();
  const [row] = fc.sample(draft, 1) as [AuditDraft];
  await table.append({ ...row, verb: null, kind: null, method: "POST", path: "/v1/upgrade" });
  for (let i = 0; i < 2_500; i++) await table.append({ ...row, verb: null, path: "/v1/none" });
  const page = await audit.page({ ...ANY_ROW, verb: "start", limit: 10 });
  expect(page.rows).toMatchObject([{ id: 1, kind: "upgrade" }]);
  expect(page.next).toBeNull();
});
