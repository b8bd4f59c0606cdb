/**
 * The state folder is lost while machines serve: the next control plane has another fleet id and
 * sees none of them. It buys nothing for their pool until a person has said whose they are. Judged
 * by the cloud's own record.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { adoptFleet, ignoreFleet } from "../../reconciler/core/fold/adopt-fleet.ts";
import type { FleetAnswer } from "../../reconciler/core/fold/adopt-fleet.ts";
import { holdingFleets } from "../../reconciler/core/stranger.ts";
import { forFleet } from "../world/alias.ts";
import { CrashInjector } from "../world/crash-injector.ts";
import {
  anotherPool,
  closeWorlds,
  counts,
  fleet,
  liveIds,
  loseDatabase,
  open,
  resize,
  told,
  wrongs,
} from "../world/story.ts";
import { configOf, poolYaml, type World } from "../world/world.ts";
import { sayPlan } from "../../reconciler/core/plan.ts";

afterEach(closeWorlds);

/** The next life acts for this fleet. */
function become(world: World, fleetId: string): void {
  world.fleetId = fleetId;
  world.aliases.set(
    "fake",
    forFleet(world.cloud, () => world.fleetId),
  );
}

/** The folder is gone: a new id, an empty database, and agents whose credentials are void. */
async function loseState(world: World): Promise<{ rejoin(): void }> {
  const lost = new Set(liveIds(world));
  world.report = async () => {
    for (const { id, state, tags } of world.cloud.reality().live) {
      if (state === "running" && !lost.has(id)) await world.say(tags["navarch-node"] ?? "?");
    }
  };
  become(world, "newone");
  await loseDatabase(world);
  return { rejoin: () => lost.clear() };
}

async function answer(world: World, how: typeof ignoreFleet, id: string): Promise<FleetAnswer> {
  const { reconciler, clock } = world;
  const answers: FleetAnswer[] = [];
  await reconciler.change((work) => {
    const about = { fleet: reconciler.fleet(), id, by: "anna", reason: "the disk failed" };
    answers.push(how({ ...about, now: clock.wallMs() }, work));
  });
  const [first] = answers;
  if (first === undefined) throw new Error("nothing was decided");
  return first;
}

const adopt = (world: World, id = "fleet"): Promise<FleetAnswer> =>
  answer(world, (asked, work) => adoptFleet(asked, world.config, work), id);
const ignore = (world: World, id = "fleet"): Promise<FleetAnswer> => answer(world, ignoreFleet, id);

/** As the process does after an adoption: it ends, and the next one has the store's id. */
async function startAgain(world: World): Promise<void> {
  await world.crash();
  const owner = await ownerOf(world);
  if (owner !== null) become(world, owner);
  await world.start();
}

async function ownerOf(world: World): Promise<string | null> {
  await world.start();
  const given = (await world.store?.fact("fleet")) ?? null;
  const owner = given?.kind === "fleet" ? given.id : null;
  await world.crash();
  return owner;
}

const holdOf = (world: World, pool = "p"): string =>
  sayPlan(world.reconciler.lastPlan())
    .waits.filter((wait) => wait.reason === "other_fleet" && wait.pool === pool)
    .map(({ message }) => message)
    .join("; ");

