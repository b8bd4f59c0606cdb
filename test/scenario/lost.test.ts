/** Machines that the cloud no longer has, or says it stopped: when they are given up, and how many. */
import { afterEach, expect, test } from "bun:test";
import type { Node } from "../../schema/node.ts";
import type { World } from "../world/world.ts";
import {
  closeWorlds,
  fleet,
  instanceOf,
  lie,
  nodeOf,
  order,
  phaseOf,
  restart,
  threshold,
  told,
  watchEnds,
  waitOf,
} from "../world/story.ts";

afterEach(closeWorlds);

/** From now on the cloud says that these are stopped, and their agents are silent. */
function stopMachines(world: World, nodes: readonly string[]): void {
  for (const id of nodes) world.agent(id).quiet = true;
  lie(world, (instances) =>
    instances.map((one) => {
      const stopped = nodes.includes(nodeOf(one)) && one.state === "running";
      return stopped ? { ...one, state: "stopped" } : one;
    }),
  );
}

const FILLING: readonly Node["phase"]["kind"][] = [
  "terminating",
  "requested",
  "booting",
  "bootstrapping",
  "verifying",
];

test("stopped machines are replaced within max_unavailable, one after another", async () => {
  const world = await fleet(8, threshold(1, ", max_unavailable: 1"));
  const stopped = world.serving().slice(0, 3);
  let most = 0;
  world.onCommit = () => {
    const open = world.nodes().filter(({ phase }) => FILLING.includes(phase.kind));
    most = Math.max(most, new Set(open.map(({ slot }) => slot)).size);
  };
  stopMachines(world, stopped);
  const isGone = (id: string) => ["gone", "purged"].includes(phaseOf(world, id));
  await world.until(() => stopped.every(isGone), 1_800);
  const lost = told(world, "instance.lost").map(({ node }) => String(node));
  expect(lost.sort()).toEqual(stopped.toSorted());
  expect(most).toBe(1);
});

test("nobody replaces a stopped machine of a pool that is told not to", async () => {
  const world = await fleet(4, threshold(1, ", auto_replace: false"));
  const [stopped = ""] = world.serving();
  const ends = watchEnds(world);
  stopMachines(world, [stopped]);
  await world.live(600);
  expect(ends).toEqual([]);
  expect(waitOf(world, stopped)).toBe("not_ours");
});

test("an instance that no list shows is given up after a minute, not before", async () => {
  const world = await fleet(4, threshold(1));
  const [missing = ""] = world.serving();
  const id = instanceOf(world, missing);
  world.agent(missing).quiet = true;
  // A process that never heard the agent has only the list to go by.
  await restart(world);
  lie(world, (instances) => instances.filter((one) => one.id !== id));
  await world.until(() => world.node(missing).instance?.absentSince !== null, 60);
  const since = world.node(missing).instance?.absentSince ?? 0;
  const listings = () => world.node(missing).instance?.absentListings ?? 0;
  while (world.clock.wallMs() < since + 58_000) {
    await world.live(1);
    expect(["serving", "suspect"]).toContain(phaseOf(world, missing));
  }
  expect(listings()).toBeGreaterThanOrEqual(2);
  await world.until(() => told(world, "instance.lost").length > 0, 120);
});

test("a machine that a person cordoned, was called terminated and is back, is still theirs", async () => {
  const world = await fleet(2, threshold(1));
  const [bobs = ""] = world.serving();
  const id = instanceOf(world, bobs);
  await order(world, bobs, "cordon");
  await world.until(() => world.node(bobs).cordon.human !== null, 60);
  world.agent(bobs).quiet = true;
  const ends = watchEnds(world);
  const truth = lie(world, (all) =>
    all.map((one) => (one.id === id ? { ...one, state: "terminated" as const } : one)),
  );
  await world.until(() => phaseOf(world, bobs) === "gone", 900);
  truth();
  world.agent(bobs).quiet = false;
  await world.until(() => told(world, "instance.surplus").length > 0, 600);
  await world.live(1_800);
  const back = world.nodes().find(({ instance, phase }) => {
    return instance?.id === id && phase.kind !== "gone";
  });
  expect(back?.cordon.human?.by).toContain("human:");
  expect(ends).not.toContain(id);
  expect(waitOf(world, back?.id ?? "")).toBe("human");
});

const KEPT: [string, (world: World, node: string) => Promise<unknown>][] = [
  ["cordoned", (world, node) => order(world, node, "cordon")],
  [
    "in a held pool",
    (world) =>
      world.reconciler.change((draft) => {
        const pool = [...world.reconciler.fleet().pools.values()].find(({ name }) => name === "p");
        const until = world.clock.wallMs() + 86_400_000;
        if (pool !== undefined)
          draft.putPool({ ...pool, hold: { by: "ann", why: "disks", until } });
      }),
  ],
  [
    "in a frozen fleet",
    (world) =>
      world.reconciler.change((draft) => {
        draft.putFact({ kind: "freeze", by: "ann", why: "disks", at: 0, until: null });
      }),
  ],
];

test.each(KEPT)("a machine that somebody stopped is kept where it is %s", async (_how, keep) => {
  const world = await fleet(2, threshold(1));
  const [one = ""] = world.serving();
  await keep(world, one);
  await world.live(30);
  const ends = watchEnds(world);
  stopMachines(world, [one]);
  await world.live(7_200);
  expect(ends).toEqual([]);
  expect(["serving", "suspect"]).toContain(phaseOf(world, one));
});
