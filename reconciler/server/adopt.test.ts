/** Another configuration in a running role: what it does at the cloud, and what a failure leaves. */
import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { configOf, policyOnce } from "../../test/world/setting.ts";
import {
  closeLeaderships,
  countOf,
  during,
  pass,
  setUpParts,
} from "../../test/fixture/plane/leadership.ts";
import { openMemoryCloud } from "../provider/fake/memory.ts";
import { seeded } from "../../simulator/engine/random.ts";
import type { Provider } from "../core/provider.ts";
import type { Loaded } from "../core/reload.ts";
import { type Leadership, openOwnLeadership } from "./leadership.ts";

afterEach(closeLeaderships);

const HEAD = 'server: { address: "127.0.0.1:50051" }\n';
const yamlOf = (sizes: Record<string, number>, more = ""): string => {
  const pools = Object.entries(sizes).map(
    ([name, nodes]) =>
      `  - { name: ${name}, provider: fake, instance_type: h100-8x, ` +
      `scaling: { min_nodes: ${nodes}, max_nodes: ${Math.max(1, nodes)} } }\n`,
  );
  const list = pools.length === 0 ? "pools: []\n" : `pools:\n${pools.join("")}`;
  return `${HEAD}providers: { fake: { gpu_count: 2${more} } }\n${list}`;
};
const loadedOf = (yaml: string): Loaded => {
  return { config: configOf(yaml), policy: policyOnce(), warnings: [] };
};
const BY = { by: "test", removesPools: false };

async function openOne(sizes: Record<string, number>) {
  const all = await setUpParts("memory:");
  all.parts.loaded = loadedOf(yamlOf(sizes));
  const leadership = await openOwnLeadership(all.parts, all.store);
  all.keep(leadership);
  leadership.begin();
  await pass(all.clock, 5_000);
  const adopt = (yaml: string, how = BY, on: Leadership = leadership) =>
    during(all.clock, on.config().adopt(loadedOf(yaml), how));
  return { ...all, leadership, adopt };
}

/** Instances by pool, as the cloud lists them. */
async function shapeOf(cloud: Pick<Provider, "list">): Promise<Record<string, number>> {
  const list = await cloud.list();
  if (list.kind !== "ok") throw new Error(list.message);
  const live = list.instances.filter(({ state }) => state !== "terminated");
  const pools = Map.groupBy(live, ({ tags }) => tags["navarch-pool"] ?? "");
  return Object.fromEntries([...pools].map(([name, found]) => [name, found.length]).sort());
}

