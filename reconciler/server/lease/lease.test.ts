import { afterEach, describe, expect, test } from "bun:test";
import { createClient, type Client } from "@libsql/client";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { openLeaseTable } from "../../store/lease.ts";
import type { LeaseTable } from "../../core/store-table.ts";
import { openLibsqlStore } from "../../store/libsql.ts";
import {
  Candidate,
  LEASE_EXPIRY_MS,
  leaseTiming,
  openLockTerm,
  permitOf,
  unfencedMs,
  type Term,
} from "./lease.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

const timing = leaseTiming(12_000);

async function openTable(): Promise<{ table: LeaseTable; client: Client }> {
  const folder = mkdtempSync(join(tmpdir(), "navarch-lease-"));
  const url = `file:${join(folder, "navarch.db")}`;
  await (await openLibsqlStore({ url, now: 1 })).close();
  const client = createClient({ url });
  await client.execute("DELETE FROM lease");
  cleanups.push(() => {
    client.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { table: openLeaseTable(client), client };
}

function candidate(table: LeaseTable, clock: VirtualClock, holder: string): Candidate {
  const log = (): void => undefined;
  return new Candidate({ table, clock, log, timing, holder, address: () => `http://${holder}` });
}

/** Runs until the candidate leads; milliseconds of virtual time that it took. */
async function wins(
  one: Candidate,
  clock: VirtualClock,
  limitMs = 60_000,
): Promise<{ term: Term; tookMs: number }> {
  const begun = clock.monoMs();
  let term: Term | null = null;
  void one.win(() => undefined).then((won) => (term = won));
  while (term === null && clock.monoMs() - begun < limitMs) await clock.pass(100);
  if (term === null) throw new Error("never won");
  return { term, tookMs: clock.monoMs() - begun };
}

/** Every answer of one call of the table comes so much later. */
function slowDown(
  table: LeaseTable,
  call: "take" | "renew",
  clock: VirtualClock,
  ms: number,
): void {
  const after = () => new Promise<void>((resolve) => void clock.after(ms, resolve));
  const { take, renew } = table;
  if (call === "take") table.take = async (...args) => (await after(), take(...args));
  else table.renew = async (...args) => (await after(), renew(...args));
}

describe("leaseTiming()", () => {
  test("leaves 7 of 12 s for a call that nothing can fence, and 3 for slow clocks", () => {
    expect(LEASE_EXPIRY_MS).toBe(12_000);
    const timing = leaseTiming(LEASE_EXPIRY_MS);
    expect(timing).toEqual({ expiryMs: 12_000, renewMs: 2_000, marginMs: 3_000, pollMs: 500 });
    expect(unfencedMs(timing)).toBe(7_000);
    expect(unfencedMs({ expiryMs: 100, renewMs: 20, marginMs: 3, pollMs: 1 })).toBe(77);
  });
});

describe("openLockTerm()", () => {
  test("lasts until it is ended, with the first reason", async () => {
    const term = openLockTerm(7);
    expect([term.epoch, term.remainingMs()]).toEqual([7, Number.POSITIVE_INFINITY]);
    term.end("another writer");
    term.end("later");
    expect(term.remainingMs()).toBe(0);
    expect(await term.lost).toBe("another writer");
  });

  test("release() ends it", async () => {
    const term = openLockTerm(1);
    await term.release();
    expect([term.remainingMs(), await term.lost]).toEqual([0, "released"]);
  });
});

describe("permitOf()", () => {
  const termWith = (restMs: number) => ({ remainingMs: () => restMs });
  const operation = {} as Parameters<ReturnType<typeof permitOf>["mayStart"]>[0];
  test.each([
    [12_000, true, true],
    [7_000, true, true],
    [6_999, true, false],
    [1, true, false],
    [0, false, false],
  ])("with %d ms left of a term: fenced %p, unfenced %p", (restMs, fenced, unfenced) => {
    const permit = permitOf(termWith(restMs), 7_000);
    expect(permit.mayStart(operation, true)).toBe(fenced);
    expect(permit.mayStart(operation, false)).toBe(unfenced);
    expect(permit.leads?.()).toBe(unfenced);
    expect(permit.unfencedMs).toBe(7_000);
  });

  test("nobody else can lead: everything is allowed until the lock is lost", () => {
    expect(permitOf(termWith(1), null).mayStart(operation, false)).toBe(true);
    expect(permitOf(termWith(0), null).mayStart(operation, false)).toBe(false);
    expect(permitOf(termWith(0.5), null).mayStart(operation, false)).toBe(true);
    expect(permitOf(termWith(0), null).leads?.()).toBe(false);
    expect(permitOf(termWith(0.5), null).leads?.()).toBe(true);
    expect(permitOf(termWith(0.5), null).unfencedMs).toBeNull();
  });
});

describe("Candidate", () => {
  test("takes a free lease at once, keeps it by renewing, and nobody else gets it", async () => {
    const { table } = await openTable();
    const clock = new VirtualClock(undefined, 0);
    const { term, tookMs } = await wins(candidate(table, clock, "a"), clock);
    expect(tookMs).toBeLessThanOrEqual(100);
    expect(term.epoch).toBe(1);
    const other = candidate(table, clock, "b");
    let won = false;
    void other.win(() => undefined).then((got) => (won = got !== null));
    for (let i = 0; i < 600; i++) {
      await clock.pass(100);
      // An unfenced call of full length may start whenever a renewal has just been answered.
      expect(term.remainingMs()).toBeGreaterThanOrEqual(unfencedMs(timing) - 200);
    }
    expect(won).toBe(false);
    expect(other.row()).toMatchObject({ holder: "a", epoch: 1, address: "http://a" });
    other.stop();
    term.end("test");
  });

  test("takes over a silent holder within 15 s, never before it stopped acting", async () => {
    const { table } = await openTable();
    const mine = new VirtualClock(undefined, 0);
    const theirs = new VirtualClock(undefined, 0);
    const { term } = await wins(candidate(table, mine, "a"), mine);
    const other = candidate(table, theirs, "b");
    let next: Term | null = null;
    void other.win(() => undefined).then((got) => (next = got));
    for (let i = 0; i < 100; i++) {
      await mine.pass(100);
      await theirs.pass(100);
    }
    // From here on the first one's network is gone: it cannot renew, and says so to itself.
    const dead = table.renew;
    table.renew = async () => {
      throw new Error("no route");
    };
    let tookMs = 0;
    let stoppedMs: number | null = null;
    while (next === null && tookMs < 60_000) {
      await mine.pass(100);
      await theirs.pass(100);
      tookMs += 100;
      if (stoppedMs === null && term.remainingMs() === 0) stoppedMs = tookMs;
    }
    table.renew = dead;
    expect(await term.lost).toBe("the lease was not renewed in time");
    expect(stoppedMs ?? Number.POSITIVE_INFINITY).toBeLessThanOrEqual(tookMs - 1_000);
    expect(tookMs).toBeLessThanOrEqual(13_000);
    expect((next as Term | null)?.epoch).toBe(2);
    (next as Term | null)?.end("test");
  });

  test("a paused holder loses its lease, and cannot renew it", async () => {
    const { table } = await openTable();
    const frozen = new VirtualClock(undefined, 0);
    const clock = new VirtualClock(undefined, 0);
    const { term } = await wins(candidate(table, frozen, "a"), frozen);
    const { term: next, tookMs } = await wins(candidate(table, clock, "b"), clock);
    expect(tookMs).toBeGreaterThanOrEqual(timing.expiryMs);
    expect(next.epoch).toBe(2);
    await frozen.pass(tookMs);
    expect(term.remainingMs()).toBe(0);
    expect(["another process leads", "the lease was not renewed in time"]).toContain(
      await term.lost,
    );
    expect(await table.read()).toMatchObject({ holder: "b", epoch: 2 });
    next.end("test");
  });

  test("release() hands over within one poll", async () => {
    const { table } = await openTable();
    const clock = new VirtualClock(undefined, 0);
    const { term } = await wins(candidate(table, clock, "a"), clock);
    await term.release();
    const { term: next, tookMs } = await wins(candidate(table, clock, "b"), clock);
    expect(tookMs).toBeLessThanOrEqual(timing.pollMs);
    expect(next.epoch).toBe(2);
    next.end("test");
  });

  test("counts its first term from before it asked, less the margin", async () => {
    const { table } = await openTable();
    const clock = new VirtualClock(undefined, 0);
    slowDown(table, "take", clock, 4_000);
    const { term } = await wins(candidate(table, clock, "a"), clock);
    // `wins` looks each 100 ms, so up to that much of the term may be over.
    expect(term.remainingMs()).toBeLessThanOrEqual(timing.expiryMs - timing.marginMs - 4_000);
    expect(term.remainingMs()).toBeGreaterThan(timing.expiryMs - timing.marginMs - 4_200);
    term.end("test");
  });

  test("counts a renewal from before it asked, however late the answer came", async () => {
    const { table } = await openTable();
    const clock = new VirtualClock(undefined, 0);
    const { term } = await wins(candidate(table, clock, "a"), clock);
    slowDown(table, "renew", clock, 3_000);
    let most = 0;
    for (let i = 0; i < 300; i += 1) {
      await clock.pass(100);
      const sinceAskedMs = 3_000;
      if (i > 60) most = Math.max(most, term.remainingMs() + sinceAskedMs);
    }
    expect(most).toBeGreaterThan(timing.expiryMs - timing.marginMs - 200);
    expect(most).toBeLessThanOrEqual(timing.expiryMs - timing.marginMs);
    term.end("test");
  });

  test("a term that is ended during a renewal renews no more", async () => {
    const { table } = await openTable();
    const clock = new VirtualClock(undefined, 0);
    const { term } = await wins(candidate(table, clock, "a"), clock);
    slowDown(table, "renew", clock, 1_000);
    const renew = table.renew;
    let asked = 0;
    table.renew = (...args) => (asked++, renew(...args));
    while (asked === 0) await clock.pass(100);
    term.end("test");
    for (let i = 0; i < 200; i++) await clock.pass(100);
    expect(asked).toBe(1);
  });

  test("an answer that was lost is found: the lease is its own and is taken again", async () => {
    const { table } = await openTable();
    const clock = new VirtualClock(undefined, 0);
    const take = table.take;
    table.take = async (...args) => {
      table.take = take;
      await take(...args);
      throw new Error("the answer was lost");
    };
    const { term, tookMs } = await wins(candidate(table, clock, "a"), clock);
    expect(tookMs).toBeLessThanOrEqual(2 * timing.pollMs + 100);
    expect(term.epoch).toBe(2);
    term.end("test");
  });
});
