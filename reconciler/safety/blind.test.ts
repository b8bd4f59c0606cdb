/** What makes the fleet blind, and what is only a zone that died. */
import { expect, test } from "bun:test";
import type { Node } from "../../schema/node.ts";
import { newNode } from "../fold/new-node.ts";
import { Blindness, darkness } from "./blind.ts";

function nodeIn(
  zone: string | null,
  n: number,
  state: "well" | "silent" | "sick" | "evident",
): Node {
  const base = newNode({
    id: `n-${zone}-${n}` as Node["id"],
    pool: "p" as NonNullable<Node["pool"]>,
    slot: n,
    gen: n,
    at: 0,
    replaces: null,
  });
  const held = (code: number) => [
    { finding: { kind: "xid", code }, judgement: { result: "unhealthy", definitive: code === 79 } },
  ];
  const sick = state === "sick" || state === "evident";
  // A condition that may pass, as opposed to proof of broken hardware.
  return {
    ...base,
    phase: { kind: "serving", since: 0 },
    instance: { provider: "fake", zone, state: "running" } as unknown as Node["instance"],
    agent: { inventory: { labels: {} } } as unknown as Node["agent"],
    health: {
      ...base.health,
      verdict: sick ? "unhealthy" : "healthy",
      silentSince: state === "silent" ? 1 : null,
      held: (sick ? held(state === "evident" ? 79 : 48) : []) as unknown as Node["health"]["held"],
    },
  };
}

const zone = (name: string | null, size: number, state: Parameters<typeof nodeIn>[2]): Node[] =>
  Array.from({ length: size }, (_, n) => nodeIn(name, n, state));

test("darkness() is every domain dark, by silence", () => {
  expect(darkness([...zone("a", 5, "silent"), ...zone("b", 5, "silent")])).toContain("10 of 10");
  expect(darkness(zone(null, 3, "silent"))).toContain("3 of 3");
});

test("darkness() is not one zone that died", () => {
  expect(darkness([...zone("a", 50, "silent"), ...zone("b", 5, "well")])).toBeNull();
});

test("darkness() needs more than two nodes, and more than a few that are sick", () => {
  expect(darkness(zone("a", 2, "silent"))).toBeNull();
  expect(darkness(zone("a", 9, "sick"))).toBeNull();
  expect(darkness(zone("a", 10, "sick"))).toContain("unhealthy at once");
});

test("darkness() does not doubt what is evident by itself", () => {
  expect(darkness(zone("a", 20, "evident"))).toBeNull();
});

test("darkness() judges domains too small for a verdict together", () => {
  const pairs = ["a", "b", "c", "d"].flatMap((name) => zone(name, 2, "silent"));
  expect(darkness(pairs)).toContain("8 of 8");
});

test("Blindness lasts two rounds longer than its reason", () => {
  const blindness = new Blindness();
  expect(blindness.look([], 0, 1_000)).toEqual([]);
  expect(blindness.look(["dark"], 1_000, 1_000)).toEqual(["dark"]);
  expect(blindness.look([], 1_500, 1_000)).toEqual(["sight has just come back: dark"]);
  expect(blindness.look([], 2_999, 1_000)).toHaveLength(1);
  expect(blindness.look([], 3_000, 1_000)).toEqual([]);
  expect(blindness.look([], 3_100, 1_000)).toEqual([]);
});
