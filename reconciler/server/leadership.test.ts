/** One process that shares a database with others: it waits, wins, leads, loses. */
import { afterEach, describe, expect, test } from "bun:test";
import {
  closeLeaderships,
  countOf,
  during,
  OTHER,
  pass,
  setUpParts,
} from "../../test/fixture/plane/leadership.ts";

afterEach(closeLeaderships);

describe("openSharedLeadership()", () => {
  test("stands by until begin(), then wins, leads, buys, and gives the lease back", async () => {
    const all = await setUpParts();
    const { clock, table, said, leads, cloud, state } = all;
    const leadership = await all.shared();
    await pass(clock, 1_000);
    expect([await leads(leadership), await table.read()]).toEqual([false, null]);
    leadership.begin();
    await pass(clock, 5_000);
    expect(await leads(leadership)).toBe(true);
    expect(said("became the leader")).toEqual([["info", "became the leader", { epoch: 1 }]]);
    expect(await table.read()).toMatchObject({ holder: "a", epoch: 1, renewal: 2 });
    expect(await countOf(cloud)).toBe(1);
    expect(state.turned.length).toBeGreaterThan(2);
    await during(clock, leadership.stop(0));
    expect(await table.read()).toMatchObject({ holder: "", epoch: 1 });
    expect(state.closed).toBe(1);
    expect(said("lost the leadership")).toEqual([]);
    const turns = state.turned.length;
    await pass(clock, 20_000);
    expect(state.turned).toHaveLength(turns);
    expect(said("became the leader")).toHaveLength(1);
  });

  test("never leads a store that was given to another fleet, and asks to be restarted", async () => {
    const all = await setUpParts();
    const { clock, parts, client, leads, cloud } = all;
    const asked: string[] = [];
    parts.restart = (fleet) => void asked.push(fleet);
    const leadership = await all.shared();
    const value = JSON.stringify({ kind: "fleet", id: "former", by: "anna", at: 1 });
    await client.execute({ sql: "INSERT INTO meta VALUES ('fact:fleet', ?)", args: [value] });
    leadership.begin();
    await pass(clock, 60_000);
    expect([await leads(leadership), await countOf(cloud)]).toEqual([false, 0]);
    expect(new Set(asked)).toEqual(new Set(["former"]));
  });

  test("waits 12 s for a silent leader, or as long as it is told", async () => {
    for (const expiryMs of [undefined, 2_400]) {
      const all = await setUpParts();
      const { clock, table } = all;
      await table.take(null, OTHER);
      const leadership = await all.shared(expiryMs);
      leadership.begin();
      await pass(clock, (expiryMs ?? 12_000) - 200);
      expect(await all.leads(leadership)).toBe(false);
      await pass(clock, 1_000);
      expect(await all.leads(leadership)).toBe(true);
      expect(all.said("became the leader")).toEqual([["info", "became the leader", { epoch: 2 }]]);
    }
  });

  test("steps back when another one leads, stands by, and leads again after it", async () => {
    const all = await setUpParts();
    const { clock, table, said, leads, state, client } = all;
    const leadership = await all.shared();
    leadership.begin();
    await pass(clock, 3_000);
    const before = leadership.front();
    await table.take(await table.read(), OTHER);
    await pass(clock, 3_000);
    expect(await leads(leadership)).toBe(false);
    const [, , fields] = said("lost the leadership")[0] ?? [];
    expect(fields).toEqual({ epoch: 1, why: expect.any(String) });
    expect(leadership.front()).not.toBe(before);
    // What still waits for the old role is told to come again.
    const late = await before.answer(new Request("http://here/v1/nodes"), "/v1/nodes", "");
    expect(late.status).toBe(503);
    expect(state.closed).toBe(1);
    await client.execute("UPDATE lease SET holder = ''");
    await pass(clock, 2_000);
    expect([await leads(leadership), said("became the leader").length]).toEqual([true, 2]);
    await during(clock, leadership.stop(0));
    expect(state.closed).toBe(2);
  });

  test("a write that is refused ends its term, though it was renewed a moment ago", async () => {
    const all = await setUpParts();
    const { clock, client, said } = all;
    const leadership = await all.shared();
    leadership.begin();
    await pass(clock, 3_000);
    await client.execute("UPDATE lease SET epoch = 9");
    await all.page(leadership, "/readyz");
    await pass(clock, 500);
    const why = "a write was refused: another one leads";
    expect(said("lost the leadership")).toEqual([
      ["warn", "lost the leadership", { epoch: 1, why }],
    ]);
  });

  test("says why it cannot take the lead, gives it back, and takes it when it can", async () => {
    const all = await setUpParts();
    const { clock, table, said, leads, state, page } = all;
    state.broken = new Error("no state folder");
    const leadership = await all.shared();
    leadership.begin();
    await pass(clock, 1_200);
    const fields = { error: "Error: no state folder" };
    expect(said("cannot take the lead")[0]).toEqual(["error", "cannot take the lead", fields]);
    expect(said("cannot take the lead").length).toBeWithin(2, 4);
    expect((await table.read())?.holder).toBe("");
    const ready = await page(leadership, "/readyz");
    expect([ready.status, ready.text]).toEqual([
      503,
      expect.stringContaining("cannot take the lead: Error: no state folder"),
    ]);
    state.broken = null;
    await pass(clock, 1_200);
    expect(await leads(leadership)).toBe(true);
    expect((await page(leadership, "/readyz")).text).not.toContain("cannot take the lead");
  });

  test("forgets why it could not lead once another one does", async () => {
    const all = await setUpParts();
    const { clock, table, state, page } = all;
    state.broken = new Error("no state folder");
    const leadership = await all.shared();
    leadership.begin();
    await pass(clock, 700);
    await table.take(await table.read(), OTHER);
    await pass(clock, 1_500);
    const { text } = await page(leadership, "/readyz");
    expect(text).not.toContain("cannot take the lead");
    expect(text).toContain("the leader at http://127.0.0.1:1 does not answer");
  });

  test("that is stopped while it takes the lead does not begin, and gives it back", async () => {
    const all = await setUpParts();
    const { clock, table, parts, said, cloud, state } = all;
    const gate = Promise.withResolvers<void>();
    const { openProviders } = parts;
    parts.openProviders = async (configs, store) => (
      await gate.promise,
      openProviders(configs, store)
    );
    const leadership = await all.shared();
    leadership.begin();
    await pass(clock, 200);
    expect((await table.read())?.holder).toBe("a");
    const stopped = leadership.stop(0);
    gate.resolve();
    await during(clock, stopped);
    expect([(await table.read())?.holder, said("became the leader").length, state.closed]).toEqual([
      "",
      0,
      1,
    ]);
    expect(await countOf(cloud)).toBe(0);
  });

  test("whose term ends while it opens its providers does not begin", async () => {
    const all = await setUpParts();
    const { clock, parts, said, cloud, state } = all;
    const { openProviders } = parts;
    let slow = true;
    parts.openProviders = async (configs, store) => {
      if (slow) {
        slow = false;
        all.table.renew = () => Promise.reject(new Error("no route"));
        await all.client.execute("UPDATE lease SET epoch = 5, holder = 'z'");
        await new Promise<void>((resolve) => void clock.after(10_000, resolve));
      }
      return openProviders(configs, store);
    };
    const leadership = await all.shared();
    leadership.begin();
    await pass(clock, 11_000);
    expect([said("became the leader").length, state.closed, await countOf(cloud)]).toEqual([
      0, 1, 0,
    ]);
    await pass(clock, 15_000);
    expect(said("became the leader").length).toBe(1);
  });

  test("a lease that cannot be given back is said", async () => {
    const all = await setUpParts();
    const { clock, said, store } = all;
    const given = store.leaseTable.bind(store);
    store.leaseTable = () => ({ ...given(), release: () => Promise.reject(new Error("gone")) });
    const leadership = await all.shared();
    leadership.begin();
    await pass(clock, 1_000);
    await during(clock, leadership.stop(0));
    const told = ["warn", "cannot release the lease", { error: "Error: gone" }];
    expect(said("cannot release the lease")).toEqual([told]);
  });
});
