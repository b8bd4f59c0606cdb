import { actOfCall as actOf } from "../../http/route/table.ts";
import { expect, test } from "bun:test";
import { ANY_ROW, type AuditDraft } from "../../../schema/audit.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { MemoryDatabase } from "../../../simulator/engine/sql.ts";
import { openLibsqlStore } from "../../store/libsql.ts";
import { StaleEpoch } from "../../core/store.ts";
import { Audit, KEYS_MAX, WINDOW_MS } from "./audit.ts";
import type { AuditTable } from "../../core/store-table.ts";

const draft: AuditDraft = {
  at: 1,
  refused: false,
  who: "admin",
  role: "admin",
  method: "POST",
  path: "/v1/nodes/n/cordon",
  target: "n",
  code: "ok",
  status: 200,
  remote: "10.0.0.1",
  request: "r",
  verb: "cordon",
  kind: "node",
  namespace: null,
  detail: null,
};
const all = { ...ANY_ROW, limit: 1_000 };

async function open() {
  const database = MemoryDatabase.empty();
  const clients = { writer: database.client(), reader: database.client() };
  const store = await openLibsqlStore({ url: "memory:", now: 1, clients });
  const clock = new VirtualClock();
  const lines: string[] = [];
  const log = (_level: string, message: string): void => void lines.push(message);
  const table = store.auditTable();
  return { clock, lines, table, audit: new Audit({ table, clock, log, actOf }), log };
}

test("share() counts equal refusals of a minute in one row, and begins another after it", async () => {
  const { audit, clock, table } = await open();
  const refusal = { ...draft, refused: true, code: "permission_denied", status: 403 };
  for (let i = 0; i < 5; i++) await audit.share({ ...refusal, at: i });
  await clock.pass(WINDOW_MS);
  // The count was written when the minute ended, without anybody's asking.
  expect(await table.read(all)).toMatchObject([{ count: 5, at: 0, until: 4, refused: true }]);
  await audit.share({ ...refusal, at: 9 });
  expect((await audit.read(all)).map((row) => row.count)).toEqual([1, 5]);
});

test("refused() loses no count to a slow or failed write", async () => {
  const { clock, log, table } = await open();
  const writes: PromiseWithResolvers<void>[] = [];
  const count: AuditTable["count"] = async (rows) => {
    if (rows.length === 0) return;
    const written = Promise.withResolvers<void>();
    writes.push(written);
    await written.promise;
    await table.count(rows);
  };
  const audit = new Audit({ clock, log, actOf, table: { ...table, count } });
  const refusal = { ...draft, refused: true };
  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  await audit.share(refusal);
  await audit.share(refusal);
  const first = audit.flush();
  await settled();
  writes[0]?.reject(new Error("no answer in time"));
  await first;
  await clock.pass(WINDOW_MS);
  await settled();
  // The minute is over and its two are being written.
  for (let i = 0; i < 3; i++) await audit.share(refusal);
  writes[1]?.resolve();
  await settled();
  await clock.pass(WINDOW_MS);
  await settled();
  writes[2]?.resolve();
  await settled();
  expect((await table.read(all)).map((row) => row.count)).toEqual([3, 2]);
});

test("done() has a row for each call, however equal", async () => {
  const { audit } = await open();
  for (let i = 0; i < 3; i++) await audit.done(draft);
  expect(await audit.read({ ...all, refused: false })).toHaveLength(3);
  expect(await audit.read({ ...all, who: ["nobody"] })).toHaveLength(0);
});

test("trim() keeps what was done however much was refused", async () => {
  const { table } = await open();
  for (let i = 0; i < 30; i++) await table.append({ ...draft, at: i, refused: i % 3 !== 0 });
  await table.trim({ done: 8, refused: 2 });
  const rows = await table.read(all);
  expect(rows.filter((row) => row.refused).map((row) => row.at)).toEqual([29, 28]);
  expect(rows.filter((row) => !row.refused)).toHaveLength(8);
  expect(LIMIT.auditKeptMax).toBeGreaterThan(LIMIT.auditRefusedKeptMax);
});

test("trim() takes the oldest rows of whoever has most, so that nobody erases another's", async () => {
  const { table } = await open();
  for (const who of ["ann", "bob", "bob"]) await table.append({ ...draft, who });
  for (let i = 0; i < 20; i++) await table.append({ ...draft, who: "loud", at: i });
  await table.trim({ done: 8, refused: 2 });
  const rows = await table.read(all);
  expect(rows.map(({ who, at }) => [who, at])).toEqual([
    ...[19, 18, 17, 16, 15].map((at) => ["loud", at]),
    ["bob", 1],
    ["bob", 1],
    ["ann", 1],
  ]);
  await table.trim({ done: 8, refused: 2 });
  expect(await table.read(all)).toHaveLength(8);
});

test("a store that cannot be written is told once a call, and a standby's is no error", async () => {
  const { clock, log, lines, table } = await open();
  const failing = (error: Error) =>
    new Audit({ clock, log, actOf, table: { ...table, append: () => Promise.reject(error) } });
  await failing(new StaleEpoch("standby")).done(draft);
  expect(lines).toEqual([]);
  await failing(new Error("disk full")).share({ ...draft, refused: true });
  expect(lines).toEqual(["cannot write the audit log"]);
});

test("share() counts in rows of its own, also where a minute has no more room", async () => {
  const { audit } = await open();
  const refusal = { ...draft, refused: true, code: "permission_denied", status: 403 };
  for (let i = 0; i < KEYS_MAX; i++) await audit.share({ ...refusal, remote: `10.0.0.${i}` });
  for (let i = 0; i < 3; i++) await audit.share({ ...draft, target: `n-${i}` });
  await audit.share({ ...refusal, remote: "10.0.1.1" });
  const rows = (await audit.read(all)).slice(0, 2);
  expect(rows.map(({ who, refused, count }) => [who, refused, count])).toEqual([
    ["several", true, 1],
    ["several", false, 3],
  ]);
});

test("C33: an action has its row before it begins, and the outcome in the same row", async () => {
  const { audit, table } = await open();
  const { code: _, status: __, ...action } = { ...draft, verb: "restart", kind: "pod" };
  const id = await audit.begin(action);
  // A process that ends here leaves what is true: the outcome is unknown.
  expect(await table.read(all)).toMatchObject([{ code: "unknown", status: 0, verb: "restart" }]);
  await audit.settle(id ?? 0, { code: "budget_blocked", status: 429, detail: "hold" });
  const rows = await table.read(all);
  expect(rows).toMatchObject([{ id, code: "budget_blocked", status: 429, detail: "hold" }]);
});

test("C33: a row that cannot be written lets nothing begin", async () => {
  const { clock, log, table, lines } = await open();
  const append: AuditTable["append"] = () => Promise.reject(new Error("disk full"));
  const audit = new Audit({ table: { ...table, append }, clock, log, actOf });
  expect(await audit.begin(draft)).toBeNull();
  expect(lines).toEqual(["cannot write the audit log"]);
});