describe("a lost state folder", () => {
  test("buys nothing, says whose machines these are, and has them back once adopted", async () => {
    const w = await fleet(3);
    const before = liveIds(w);
    const { rejoin } = await loseState(w);
    await w.live(1_800);
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    expect(holdOf(w)).toMatch(/^3 machines of fleet fleet \(.*\) have the name of this pool/);
    expect(holdOf(w)).toContain("navarch fleet adopt fleet");
    expect(holdOf(w)).toContain("navarch fleet ignore fleet");
    expect(told(w, "pool.condition").map(({ message }) => message)).toContainEqual(
      expect.stringContaining("3 machines of fleet fleet"),
    );
    // A restart holds it too, before anything was looked at.
    await w.crash();
    await w.start();
    await w.live(60);
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    expect(await adopt(w)).toEqual({ kind: "done", changed: true });
    await w.live(60);
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    await startAgain(w);
    // Long after every limit of a boot.
    await w.live(7_200);
    const phases = w.nodes().map(({ phase, instance }) => `${instance?.id} ${phase.kind}`);
    expect(phases.sort()).toEqual(before.map((id) => `${id} booting`));
    rejoin();
    await w.until(() => w.serving().length === 3, 300);
    await w.live(900);
    expect(liveIds(w)).toEqual(before);
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    expect(wrongs(w)).toEqual([]);
  }, 60_000);

  test("adopts what a larger size had bought, whoever sized the pool since", async () => {
    const w = await fleet(1, "");
    await resize(w, 4);
    await w.until(() => w.serving().length === 4, 200);
    const { rejoin } = await loseState(w);
    await w.live(120);
    await resize(w, 2);
    await w.live(120);
    expect(await adopt(w)).toEqual({ kind: "done", changed: true });
    await startAgain(w);
    rejoin();
    await w.live(1_800);
    expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
    expect(w.serving().length).toBe(4);
  });

  test("buys after a person has ignored the other fleet, which stays untouched", async () => {
    const w = await fleet(2);
    const before = liveIds(w);
    await loseState(w);
    await w.live(300);
    expect(await ignore(w, "flet")).toEqual({ kind: "unknown", known: ["fleet"] });
    expect(counts(w).asks).toBe(2);
    expect(await ignore(w)).toEqual({ kind: "done", changed: true });
    expect(await ignore(w)).toEqual({ kind: "done", changed: false });
    await w.live(900);
    expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
    expect(liveIds(w)).toEqual(expect.arrayContaining(before));
    const refused = await adopt(w);
    expect(refused.kind === "refused" && refused.message).toContain("has machines");
    await startAgain(w);
    await w.live(600);
    expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
  });

  test("another team's fleet with other pool names is not seen and holds nothing", async () => {
    const w = await fleet(2);
    become(w, "newone");
    const [pool] = configOf(poolYaml(2).replace("name: p", "name: q")).pools;
    w.config = { ...w.config, pools: pool === undefined ? [] : [pool] };
    await loseDatabase(w);
    await w.live(300);
    expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
    expect(holdOf(w, "q")).toBe("");
    expect(await adopt(w)).toEqual({ kind: "unknown", known: [] });
  });

  test("an older state folder with the same fleet id is no lost one", async () => {
    const w = await fleet(2);
    const before = liveIds(w);
    await loseDatabase(w);
    await w.live(900);
    expect(liveIds(w)).toEqual(before);
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
    expect(holdOf(w)).toBe("");
  });

  test("refuses a fleet that is larger than the pool may be, and holds until then", async () => {
    const w = await fleet(3);
    await loseState(w);
    w.config = configOf(poolYaml(1).replace("max_nodes: 6", "max_nodes: 2"));
    await w.crash();
    await w.start();
    await w.live(300);
    const refused = await adopt(w);
    expect(refused.kind === "refused" && refused.message).toContain("raise max_nodes");
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
  });

  test("holds nothing for a pool that has left the configuration", async () => {
    const w = await fleet(2);
    await loseState(w);
    await w.live(120);
    expect(holdingFleets(w.reconciler.fleet())).toHaveLength(1);
    w.config = configOf(poolYaml(2).replace("name: p", "name: q"));
    await w.crash();
    await w.start();
    await w.live(120);
    expect(holdingFleets(w.reconciler.fleet())).toEqual([]);
  });

  test("holds a new pool alone, while the other pools buy", async () => {
    const w = await fleet(2);
    await loseState(w);
    w.config = configOf(poolYaml(2, anotherPool("q", 1)));
    await w.crash();
    await w.start();
    await w.live(300);
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    expect(holdOf(w)).toContain("2 machines of fleet fleet");
  });
});

describe("a look that is not answered", () => {
  test("holds a new pool for ten minutes, and no longer", async () => {
    const w = await open(poolYaml(2));
    await w.crash();
    const provider = forFleet(w.cloud, () => "fleet");
    const message = "not allowed to list";
    provider.strangers = async () => ({ kind: "failed", class: "auth", message });
    w.aliases.set("fake", provider);
    await w.start();
    await w.live(590);
    expect(counts(w).asks).toBe(0);
    expect(holdOf(w)).toContain(message);
    await w.live(120);
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
  });

  test("holds nothing where a kind of provider cannot show other fleets", async () => {
    const w = await open(poolYaml(2));
    await w.crash();
    const provider = forFleet(w.cloud, () => "fleet");
    provider.strangers = async () => ({ kind: "unsupported", message: "it lists its own" });
    w.aliases.set("fake", provider);
    await w.start();
    await w.live(120);
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
  });
});

describe("a process that dies while a fleet is adopted", () => {
  test.each(["before", "after"] as const)(
    "at each write of it, %s its effect",
    async (side) => {
      for (let call = 1; call <= 3; call++) {
        const injector = new CrashInjector();
        const w = await fleet(2);
        const before = liveIds(w);
        w.injector = injector;
        w.tolerant = true;
        const { rejoin } = await loseState(w);
        await w.live(120);
        injector.arm(call, side);
        const asked = await adopt(w).then(
          () => "answered",
          () => "died",
        );
        await w.live(5).catch(() => undefined);
        expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
        injector.revive();
        await startAgain(w);
        await w.live(300);
        expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
        // The person asks again, whatever the answer was.
        if (w.fleetId === "newone") {
          expect(asked).toBe("died");
          expect(await adopt(w)).toEqual({ kind: "done", changed: true });
          await startAgain(w);
        }
        expect(await adopt(w)).toEqual({ kind: "done", changed: false });
        rejoin();
        await w.live(600);
        expect(liveIds(w)).toEqual(before);
        expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
        expect(w.serving().length).toBe(2);
      }
    },
    60_000,
  );
});
