/** Names of releases: any text has an answer, and those that can be read have an order. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compareVersions, isRelease } from "./release.ts";

/** As Semantic Versioning 2.0.0, section 11, has them, oldest first. */
const ASCENDING = [
  "1.0.0-alpha",
  "1.0.0-alpha.1",
  "1.0.0-alpha.beta",
  "1.0.0-beta",
  "1.0.0-beta.2",
  "1.0.0-beta.11",
  "1.0.0-rc.1",
  "1.0.0",
  "1.0.9",
  "1.0.10",
  "1.10.0",
  "2.0.0",
  "2026.11.21",
  "9007199254740993.0.0",
  "9007199254740994.0.0",
];
const UNREADABLE = [
  "",
  "x",
  "0dev",
  "9zz",
  "v1.2.3",
  "1.2",
  "1.2.3.4",
  "1.2.3~rc1",
  "1.2.3-",
  "1.2.3+",
  "1.2.3-01",
  "01.2.3",
  " 1.2.3",
  "1.2.3\n",
  "💥",
  "\u0000",
];

const small = fc.integer({ min: 0, max: 12 });
const word = fc.oneof(small.map(String), fc.constantFrom("alpha", "rc", "a-1", "-", "1a"));
const dotted = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join("."));
const readable = fc
  .tuple(small, small, small, fc.option(dotted), fc.option(dotted))
  .map(([major, minor, patch, pre, build]) => {
    const core = `${major}.${minor}.${patch}`;
    return `${core}${pre === null ? "" : `-${pre}`}${build === null ? "" : `+${build}`}`;
  });
const anything = fc.oneof(
  readable,
  fc.string({ maxLength: 64 }),
  fc.string({ unit: "binary", maxLength: 64 }),
  fc.constantFrom(...UNREADABLE, ...ASCENDING),
);

describe("compareVersions()", () => {
  test("has the order of the specification", () => {
    for (const [i, one] of ASCENDING.entries()) {
      for (const [j, other] of ASCENDING.entries()) {
        expect([one, other, compareVersions(one, other)]).toEqual([one, other, Math.sign(i - j)]);
      }
    }
    expect(compareVersions("1.0.0+a", "1.0.0+b")).toBe(0);
  });

  test.each(UNREADABLE)("cannot read %j", (text) => {
    expect(compareVersions(text, "1.0.0")).toBeNull();
    expect(compareVersions("1.0.0", text)).toBeNull();
    expect(isRelease(text)).toBe(false);
  });

  test("never throws, and answers the other way round the other way round", () => {
    fc.assert(
      fc.property(anything, anything, (one, other) => {
        const there = compareVersions(one, other);
        const back = compareVersions(other, one);
        expect(back === null ? null : -back + 0).toBe(there === null ? null : there + 0);
        const unreadable = (text: string) => compareVersions(text, text) === null;
        expect(there === null).toBe(unreadable(one) || unreadable(other));
      }),
    );
  });

  test("is an order: what is older than the older one is older", () => {
    fc.assert(
      fc.property(readable, readable, readable, (a, b, c) => {
        const [x, y, z] = [a, b, c].sort((one, other) => compareVersions(one, other) ?? NaN);
        expect(compareVersions(x ?? "", y ?? "")).toBeLessThanOrEqual(0);
        expect(compareVersions(y ?? "", z ?? "")).toBeLessThanOrEqual(0);
        expect(compareVersions(x ?? "", z ?? "")).toBeLessThanOrEqual(0);
      }),
    );
  });

  test("agrees with the runtime's own order where that has one", () => {
    fc.assert(
      fc.property(readable, readable, (one, other) => {
        const core = (text: string) => text.replace(/\+.*$/, "");
        expect(compareVersions(one, other)).toBe(Bun.semver.order(core(one), core(other)));
      }),
    );
  });
});

test("isRelease() takes what fits into a path and a report", () => {
  expect(isRelease("1.2.3-rc.1+build.5")).toBe(true);
  expect(isRelease(`1.2.3-${"a".repeat(54)}`)).toBe(true);
  expect(isRelease(`1.2.3-${"a".repeat(55)}`)).toBe(false);
});
