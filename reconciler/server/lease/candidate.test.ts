/** A candidate and its term to the millisecond, on the lease's table in memory. */
import { describe, expect, test } from "bun:test";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { MemoryClient, MemoryDatabase } from "../../../simulator/engine/sql.ts";
import { openLeaseTable } from "../../store/lease.ts";
import type { LeaseTable } from "../../core/store-table.ts";
import { openLibsqlStore } from "../../store/libsql.ts";
import { Candidate, leaseTiming, type Term } from "./lease.ts";

const TIMING = leaseTiming(12_000);

async function setUp() {
  const database = MemoryDatabase.empty();
  const [writer, reader] = [new MemoryClient(database), new MemoryClient(database)];
  await openLibsqlStore({ url: "memory:", now: 1, clients: { writer, reader } });
  await reader.execute("DELETE FROM lease");
  const clock = new VirtualClock(undefined, 0);
  const table = openLeaseTable(reader);
  const lines: unknown[][] = [];
  const log = (...line: unknown[]) => void lines.push(line);
  const candidate = (holder = "a") =>
    new Candidate({
      table,
      clock,
      log,
      timing: TIMING,
      holder,
      address: () => `http://${holder}`,
    });
  const sql = (text: string) => reader.execute(text);
  return { clock, table, lines, candidate, sql };
}
type SetUp = Awaited<ReturnType<typeof setUp>>;

/** The row of another process, which does nothing. */
const HELD = `INSERT INTO lease (name, holder, epoch, renewal, expires_at, address, writes)
  VALUES ('leader', 'z', 4, 3, 0, 'http://z', 0)`;

function run(one: Candidate) {
  const looks: boolean[] = [];
  const state: { term: Term | null; done: boolean } = { term: null, done: false };
  const won = one.win((ok) => looks.push(ok));
  void won.then((term) => Object.assign(state, { term, done: true }));
  return { looks, state };
}

/** A term that has just begun, and the instants of its renewals since then. */
async function lead({ clock, table, candidate }: SetUp) {
  const { state } = run(candidate());
  await clock.pass(0);
  const { term } = state;
  if (term === null) throw new Error("did not win");
  const why: string[] = [];
  void term.lost.then((reason) => why.push(reason));
  const begunMono = clock.monoMs();
  const asked: number[] = [];
  const { renew } = table;
  const answer: { of: LeaseTable["renew"] } = { of: renew };
  table.renew = (...args) => {
    asked.push(clock.monoMs() - begunMono);
    return answer.of(...args);
  };
  return { term, why, asked, answer, renew };
}

