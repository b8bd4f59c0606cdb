/**
 * The control plane dies at every write and call of one whole replacement in a cluster, and at
 * pairs of them; and a leader that was frozen in the middle of one goes on while another one leads.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { settle } from "../../simulator/engine/clock.ts";
import { CrashInjector, type Point } from "../world/crash-injector.ts";
import { seeded } from "../../simulator/engine/random.ts";
import { drawSeed } from "../seed.ts";
import type { World } from "../world/world.ts";
import { clusterOf, holdPool } from "../world/cluster.ts";
import {
  isOver,
  judgeReplacement,
  liveThrough,
  type Mark,
  openReplacement,
  REPLACED,
} from "../world/replacement.ts";
import { closeWorlds, open } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(120_000);

const nameOf = ({ n, side, what }: Point): string => `${n}${side} ${what}`;

/** One death at each of these, the later ones counted from the life before them. */
async function crashAt(...at: readonly Pick<Point, "n" | "side">[]): Promise<string[]> {
  const story = await openReplacement();
  try {
    const left = [...at];
    let [life, base] = [0, 0];
    await liveThrough(story, ({ n, side }, now) => {
      if (now !== life) [life, base] = [now, n - 1];
      const [next] = left;
      if (next === undefined || n - base !== next.n || side !== next.side) return false;
      left.shift();
      return true;
    });
    return judgeReplacement(story);
  } catch (error) {
    return [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  } finally {
    await closeWorlds();
  }
}

async function pointsOf(): Promise<Mark[]> {
  const story = await openReplacement();
  const points = await liveThrough(story, () => false);
  expect(judgeReplacement(story)).toEqual([]);
  await closeWorlds();
  return points;
}

describe("a crash", () => {
  test("at any write or call of a replacement costs nothing", async () => {
    const points = await pointsOf();
    const seen = new Set<string>();
    const bad: string[] = [];
    for (const point of points) {
      // What dies at two points that leave the same world dies once.
      if (seen.has(point.leaves)) continue;
      seen.add(point.leaves);
      const wrong = await crashAt(point);
      if (wrong.length > 0) bad.push(`${nameOf(point)}: ${wrong.join("; ").slice(0, 400)}`);
    }
    expect(bad).toEqual([]);
    expect(seen.size).toBeGreaterThan(30);
    expect(points.length).toBeGreaterThan(120);
    const whats = points.map(({ what }) => what);
    for (const what of ["kube.create eviction", "kube.patch nodes", "kube.delete nodes"])
      expect(whats).toContain(what);
  });

  test("and another one in the life after it cost nothing either", async () => {
    const points = await pointsOf();
    for (const seed of [20_261_121, drawSeed()]) {
      const random = seeded(seed);
      const draw = (): Pick<Point, "n" | "side"> => ({
        n: 1 + Math.floor(random() * 40),
        side: random() < 0.5 ? "b" : "a",
      });
      for (let i = 0; i < 6; i++) {
        const one = points[Math.floor(random() * points.length)];
        if (one === undefined) throw new Error("no points");
        const two = draw();
        const wrong = await crashAt(one, two);
        const where = `seed ${seed}: ${nameOf(one)}, then ${two.n}${two.side}`;
        expect(`${where}: ${wrong.join("; ")}`).toBe(`${where}: `);
      }
    }
  });
});

/** `at`: the number of a point, or the first one of what is called so. */
type Thaw = { at: number | string; side: "a" | "b"; thawAfterMs: number };

/** The first leader stops at a point; another one takes over; the first goes on beside it. */
async function freeze({ at, side, thawAfterMs }: Thaw, meanwhile?: (w: World) => Promise<unknown>) {
  const story = await openReplacement();
  const { world: first, injector } = story;
  const frozen = Promise.withResolvers<string>();
  const thaw = Promise.withResolvers<void>();
  let led = true;
  first.permit = { mayStart: () => led, unfencedMs: 7_000, leads: () => led };
  await first.crash();
  await first.start();
  const begun = injector.count;
  let isHeld = false;
  injector.hold = ({ n, side: of, what }) => {
    const isThere = typeof at === "number" ? n - begun === at : what === at;
    if (!isHeld && isThere && of === side) {
      isHeld = true;
      first.stop();
      frozen.resolve(what);
    }
    return isHeld ? thaw.promise : null;
  };
  first.xid(story.sick, 79);
  const life = first
    .advance(() => isOver(story), 600_000)
    .then(
      () => null,
      () => null,
    );
  const held = await Promise.race([frozen.promise, life]);
  if (held === null) return { held, wrong: [], story };
  for (let i = 0; i < 20; i++) await settle();
  await first.clock.pass(16_000);
  led = false;
  const second = await open(REPLACED, { beside: first, prepare: new CrashInjector() });
  second.tolerant = true;
  await second.start();
  await meanwhile?.(second);
  await second.advance(() => false, thawAfterMs);
  const before = clusterOf(first).kube.evictions.size;
  first.goOn();
  injector.hold = null;
  thaw.resolve();
  for (let i = 0; i < 5; i++) {
    // A second passes before it is noticed that it leads no more.
    await first.reconciler.activate().catch(() => undefined);
    await first.clock.pass(300);
  }
  const late = clusterOf(first).kube.evictions.size - before;
  await first.crash();
  return { held, late, story: { ...story, world: second } };
}

describe("a leader that was frozen and goes on", () => {
  test("changes nothing about what another one has finished or is doing", async () => {
    const random = seeded(11);
    let count = 0;
    for (let i = 0; i < 14; i++) {
      const wanted: Thaw = {
        at: 1 + Math.floor(random() * 75),
        side: random() < 0.5 ? "b" : "a",
        thawAfterMs: Math.floor(random() * 25_000),
      };
      const { held, story } = await freeze(wanted);
      const where = `frozen at ${wanted.at}${wanted.side} ${held}, on after ${wanted.thawAfterMs}`;
      if (held !== null) {
        count++;
        await story.world.advance(() => isOver(story), 600_000);
        await story.world.advance(() => false, 60_000);
        expect(`${where}: ${judgeReplacement(story).join("; ")}`).toBe(`${where}: `);
      }
      await closeWorlds();
    }
    expect(count).toBeGreaterThan(8);
  });

  test("evicts nobody in a pool that a person has held meanwhile", async () => {
    let drained = 0;
    const at = ["kube.create eviction", ...Array.from({ length: 10 }, (_, i) => 10 + 5 * i)];
    for (const one of at) {
      const { held, late } = await freeze({ at: one, side: "b", thawAfterMs: 10_000 }, holdPool);
      if (held !== null && late !== undefined) {
        drained++;
        expect(`${one} ${held}: ${late} evictions`).toBe(`${one} ${held}: 0 evictions`);
      }
      await closeWorlds();
    }
    expect(drained).toBeGreaterThan(3);
  });
});
