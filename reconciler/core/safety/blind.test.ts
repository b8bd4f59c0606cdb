/** What makes the fleet blind, and what is only a zone that died. */
import { expect, test } from "bun:test";
import type { Node } from "../../../schema/node.ts";
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
  expect(blindness.look([], 1_500, 1_000)).toEqual([
    "waits until observations were reliable for 2s, after: dark",
  ]);
  expect(blindness.look([], 2_999, 1_000)).toHaveLength(1);
  expect(blindness.look([], 3_000, 1_000)).toEqual([]);
  expect(blindness.look([], 3_100, 1_000)).toEqual([]);
});

const plain = (over: Partial<Node> = {}, state: Parameters<typeof nodeIn>[2] = "silent") =>
  Array.from({ length: 3 }, (_, n) => ({ ...nodeIn("a", n, state), ...over }));

test("darkness() tells how many of how many, and of what", () => {
  expect(darkness(zone("a", 3, "silent"))).toBe("3 of 3 nodes fell silent at once");
  expect(darkness([...zone("a", 9, "silent"), nodeIn("a", 9, "sick")])).toBe(
    "10 of 10 nodes are silent or unhealthy at once",
  );
});

test("darkness() is nine tenths of a domain", () => {
  expect(darkness([...zone("a", 9, "silent"), nodeIn("a", 9, "well")])).toContain("9 of 10");
  expect(darkness([...zone("a", 8, "silent"), nodeIn("a", 8, "well")])).toBeNull();
  expect(darkness(zone("a", 3, "well"))).toBeNull();
});

test("darkness() counts small domains together, so that one light among them is a light", () => {
  const small = (...states: Parameters<typeof nodeIn>[2][]) =>
    states.map((state, n) => nodeIn(`s${n}`, n, state));
  expect(darkness([...zone("a", 5, "silent"), ...small("well")])).toBeNull();
  expect(darkness([...zone("a", 5, "silent"), ...small("silent", "silent")])).toContain("7 of 7");
  expect(darkness(small("silent", "silent", "well"))).toBeNull();
  // Three make a domain, and are judged by themselves.
  const nine = Array.from({ length: 9 }, (_, n) => nodeIn(`t${n}`, n, "silent"));
  expect(darkness([...zone("a", 3, "well").slice(0, 1), ...nine])).toContain("9 of 10");
  expect(darkness([...zone("a", 3, "well"), ...nine])).toBeNull();
});

test("darkness() does not count those that nobody can see", () => {
  expect(darkness(plain({ agent: null }))).toBeNull();
  expect(darkness(plain({ phase: { kind: "gone", since: 0, purpose: "lost" } }))).toBeNull();
  const ending = { since: 0, purpose: "lost", accepted: null, notBefore: 0 } as const;
  expect(darkness(plain({ phase: { kind: "terminating", ...ending } }))).toBeNull();
  const state = (name: string) => ({ provider: "fake", zone: "a", state: name });
  expect(darkness(plain({ instance: state("terminated") as Node["instance"] }))).toBeNull();
  expect(darkness(plain({ instance: state("terminating") as Node["instance"] }))).not.toBeNull();
});

test("darkness() is not of unmanaged machines, unless the fleet is made of them", () => {
  const found = { slot: null, instance: null };
  expect(darkness(plain(found))).toBe("3 of 3 nodes fell silent at once");
  expect(darkness(plain({ ...found, pool: null }))).toBeNull();
  expect(darkness([...plain(found), ...zone("a", 3, "well")])).toBeNull();
  expect(darkness([...plain(found, "well"), ...zone("a", 3, "silent")])).toContain("3 of 3");
  expect(darkness([...plain(found), nodeIn("a", 9, "well")])).toBeNull();
});

test("darkness() goes by the zone, and never by the rack", () => {
  const racked = (n: number, rack: string, state: Parameters<typeof nodeIn>[2]) => ({
    ...nodeIn("a", n, state),
    agent: { inventory: { labels: { rack } } } as unknown as Node["agent"],
  });
  const inRack = (rack: string, from: number, state: Parameters<typeof nodeIn>[2]) =>
    Array.from({ length: 40 }, (_, n) => racked(from + n, rack, state));
  // A lit rack in a zone that is dark for nine tenths is not a domain of its own.
  const lit = Array.from({ length: 4 }, (_, n) => racked(40 + n, "r2", "well"));
  expect(darkness([...inRack("r1", 0, "silent"), ...lit])).toContain("40 of 44");
});

test("Blindness gives every reason, and forgets the darkness with the newest one", () => {
  const blindness = new Blindness();
  expect(blindness.look(["a", "b"], 0, 1_000)).toEqual(["a", "b"]);
  expect(blindness.look(["c"], 1_000, 1_000)).toEqual(["c"]);
  expect(blindness.look([], 2_999, 1_000)).toEqual([
    "waits until observations were reliable for 2s, after: c",
  ]);
  expect(blindness.look([], 3_000, 1_000)).toEqual([]);
  expect(blindness.look([], 0, 1_000)).toEqual([]);
});