describe("Candidate.win()", () => {
  test("waits the whole expiry from its own first look, and looks twice a second", async () => {
    const { clock, candidate, sql } = await setUp();
    await sql(HELD);
    const one = candidate();
    expect(one.row()).toBeNull();
    const { looks, state } = run(one);
    await clock.pass(11_999);
    expect([state.done, looks.length, looks.every(Boolean)]).toEqual([false, 24, true]);
    const row = { holder: "z", epoch: 4, renewal: 3, address: "http://z", writes: 0 };
    expect(one.row()).toEqual(row);
    const begun = clock.wallMs();
    await clock.pass(1);
    expect(state.term?.epoch).toBe(5);
    expect(looks).toHaveLength(24);
    const { rows } = await sql("SELECT holder, epoch, renewal, expires_at, address FROM lease");
    const taken = ["a", 5, 0, begun + 1 + 12_000, "http://a"];
    expect([0, 1, 2, 3, 4].map((i) => rows[0]?.[i])).toEqual(taken);
    state.term?.end("test");
  });

  test.each([
    ["holder", "holder = 'y'"],
    ["epoch", "epoch = 5"],
    ["renewal", "renewal = 4"],
  ])("begins to wait again when another %s is seen", async (_what, change) => {
    const { clock, candidate, sql } = await setUp();
    await sql(HELD);
    const { state } = run(candidate());
    await clock.pass(5_900);
    await sql(`UPDATE lease SET ${change}`);
    await clock.pass(6_000 + 12_000 - 5_901);
    expect(state.done).toBe(false);
    await clock.pass(1);
    expect(state.term).not.toBeNull();
    state.term?.end("test");
  });

  test("does not wait when only the count of changes or the address is another", async () => {
    const { clock, candidate, sql } = await setUp();
    await sql(HELD);
    const one = candidate();
    const { state } = run(one);
    await clock.pass(5_900);
    await sql("UPDATE lease SET writes = 9, address = 'http://y'");
    await clock.pass(200);
    expect(one.row()).toMatchObject({ writes: 9, address: "http://y" });
    await clock.pass(12_000 - 6_100);
    expect(state.term).not.toBeNull();
    state.term?.end("test");
  });

  test("takes at once what was given back, what is its own and what was never held", async () => {
    for (const change of ["UPDATE lease SET holder = ''", "UPDATE lease SET holder = 'a'"]) {
      const { clock, candidate, sql } = await setUp();
      await sql(HELD);
      await sql(change);
      const { state } = run(candidate());
      await clock.pass(0);
      expect(state.term?.epoch).toBe(5);
      state.term?.end("test");
    }
    const { clock, candidate, sql } = await setUp();
    await sql(HELD);
    const one = candidate();
    const { state } = run(one);
    await clock.pass(100);
    await sql("DELETE FROM lease");
    await clock.pass(400);
    expect(state.term?.epoch).toBe(1);
    expect(one.row()).toBeNull();
    state.term?.end("test");
  });

  test("goes on when another one was faster", async () => {
    const { clock, candidate, table } = await setUp();
    const { take } = table;
    table.take = async (seen, mine) => {
      table.take = take;
      await take(seen, { ...mine, holder: "z" });
      return take(seen, mine);
    };
    const { looks, state } = run(candidate());
    await clock.pass(0);
    expect([looks, state.done]).toEqual([[true], false]);
    await clock.pass(12_500);
    expect(state.term?.epoch).toBe(2);
    state.term?.end("test");
  });

  test("tells each look that failed, and says so once until one succeeds", async () => {
    const { clock, candidate, table, sql, lines } = await setUp();
    await sql(HELD);
    const { read } = table;
    const one = candidate();
    table.read = () => Promise.reject(new Error("no route"));
    const { looks } = run(one);
    await clock.pass(1_000);
    expect(looks).toEqual([false, false, false]);
    const said = ["warn", "cannot read the lease", { error: "Error: no route" }];
    expect(lines).toEqual([said]);
    table.read = read;
    await clock.pass(500);
    table.read = () => Promise.reject(new Error("no route"));
    await clock.pass(1_000);
    expect(looks).toEqual([false, false, false, true, false, false]);
    expect(lines).toEqual([said, said]);
    one.stop();
  });
});

describe("Candidate.stop()", () => {
  test("ends the wait at once and leaves no timer", async () => {
    const { clock, candidate, sql } = await setUp();
    await sql(HELD);
    const one = candidate();
    const { state, looks } = run(one);
    await clock.pass(100);
    one.stop();
    await clock.pass(0);
    expect(state).toEqual({ term: null, done: true });
    expect(clock.nextMs()).toBeNull();
    expect(looks).toEqual([true]);
  });

  test("takes nothing that is found free by a look under way", async () => {
    const { clock, candidate, table, sql } = await setUp();
    const gate = Promise.withResolvers<void>();
    const { read } = table;
    table.read = async () => (await gate.promise, read());
    const one = candidate();
    const { state } = run(one);
    one.stop();
    gate.resolve();
    await clock.pass(500);
    expect(state).toEqual({ term: null, done: true });
    expect((await sql("SELECT count(*) FROM lease")).rows[0]?.[0]).toBe(0);
  });

  test("before win() lets it not even look", async () => {
    const { candidate } = await setUp();
    const one = candidate();
    one.stop();
    const { looks, state } = run(one);
    await Promise.resolve();
    await Promise.resolve();
    expect([looks, state]).toEqual([[], { term: null, done: true }]);
  });
});

