/**
 * The control plane dies at every write and call of one whole repair of a node in Slurm, alone and
 * beside Kubernetes: nothing stays drained, nothing is released that is not ours, no job is cut off.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { seeded } from "../../simulator/engine/random.ts";
import { drawSeed } from "../seed.ts";
import type { Point } from "../world/crash-injector.ts";
import { judgeRepair, liveThrough, type Mark, openRepair } from "../world/slurm/story.ts";
import { closeWorlds } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(240_000);

const nameOf = ({ n, side, what }: Point): string => `${n}${side} ${what}`;

/** One death at each of these, the later ones counted from the life before them. */
async function crashAt(
  isBoth: boolean,
  ...at: readonly Pick<Point, "n" | "side">[]
): Promise<string[]> {
  const repair = await openRepair(isBoth);
  try {
    const left = [...at];
    let [life, base] = [0, 0];
    await liveThrough(repair, ({ n, side }, now) => {
      if (now !== life) [life, base] = [now, n - 1];
      const [next] = left;
      if (next === undefined || n - base !== next.n || side !== next.side) return false;
      left.shift();
      return true;
    });
    return judgeRepair(repair);
  } catch (error) {
    return [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  } finally {
    await closeWorlds();
  }
}

async function pointsOf(isBoth: boolean): Promise<Mark[]> {
  const repair = await openRepair(isBoth);
  const points = await liveThrough(repair, () => false);
  expect(judgeRepair(repair)).toEqual([]);
  await closeWorlds();
  return points;
}

describe.each([
  ["Slurm alone", false],
  ["Slurm and Kubernetes", true],
])("a crash in %s", (_name, isBoth) => {
  test("at any write or call of a repair costs nothing", async () => {
    const points = await pointsOf(isBoth);
    const seen = new Set<string>();
    const bad: string[] = [];
    for (const point of points) {
      // What dies at two points that leave the same world dies once.
      if (seen.has(point.leaves)) continue;
      seen.add(point.leaves);
      const wrong = await crashAt(isBoth, point);
      if (wrong.length > 0) bad.push(`${nameOf(point)}: ${wrong.join("; ").slice(0, 400)}`);
    }
    expect(bad).toEqual([]);
    expect(seen.size).toBeGreaterThan(30);
    const whats = points.map(({ what }) => what);
    for (const what of ["slurm.drain", "slurm.undrain", "slurm.nodes", "slurm.jobs"]) {
      expect(whats).toContain(what);
    }
  });

  test("and another one in the life after it cost nothing either", async () => {
    const points = await pointsOf(isBoth);
    const random = seeded(drawSeed());
    const draw = (): Pick<Point, "n" | "side"> => ({
      n: 1 + Math.floor(random() * points.length * 0.6),
      side: random() < 0.5 ? "b" : "a",
    });
    const bad: string[] = [];
    for (let i = 0; i < 12; i++) {
      const pair = [draw(), draw()] as const;
      const wrong = await crashAt(isBoth, ...pair);
      const name = pair.map(({ n, side }) => `${n}${side}`).join(" then ");
      if (wrong.length > 0) bad.push(`${name}: ${wrong.join("; ").slice(0, 400)}`);
    }
    expect(bad).toEqual([]);
  });
});
