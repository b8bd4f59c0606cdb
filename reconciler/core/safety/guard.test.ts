/** The guard over new machines: when it suspects an offer, for how long, and what clears it. */
import { expect, test } from "bun:test";
import { configOf } from "../../../test/world/setting.ts";
import { poolStateOf } from "../../../test/world/part.ts";
import { countFailed, countVerified, guardKey, guardOf, isSuspect } from "./guard.ts";

const MIN = 60_000;
const KEY = "fake/r/z/t#1";
const after = (...outcomes: boolean[]) =>
  outcomes.reduce((state, ok) => (ok ? countVerified : countFailed)(state, KEY, 0), poolStateOf(1));
const [no, yes] = [false, true];
const guardAfter = (...outcomes: boolean[]) => guardOf(after(...outcomes), KEY);

test("one failure is bad luck, three in a row are not", () => {
  expect(isSuspect(null)).toBe(false);
  expect(isSuspect(guardAfter())).toBe(false);
  expect(isSuspect(guardAfter(no))).toBe(false);
  expect(isSuspect(guardAfter(no, no))).toBe(false);
  expect(isSuspect(guardAfter(no, no, no))).toBe(true);
  expect(isSuspect(guardAfter(no, no, yes, no))).toBe(false);
});

test("failing half of the last eight is suspect, from the next failure on", () => {
  expect(isSuspect(guardAfter(no, yes, no, yes, no, yes, no))).toBe(false);
  expect(isSuspect(guardAfter(no, yes, no, yes, yes, no, yes, no))).toBe(true);
  expect(isSuspect(guardAfter(no, yes, no, yes, yes, yes, yes, no))).toBe(false);
  // The newest one was verified: the key is clear until the next failure.
  expect(isSuspect(guardAfter(no, no, yes, no, no, yes, no, yes))).toBe(false);
});

test("a failure is recorded with its time, and rests nothing by itself", () => {
  expect(guardOf(countFailed(poolStateOf(1), KEY, 7), KEY)).toEqual({
    failures: 1,
    outcomes: [false],
    notBefore: 0,
    at: 7,
  });
});

test.each([
  [1, 0],
  [2, 0],
  [3, 10],
  [4, 20],
  [5, 40],
  [6, 60],
  [7, 60],
  [40, 60],
])("after %d failures in a row the next try waits %d min", (count, minutes) => {
  let state = poolStateOf(1);
  for (let i = 0; i < count; i++) state = countFailed(state, KEY, 1_000);
  expect(guardOf(state, KEY)?.notBefore).toBe(minutes === 0 ? 0 : 1_000 + minutes * MIN);
});

test("what has never failed is not written", () => {
  const state = poolStateOf(1);
  expect(countVerified(state, KEY, 5)).toBe(state);
  expect(countVerified({ ...state, guards: null as never }, KEY, 5).guards).toBeNull();
});

test("a verified node clears the rest, and the record once eight went well", () => {
  const state = countVerified(after(no, no, no), KEY, 9);
  expect(guardOf(state, KEY)).toEqual({
    failures: 0,
    outcomes: [no, no, no, yes],
    notBefore: 0,
    at: 9,
  });
  const seven = after(no, ...Array.from({ length: 7 }, () => yes));
  expect(guardOf(seven, KEY)?.outcomes).toEqual([no, ...Array.from({ length: 7 }, () => yes)]);
  const other = countFailed(seven, "other", 1);
  expect(Object.keys(countVerified(other, KEY, 9).guards ?? {})).toEqual(["other"]);
});

test("only the last eight outcomes are kept", () => {
  const many = Array.from({ length: 9 }, () => no);
  expect(guardAfter(...many)?.outcomes).toHaveLength(8);
  expect(guardAfter(...many)?.failures).toBe(9);
  expect(guardAfter(no, ...many.slice(1).map(() => no), yes)?.outcomes).toEqual([
    ...Array.from({ length: 7 }, () => no),
    yes,
  ]);
});

test("64 keys are kept, those that failed last", () => {
  let state = poolStateOf(1);
  for (let i = 0; i < 64; i++) state = countFailed(state, `k${i}`, 100 - i);
  expect(Object.keys(state.guards ?? {})).toHaveLength(64);
  state = countFailed(state, "new", 1_000);
  const keys = Object.keys(state.guards ?? {});
  expect(keys).toHaveLength(64);
  expect(keys).toContain("new");
  expect(keys).toContain("k62");
  expect(keys).not.toContain("k63");
});

test("guardKey() changes with whatever changes how a machine is set up", () => {
  const [base] = configOf(`
providers: { fake: {} }
pools: [{ name: p, provider: fake, instance_type: t, min_nodes: 1, max_nodes: 1 }]
`).pools;
  if (base === undefined) throw new Error("no pool");
  const { bootstrap } = base;
  const key = guardKey(base, "fake/r/z/t");
  expect(key).toMatch(/^fake\/r\/z\/t#[0-9a-f]{8}$/);
  expect(guardKey({ ...base, bootstrap: { ...bootstrap } }, "fake/r/z/t")).toBe(key);
  const others = [
    guardKey(base, "fake/r/y/t"),
    guardKey({ ...base, instanceType: "u" }, "fake/r/z/t"),
    ...[{ sshUser: "x" }, { setupCommands: ["x"] }, { pushAgent: !bootstrap.pushAgent }].map(
      (over) => guardKey({ ...base, bootstrap: { ...bootstrap, ...over } }, "fake/r/z/t"),
    ),
  ];
  expect(new Set([key, ...others]).size).toBe(6);
});