describe("Term", () => {
  test("is renewed each 2 s, which moves its end and the instant that people see", async () => {
    const all = await setUp();
    const { clock, sql } = all;
    const { term, asked, why } = await lead(all);
    expect(term.remainingMs()).toBe(9_000);
    await clock.pass(1_999);
    expect([asked, term.remainingMs()]).toEqual([[], 7_001]);
    await clock.pass(1);
    expect([asked, term.remainingMs()]).toEqual([[2_000], 9_000]);
    const { rows } = await sql("SELECT renewal, expires_at FROM lease");
    expect([rows[0]?.[0], rows[0]?.[1]]).toEqual([1, clock.wallMs() + 12_000]);
    await clock.pass(20_000);
    expect([asked.length, asked.at(-1), why]).toEqual([11, 22_000, []]);
    term.end("test");
  });

  test("asks again each half second while the answer is an error, and ends at its time", async () => {
    const all = await setUp();
    const { clock } = all;
    const { term, asked, answer, renew, why } = await lead(all);
    answer.of = () => Promise.reject(new Error("no route"));
    await clock.pass(3_000);
    expect([asked, term.remainingMs()]).toEqual([[2_000, 2_500, 3_000], 6_000]);
    answer.of = renew;
    await clock.pass(2_600);
    // Once it is renewed it has its whole time again, and asks each 2 s.
    expect(asked.slice(3)).toEqual([3_500, 5_500]);
    answer.of = () => Promise.reject(new Error("no route"));
    await clock.pass(14_500 - 5_600 - 1);
    expect([why, term.remainingMs()]).toEqual([[], 1]);
    await clock.pass(1);
    expect([why, term.remainingMs()]).toEqual([["the lease was not renewed in time"], 0]);
    expect(clock.nextMs()).toBeNull();
  });

  test("ends at once when another one has it", async () => {
    const all = await setUp();
    const { clock, sql } = all;
    const { term, why } = await lead(all);
    await sql("UPDATE lease SET epoch = 9");
    await clock.pass(2_000);
    expect([why, term.remainingMs(), clock.nextMs()]).toEqual([["another process leads"], 0, null]);
  });

  test.each([
    ["the very instant of its end", 7_000],
    ["half a second after its end", 7_500],
  ])("an answer at %s does not bring it back", async (_when, lateMs) => {
    const all = await setUp();
    const { clock } = all;
    const { term, answer, renew, why, asked } = await lead(all);
    await clock.pass(2_000);
    const late = Promise.withResolvers<void>();
    answer.of = async (...args) => (await late.promise, renew(...args));
    await clock.pass(2_000);
    expect(asked).toEqual([2_000, 4_000]);
    // The process is stopped meanwhile: the answer is there before the clock is looked at.
    clock.sleepThrough(lateMs);
    late.resolve();
    for (let i = 0; i < 20; i++) await Promise.resolve();
    expect(term.remainingMs()).toBe(0);
    await clock.pass(0);
    expect([why, clock.nextMs()]).toEqual([["the lease was not renewed in time"], null]);
  });

  test("end() while a renewal is under way leaves nothing behind, and keeps the reason", async () => {
    const all = await setUp();
    const { clock } = all;
    const { term, answer, why } = await lead(all);
    const late = Promise.withResolvers<boolean>();
    answer.of = () => late.promise;
    await clock.pass(2_000);
    term.end("a write was refused");
    expect([term.remainingMs(), clock.nextMs()]).toEqual([0, null]);
    late.resolve(true);
    await clock.pass(20_000);
    term.end("later");
    await clock.pass(0);
    expect([why, term.remainingMs(), clock.nextMs()]).toEqual([["a write was refused"], 0, null]);
  });

  test("release() gives the lease back to whoever looks next", async () => {
    const all = await setUp();
    const { clock, table } = all;
    const { term, why } = await lead(all);
    await term.release();
    await clock.pass(0);
    expect([why, term.remainingMs(), clock.nextMs()]).toEqual([["released"], 0, null]);
    expect(await table.read()).toMatchObject({ holder: "", address: "", epoch: 1 });
  });

  test("of a lease whose answer came late lasts for the rest, if there is any", async () => {
    const lateFor = async (ms: number) => {
      const { clock, candidate, table } = await setUp();
      const { take } = table;
      table.take = async (...args) => {
        await new Promise<void>((resolve) => void clock.after(ms, resolve));
        return take(...args);
      };
      const { state } = run(candidate());
      await clock.pass(ms);
      return { term: state.term, clock };
    };
    const short = await lateFor(8_999);
    expect(short.term?.remainingMs()).toBe(1);
    await short.clock.pass(1);
    expect(short.term?.remainingMs()).toBe(0);
    const { term, clock } = await lateFor(9_000);
    expect(term?.remainingMs()).toBe(0);
    expect(await term?.lost).toBe("the lease was not renewed in time");
    expect(clock.nextMs()).toBeNull();
  });
});
