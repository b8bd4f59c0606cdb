import { expect, test } from "bun:test";
import { noFleet } from "../../test/world/no-fleet.ts";
import type { FleetNode, Fleet } from "./fleet.ts";
import { clockOf, type FleetPoint, formatTimeline, watchFleet } from "./timeline.ts";

const node = (id: string, change: Partial<FleetNode> = {}): FleetNode => ({
  ...{ id, pool: "train", kubernetesNode: id, phase: "serving" },
  ...{ isHealthy: true, isCordoned: false, ...change },
});

/** A clock whose timers fire when it is moved. */
function openClock() {
  let nowMs = 0;
  let timers: { atMs: number; work: () => void }[] = [];
  return {
    wallMs: () => nowMs,
    monoMs: () => nowMs,
    after(ms: number, work: () => void) {
      const timer = { atMs: nowMs + ms, work };
      timers.push(timer);
      return () => {
        timers = timers.filter((one) => one !== timer);
      };
    },
    async pass(ms: number) {
      for (const endMs = nowMs + ms; nowMs < endMs;) {
        nowMs += 500;
        const due = timers.filter(({ atMs }) => atMs <= nowMs);
        timers = timers.filter(({ atMs }) => atMs > nowMs);
        for (const { work } of due) work();
        await Bun.sleep(0);
      }
    },
    waiting: () => timers.length,
  };
}

test("watchFleet() keeps the points at which a count changed, and the last", async () => {
  const clock = openClock();
  let nodes = [node("a"), node("b")];
  let replaced = 0;
  const fleet: Fleet = {
    ...noFleet("not asked"),
    nodes: async () => ({ ok: true, value: nodes }),
    replaced: async () => ({ ok: true, value: replaced }),
  };
  const watch = watchFleet(fleet, clock);
  await clock.pass(5_000);
  nodes = [node("a"), node("b", { isHealthy: false, isCordoned: true, phase: "draining" })];
  await clock.pass(3_000);
  nodes = [node("a"), node("c")];
  replaced = 1;
  await clock.pass(2_000);
  const points = await watch.end();
  const told = points.map(({ healthy, cordoned, leaving, replaced: done }) =>
    [healthy, cordoned, leaving, done].join(" "),
  );
  expect(told).toEqual(["2 0 0 0", "1 1 1 0", "2 0 0 1", "2 0 0 1"]);
  expect(points.at(-1)?.ms).toBe(10_000);
  expect(clock.waiting()).toBe(0);
});

test("watchFleet() has no points of a fleet that cannot be asked", async () => {
  const clock = openClock();
  const watch = watchFleet(noFleet("no control plane"), clock);
  await clock.pass(3_000);
  expect(await watch.end()).toEqual([]);
});

test("formatTimeline() fits a terminal, whatever it is given", () => {
  const point: FleetPoint = {
    ...{ ms: 0, nodes: 10_000, healthy: 9_900 },
    ...{ cordoned: 100, leaving: 20, replaced: 0 },
  };
  const many = Array.from({ length: 5_000 }, (_, i) => ({ ...point, ms: i * 1_000 }));
  const lines = formatTimeline(many);
  expect(lines.length).toBe(25);
  expect(lines[1]).toContain("0:00");
  expect(lines.at(-1)).toContain("83:19");
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(80);
  expect(formatTimeline([])).toEqual([]);
  expect(formatTimeline([point]).length).toBe(2);
  expect(clockOf(59_600)).toBe("1:00");
});
