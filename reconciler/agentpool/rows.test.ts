/** The leader's copy of workers and claims of AgentPools after its commits. */
import { expect, test } from "bun:test";
import type { SlotClaim, Worker } from "../../schema/agentpool.ts";
import type { NodeId } from "../../schema/id.ts";
import { KEPT_MS, Rows } from "./rows.ts";

const POOL = { pool: "default/p", poolUid: "pool-1" };
const worker = (name: string): Worker => ({
  ...{ name, ...POOL, generation: 1, at: 1, uid: `${name}-uid`, found: false, joinedAt: 2 },
  ...{ node: name as NodeId, slots: null, lostSince: null, leaving: null },
});
const claim = (id: string, ordinal: number, more: Partial<SlotClaim> = {}): SlotClaim => ({
  ...{ id, ...POOL, label: "", by: "me", ordinal, at: 1, expiresAt: null, state: "running" },
  ...{ worker: "a", slot: 0, placedAt: 1, endedAt: null, ...more },
});
const ended = (id: string, endedAt: number): SlotClaim =>
  claim(id, 1, { state: "released", endedAt });

function rowsOf(workers: Worker[], claims: SlotClaim[]): Rows {
  const rows = new Rows();
  rows.take({ workers, removed: [], claims });
  return rows;
}

test("take() forgets a removed worker under its name, its node and its pool", () => {
  const rows = rowsOf([worker("a"), worker("b")], []);
  rows.take({ workers: [], removed: ["a"], claims: [] });
  expect([rows.worker("a"), rows.ofNode("a")]).toEqual([null, null]);
  expect(rows.workersIn("pool-1").map(({ name }) => name)).toEqual(["b"]);
  rows.take({ workers: [], removed: ["b"], claims: [] });
  expect([...rows.poolUids()]).toEqual([]);
});

test("take() keeps an ended claim for those who ask, and counts it no more", () => {
  const rows = rowsOf([worker("a")], [claim("x", 2), claim("y", 1)]);
  expect(rows.claimsIn("pool-1").map(({ id }) => id)).toEqual(["y", "x"]);
  rows.take({ workers: [], removed: [], claims: [ended("y", 5)] });
  expect(rows.claimsIn("pool-1").map(({ id }) => id)).toEqual(["x"]);
  expect([rows.openIn("pool-1"), rows.claim("y")?.state]).toEqual([1, "released"]);
});

test("take() finds a worker by its newest node alone", () => {
  const rows = rowsOf([worker("a")], []);
  rows.take({ workers: [{ ...worker("a"), node: "other" as NodeId }], removed: [], claims: [] });
  expect([rows.ofNode("a"), rows.ofNode("other")?.name]).toEqual([null, "a"]);
});

test("trim() forgets what ended more than a day ago, and nothing that is open", () => {
  const rows = rowsOf([worker("a")], [claim("open", 1), ended("old", 1_000), ended("new", 1_001)]);
  rows.trim(1_001 + KEPT_MS);
  expect(["open", "old", "new"].map((id) => rows.claim(id)?.id)).toEqual([
    ...["open", undefined, "new"],
  ]);
});

test("read() goes on counting arrivals where the last process ended", async () => {
  const table = {
    read: () => Promise.resolve({ workers: [], claims: [claim("x", 41)] }),
    commit: () => Promise.resolve(),
    trim: () => Promise.resolve(),
  };
  expect((await Rows.read(table)).nextOrdinal()).toBe(42);
});