describe("LeaderConfig.adopt()", () => {
  test("buys for a larger and for another pool, and ends what a smaller one does not need", async () => {
    const { adopt, clock, cloud } = await openOne({ a: 1 });
    expect(await adopt(yamlOf({ a: 3, b: 2 }))).toEqual([]);
    await pass(clock, 10_000);
    expect(await shapeOf(cloud)).toEqual({ a: 3, b: 2 });
    await adopt(yamlOf({ a: 1, b: 2 }));
    await pass(clock, 60_000);
    expect(await shapeOf(cloud)).toEqual({ a: 1, b: 2 });
  });

  test("refuses a file without a pool that has nodes, as a whole", async () => {
    const { adopt, clock, cloud, leadership } = await openOne({ a: 1, b: 2 });
    const before = leadership.config().loaded();
    expect(await adopt(yamlOf({ a: 4 }))).toEqual([
      "pool b: 2 nodes, price unknown, is missing from the file; they would be drained and " +
        "terminated: allow it with --allow-pool-removal",
    ]);
    await pass(clock, 10_000);
    expect([leadership.config().loaded() === before, await shapeOf(cloud)]).toEqual([
      true,
      { a: 1, b: 2 },
    ]);
  });

  test("ends a removed pool's nodes, also where their provider leaves the file with it", async () => {
    const { adopt, clock, cloud, leadership } = await openOne({ b: 2 });
    const empty = `${HEAD}pools: []\n`;
    const kept = "provider fake is missing, and 2 nodes are still there: keep it until they are";
    const refusals = await adopt(empty);
    expect(refusals).toEqual([
      expect.stringContaining("pool b: 2 nodes"),
      expect.stringContaining(kept),
    ]);
    expect(await adopt(empty, { ...BY, removesPools: true })).toEqual([]);
    const { pools, providers } = leadership.front().ports.reconciler.activeConfig();
    expect([pools.map(({ name }) => String(name)), providers.length]).toEqual([["b"], 1]);
    await pass(clock, 60_000);
    expect(await shapeOf(cloud)).toEqual({});
    expect(leadership.config().isUnsettled()).toBe(true);
    expect(await adopt(empty)).toEqual([]);
    const after = leadership.front().ports.reconciler.activeConfig();
    expect([after.pools, after.providers]).toEqual([[], []]);
    expect(leadership.config().isUnsettled()).toBe(false);
  });

  test("a pool that comes back while it is removed is a pool again", async () => {
    const { adopt, clock, cloud, leadership } = await openOne({ b: 2 });
    await adopt(yamlOf({}), { ...BY, removesPools: true });
    await pass(clock, 200);
    expect(await adopt(yamlOf({ b: 3 }))).toEqual([]);
    await pass(clock, 90_000);
    expect(await shapeOf(cloud)).toEqual({ b: 3 });
    const { facts } = leadership.front().ports.reconciler.fleet();
    expect([...facts.keys()].filter((key) => key.startsWith("removed_pool"))).toEqual([]);
  });

  test("refuses a provider's other type while nodes are there, whatever is permitted", async () => {
    const { adopt } = await openOne({ b: 1 });
    const other = yamlOf({ b: 1 }).replace("{ fake: {", "{ fake: { type: command, command: /x,");
    const asked = other.replace("gpu_count: 2", "settle: 1s");
    expect(await adopt(asked, { ...BY, removesPools: true })).toEqual([
      expect.stringContaining("provider fake changes its type from fake to command"),
    ]);
  });

  test("a store that refuses leaves what runs, and what was opened is closed", async () => {
    const { adopt, clock, cloud, store, state, leadership } = await openOne({ a: 1 });
    const before = leadership.config().loaded();
    const led = Reflect.get(leadership.front().ports, "store") as typeof store;
    const commit = led.commit.bind(led);
    led.commit = () => Promise.reject(new Error("disk full"));
    const failed = adopt(yamlOf({ a: 3 }, ", gpu_type: H200"));
    await expect(failed).rejects.toThrow("disk full");
    expect([leadership.config().loaded() === before, state.closed]).toEqual([true, 1]);
    led.commit = commit;
    await adopt(yamlOf({ a: 3 }));
    await pass(clock, 20_000);
    expect(await shapeOf(cloud)).toEqual({ a: 3 });
  });

  test("a provider that is opened again is closed after its last call", async () => {
    const all = await openOne({ a: 1 });
    const { adopt, clock, parts, leadership, cloud } = all;
    const gate = Promise.withResolvers<void>();
    const list = cloud.list.bind(cloud);
    let closed = 0;
    cloud.list = async () => (await gate.promise, list());
    cloud.close = async () => void (closed += 1);
    await pass(clock, 8_000);
    const opened: string[] = [];
    const second = openMemoryCloud({
      clock,
      random: seeded(2),
      fleetId: "fleet",
      class: "token",
      terms: { bootMs: 3_000, terminateMs: 2_000 },
    });
    parts.openProviders = async (configs) => {
      opened.push(...configs.map(({ name }) => name));
      return { providers: new Map([["fake", second as Provider]]), unavailable: new Map() };
    };
    await adopt(yamlOf({ a: 1 }, ", gpu_type: H200"));
    expect([opened, closed]).toEqual([["fake"], 0]);
    await pass(clock, 6_000);
    expect(closed).toBe(0);
    gate.resolve();
    await pass(clock, 30_000);
    expect(closed).toBe(1);
    // Another account shows none of the nodes: that is doubted, and nothing is bought there.
    const { reconciler } = leadership.front().ports;
    expect(reconciler.lastSight()?.providers.get("fake")?.listed).toBe(false);
    expect([await countOf(second), await countOf(cloud)]).toEqual([0, 1]);
    // Without a change of its settings it is not opened again.
    await adopt(yamlOf({ a: 1 }, ", gpu_type: H200"));
    expect(opened).toEqual(["fake"]);
  });
});

