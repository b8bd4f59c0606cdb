/** Which lanes a check runs, and that the table leaves no room of the product out. */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { chooseLanes, digestOf, isOf, type Lane, LANES, type Tracked, whyDue } from "./lane.ts";
import { ROOT } from "./product.ts";

const lane: Lane = { name: "a", tests: ["test/real/a"], rooms: ["rooms/a"], story: null };
const file = (path: string, blob = "1"): Tracked => ({ path, blob });

test("a lane is due for its rooms, its tests and what every lane needs, not for other tests", () => {
  const of = (path: string) => isOf(lane, path, []);
  for (const path of [
    "rooms/a/x.ts",
    "test/real/a/x.test.ts",
    "build/test.ts",
    "package-lock.json",
  ]) {
    expect([path, of(path)]).toEqual([path, true]);
  }
  for (const path of ["rooms/ab/x.ts", "rooms/a/x.test.ts", "test/real/b/x.ts", "README.md"]) {
    expect([path, of(path)]).toEqual([path, false]);
  }
  expect(isOf({ ...lane, tests: [] }, "test/m.test.ts", ["test/m.test.ts"])).toBe(true);
});

test("the digest follows names and contents of its own files, in any order", () => {
  const files = [file("rooms/a/x.ts"), file("rooms/a/y.ts"), file("other.ts")];
  const digest = digestOf(lane, files, []);
  expect(digestOf(lane, files.toReversed(), [])).toBe(digest);
  expect(digestOf(lane, [...files.slice(0, 2), file("other.ts", "2")], [])).toBe(digest);
  expect(digestOf(lane, [file("rooms/a/x.ts", "2"), ...files.slice(1)], [])).not.toBe(digest);
  expect(digestOf(lane, [file("rooms/a/z.ts"), ...files.slice(1)], [])).not.toBe(digest);
});

test("a lane without a pass, with another digest or an old pass is due", () => {
  expect(whyDue(null, "d")).toBe("no pass on record");
  expect(whyDue({ digest: "e", commitsAgo: 1 }, "d")).toBe("changed");
  expect(whyDue({ digest: "d", commitsAgo: 151 }, "d")).toBe("passed 151 commits ago");
  expect(whyDue({ digest: "d", commitsAgo: 150 }, "d")).toBeNull();
});

test("one lane more runs in turn, and each has its turn", () => {
  const due = new Map([
    ["a", "changed"],
    ["b", null],
    ["c", null],
  ]);
  const seen = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const chosen = chooseLanes(due, i.toString(16).padStart(8, "0"));
    expect([chosen.size, chosen.get("a")]).toEqual([2, "changed"]);
    for (const name of chosen.keys()) seen.add(name);
  }
  expect([...seen].sort()).toEqual(["a", "b", "c"]);
  expect(chooseLanes(new Map([["a", "changed"]]), "ff").size).toBe(1);
});

/** What ordinary tests judge, or every lane feeds: see `Lane`. */
const OF_NO_LANE = new Set(
  [
    "config",
    "core",
    "google",
    "metric",
    "program",
    "provider",
    "runtime",
    "security",
    "server",
    "store",
    "trace",
  ].map((room) => `reconciler/${room}`),
);

test("what the table names is there, and each room has a lane or is of none on purpose", () => {
  const named = LANES.flatMap(({ tests, rooms, story }) => [
    ...tests,
    ...rooms,
    ...(story === null ? [] : [story]),
  ]);
  expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  const rooms = [...new Bun.Glob("reconciler/*").scanSync({ cwd: ROOT, onlyFiles: false })];
  const isNamed = (room: string) =>
    OF_NO_LANE.has(room) || LANES.some((one) => one.rooms.includes(room));
  expect(rooms.filter((room) => !room.includes(".") && !isNamed(room))).toEqual([]);
});
