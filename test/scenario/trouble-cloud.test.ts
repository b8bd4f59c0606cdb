/**
 * A cloud that lies, loses answers and takes machines back, and a database that is gone: nothing
 * that runs is ended for it, and nothing is bought twice.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { Instance } from "../../reconciler/core/provider.ts";
import type { InstanceId } from "../../schema/id.ts";
import {
  breakImage,
  counts,
  closeWorlds,
  fleet,
  instanceOf,
  lie,
  liveIds,
  loseDatabase,
  nodeOf,
  open,
  order,
  phaseOf,
  resize,
  restart,
  threshold,
  watchEnds,
  wrongs,
} from "../world/story.ts";
import { poolYaml, type World } from "../world/world.ts";

afterEach(closeWorlds);

describe("a list that lies", () => {
  for (const booting of [2, 4]) {
    test(`an empty list loses nothing and buys nothing (${booting} of 4 nodes boot)`, async () => {
      const w = await fleet(4 - booting);
      const fix = breakImage(w);
      const pool = w.config.pools[0];
      if (pool !== undefined) pool.scaling.minNodes = 4;
      await w.live(20);
      expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
      const before = liveIds(w);
      const stop = lie(w, () => []);
      await w.live(60);
      stop();
      fix();
      await w.until(() => w.serving().length === 4, 120);
      expect(liveIds(w)).toEqual(before);
      expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
      expect(wrongs(w)).toEqual([]);
    });
  }

  test("a list without the silent part of the fleet loses none of it", async () => {
    const w = await fleet(10, threshold(1));
    const silent = new Set(w.serving().slice(0, 6));
    for (const id of silent) w.agent(id).quiet = true;
    await w.live(60);
    const stop = lie(w, (all) => all.filter((one) => !silent.has(nodeOf(one))));
    await w.live(120);
    stop();
    for (const id of silent) w.agent(id).quiet = false;
    await w.until(() => w.serving().length === 10, 300);
    expect(counts(w)).toEqual({ live: 10, ended: 0, asks: 10 });
    expect(wrongs(w)).toEqual([]);
  });

  test("a node that is missing from one list is not lost, even if it is silent", async () => {
    const w = await fleet(4, threshold(1));
    const [quiet = ""] = w.serving();
    w.agent(quiet).quiet = true;
    await w.live(60);
    const gone = instanceOf(w, quiet);
    let lists = 0;
    lie(w, (all) => (lists++ === 0 ? all.filter((one) => one.id !== gone) : all));
    await w.live(120);
    expect(lists).toBeGreaterThan(1);
    expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
    expect(wrongs(w)).toEqual([]);
  });

  test("a node whose agent speaks is not lost, however often the list leaves it out", async () => {
    const w = await fleet(4, threshold(1));
    const [odd = ""] = w.serving();
    const instance = instanceOf(w, odd);
    lie(w, (all) => all.filter((one) => one.id !== instance));
    await w.live(300);
    expect(phaseOf(w, odd)).toBe("serving");
    expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
    expect(wrongs(w)).toEqual([]);
  });

  test("a list that shows everything twice adopts nothing", async () => {
    const w = await fleet(3);
    w.cloud.setFaults({ duplicateListing: true });
    await w.live(120);
    expect(w.nodes().length).toBe(3);
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    expect(wrongs(w)).toEqual([]);
  });

  for (const size of [1, 2]) {
    test(`an empty list does not end what boots in a pool of ${size}`, async () => {
      const w = await open(poolYaml(size));
      w.cloud.setFaults({ bootMs: 150_000 });
      await w.live(5);
      const stop = lie(w, () => []);
      await w.live(120);
      stop();
      await w.until(() => w.serving().length === size, 120);
      expect(counts(w)).toEqual({ live: size, ended: 0, asks: size });
      expect(wrongs(w)).toEqual([]);
    });
  }

  test("an empty list is no second witness against the silent node of a small pool", async () => {
    const w = await fleet(2, threshold(1));
    const [quiet = ""] = w.serving();
    w.agent(quiet).quiet = true;
    await w.live(60);
    const stop = lie(w, () => []);
    await w.live(180);
    stop();
    await w.live(120);
    expect(phaseOf(w, quiet)).toBe("suspect");
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
    expect(wrongs(w)).toEqual([]);
  });

  for (const before of [0, 4]) {
    test(`a list that lags behind does not end what was bought (${before} before)`, async () => {
      const w = await fleet(before);
      // Old enough for the lists that lag to show what was there before.
      await w.live(120);
      w.cloud.setFaults({ listLagMs: 100_000, bootMs: 120_000 });
      await resize(w, before + 1);
      await w.until(() => w.serving().length === before + 1, 300);
      expect(counts(w)).toEqual({ live: before + 1, ended: 0, asks: before + 1 });
      expect(wrongs(w)).toEqual([]);
    });
  }

  test("instances with rubbish tags are left alone and hold nothing up", async () => {
    const w = await fleet(3, threshold(1));
    const ended = watchEnds(w);
    const [sick = ""] = w.serving();
    const template = w.cloud.reality().live[0];
    if (template === undefined) throw new Error("nothing lives");
    const mark = { "navarch-fleet": "fleet" };
    const named = { ...mark, "navarch-pool": "p", "navarch-gen": "9" };
    const tags: Record<string, string>[] = [
      mark,
      { ...mark, "navarch-slot": "-1", "navarch-pool": "bad name!" },
      { ...named, "navarch-slot": "-1" },
      { ...named, "navarch-slot": "1.5" },
      { ...named, "navarch-slot": "1e400" },
      { ...named, "navarch-slot": "9", "navarch-node": "has white space" },
      { ...named, "navarch-slot": "", "navarch-node": "" },
    ];
    const rubbish = tags.flatMap((one, i) =>
      (["running", "terminating"] as const).map((state): Instance => {
        const id = `i-${i}-${state}` as InstanceId;
        return { ...template, id, name: id, token: null, state, tags: one };
      }),
    );
    lie(w, (all) => [...all, ...rubbish]);
    await w.live(30);
    await restart(w);
    w.xid(sick, 79);
    await w.until(() => w.story(sick).includes("node.replaced"), 300);
    expect(ended).toEqual([...ended].filter((id) => !rubbish.some((one) => one.id === id)));
    expect(w.serving().length).toBe(3);
    expect(w.nodes().length).toBe(3);
    expect(wrongs(w)).toEqual([]);
  });
});

describe("asks and ends whose answers are lost", () => {
  for (const asks of [0, 1, 2]) {
    for (const replies of [1, 2]) {
      const lost = `${asks} asks and ${replies} replies lost`;
      test(`a cloud without tokens makes one instance: ${lost}`, async () => {
        const w = await open(poolYaml(1), { class: "tag-only" });
        w.cloud.setFaults({
          loseAsk: { create: { times: asks } },
          loseReply: { create: { times: replies } },
          listLagMs: 8_000,
        });
        await w.until(() => w.serving().length === 1, 300);
        await w.live(30);
        const { live, terminated } = w.cloud.reality();
        expect(live.length).toBe(1);
        expect(terminated).toEqual([]);
        expect(wrongs(w)).toEqual([]);
      });
    }
  }

  test("an end whose calls never answer is over once the list shows it", async () => {
    const w = await fleet(2, threshold(1));
    const [old = ""] = w.serving();
    const instance = instanceOf(w, old);
    w.cloud.setFaults({ terminateFails: 1_000_000 });
    await order(w, old, "replace");
    await w.until(() => phaseOf(w, old) === "terminating", 60);
    await w.live(5);
    expect(liveIds(w)).toContain(instance);
    w.cloud.deleteInstance(instance);
    await w.until(() => phaseOf(w, old) === "gone" && w.serving().length === 2, 300);
    expect(counts(w)).toEqual({ live: 2, ended: 1, asks: 3 });
    expect(wrongs(w)).toEqual([]);
  });

  test("an end that was accepted and forgotten is asked for again", async () => {
    const w = await fleet(2, threshold(1));
    const [old = ""] = w.serving();
    w.cloud.setFaults({ terminateIgnored: 2 });
    await order(w, old, "replace");
    await w.until(() => phaseOf(w, old) === "gone" && w.serving().length === 2, 600);
    expect(counts(w)).toEqual({ live: 2, ended: 1, asks: 3 });
    expect(wrongs(w)).toEqual([]);
  });
});

test("a whole fleet that the cloud took back is replaced", async () => {
  const w = await fleet(4, threshold(1));
  const before = w.serving();
  for (const id of before) w.cloud.deleteInstance(instanceOf(w, id));
  await w.until(() => w.serving().length === 4 && !w.serving().includes(before[0] ?? ""), 900);
  expect(counts(w)).toEqual({ live: 4, ended: 4, asks: 8 });
  expect(w.serving().filter((id) => before.includes(id))).toEqual([]);
  expect(wrongs(w)).toEqual([]);
});

describe("a lost database", () => {
  /** Everything alive belongs to a node of the pool again, and is what it was. */
  function expectKept(w: World, before: string[]): void {
    expect(liveIds(w)).toEqual(before);
    expect(counts(w)).toEqual({ live: before.length, ended: 0, asks: before.length });
    const owned = w.nodes().filter((node) => node.pool === "p");
    expect(owned.map((node): string => node.instance?.id ?? "none").sort()).toEqual(before);
    expect(w.serving().length).toBe(before.length);
    expect(wrongs(w)).toEqual([]);
  }

  for (const first of ["agents", "lists"] as const) {
    test(`a pool that was scaled up keeps all it has, busy or not (${first} first)`, async () => {
      const w = await fleet(2);
      await resize(w, 5);
      await w.until(() => w.serving().length === 5, 200);
      for (const id of w.serving().slice(1)) w.agent(id).processes = 4;
      const before = liveIds(w);
      await loseDatabase(w);
      if (first === "lists") {
        for (let i = 0; i < 4; i++) {
          await w.turn();
          await w.clock.pass(1_000);
        }
      } else await w.report();
      await w.live(600);
      expectKept(w, before);
    });
  }

  test("agents that speak before the first list do not hide their machines", async () => {
    const w = await fleet(3);
    const before = liveIds(w);
    await loseDatabase(w);
    await w.report();
    await w.report();
    await w.live(900);
    expectKept(w, before);
  });

  test("a list that comes up empty at first makes nothing be bought a second time", async () => {
    const w = await fleet(3);
    const before = liveIds(w);
    // The pool stands still while the list and the agents contradict each other, and says so.
    w.tolerant = true;
    const stop = lie(w, () => []);
    await loseDatabase(w);
    await w.report();
    await w.live(30);
    stop();
    await w.live(600);
    expectKept(w, before);
  });

  test("a sick node is still replaced after it", async () => {
    const w = await fleet(3, threshold(1));
    const [sick = ""] = w.serving();
    await loseDatabase(w);
    await w.until(() => w.serving().length === 3, 120);
    w.xid(sick, 79);
    await w.until(() => w.story(sick).includes("node.replaced"), 300);
    expect(counts(w)).toEqual({ live: 3, ended: 1, asks: 4 });
    expect(wrongs(w)).toEqual([]);
  });
});

test("nodes that boot while their pool is made smaller are ended", async () => {
  const w = await fleet(1);
  await resize(w, 5);
  breakImage(w);
  await w.live(10);
  expect(counts(w).live).toBe(5);
  const [first = ""] = w.serving();
  await resize(w, 1);
  await w.until(() => w.nodes().length === 1, 60);
  expect(w.nodes().map((node): string => node.id)).toEqual([first]);
  expect(w.serving()).toEqual([first]);
  expect(counts(w)).toEqual({ live: 1, ended: 4, asks: 5 });
  expect(wrongs(w)).toEqual([]);
});