test("a standby runs with its own files, and its take-over names another configuration", async () => {
  const all = await setUpParts();
  const { clock, parts, cloud, table } = all;
  parts.loaded = loadedOf(yamlOf({ a: 1 }));
  const leader = await all.shared(12_000);
  leader.begin();
  await pass(clock, 5_000);
  expect(await countOf(cloud)).toBe(1);
  // Another process with files of its own takes the lease; this one stands by.
  await table.take(await table.read(), { holder: "z", address: "", expiresAt: 0 });
  await pass(clock, 5_000);
  const next = loadedOf(yamlOf({ a: 1, b: 2 }));
  expect(await during(clock, leader.config().adopt(next, BY))).toEqual([]);
  parts.loaded = next;
  await pass(clock, 1_000);
  expect(await countOf(cloud)).toBe(1);
  await all.client.execute("UPDATE lease SET holder = ''");
  await pass(clock, 10_000);
  expect(await shapeOf(cloud)).toEqual({ a: 1, b: 2 });
  const events = all.lines.filter(([, msg]) => msg === "configuration loaded");
  expect(events.length).toBe(2);
});

const sizes = fc.dictionary(fc.constantFrom("a", "b", "c"), fc.integer({ min: 0, max: 3 }), {
  noNullPrototype: true,
});
const step = fc.record({
  sizes,
  removes: fc.boolean(),
  waitMs: fc.constantFrom(0, 50, 1_000, 20_000),
  /** A kill leaves the process as a zombie that still runs. */
  kill: fc.boolean(),
});

test("any edits, with kills in between, end where a start with the last file ends", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 5 }), async (steps) => {
      const all = await openOne({ a: 1 });
      const { clock, cloud, parts } = all;
      let current = all.leadership;
      const restart = async (): Promise<void> => {
        current = await openOwnLeadership(parts, await all.openStore());
        all.keep(current);
        current.begin();
      };
      for (const { sizes: wanted, removes, waitMs, kill } of steps) {
        const next = loadedOf(yamlOf(wanted));
        const done = current.config().adopt(next, { by: "test", removesPools: removes });
        if (kill) await restart();
        const refusals = await during(clock, done).catch((error: unknown) => [String(error)]);
        if (refusals.length === 0) parts.loaded = next;
        await pass(clock, waitMs);
      }
      // The last file, permitted: a reload, and a start of another process, agree.
      const last = steps.at(-1)?.sizes ?? {};
      parts.loaded = loadedOf(yamlOf(last));
      await during(clock, current.config().adopt(parts.loaded, { by: "end", removesPools: true }));
      await pass(clock, 120_000);
      const wanted = Object.fromEntries(
        Object.entries(last)
          .filter(([, nodes]) => nodes > 0)
          .sort(),
      );
      expect(await shapeOf(cloud)).toMatchObject(wanted);
      const reloaded = await shapeOf(cloud);
      await restart();
      await pass(clock, 120_000);
      expect(await shapeOf(cloud)).toEqual(reloaded);
      for (const name of Object.keys(reloaded)) expect(Object.keys(last)).toContain(name);
      await closeLeaderships();
    }),
    { numRuns: 12 },
  );
}, 120_000);
