/** Back-off of places: keys, what older stores held, and when a record is dropped. */
import { expect, test } from "bun:test";
import * as v from "valibot";
import { fleetOf, nodeOf, poolStateOf } from "../../../test/world/part.ts";
import { PoolState } from "../../../schema/node.ts";
import { Fact } from "../../../schema/safety.ts";
import {
  placeKey,
  type Rest,
  restAfter,
  restingProviders,
  restsAfterProof,
  sayScope,
  scopesOf,
  stepRests,
  termsOf,
} from "./rest.ts";

const NOW = 1_000_000_000_000;
const HOUR_MS = 3_600_000;
const place = {
  provider: "a",
  region: "r",
  zone: null,
  instanceType: "t",
  market: "on-demand",
  reservation: null,
} as const;
const rest = (more: Partial<Rest> = {}): Rest => ({
  ...{ kind: "rest", scope: "a/r//t", failures: 1, notBefore: NOW + 1, class: "capacity" },
  ...{ message: "none", at: NOW - 1, isOpen: false, ...more },
});

test("a place's key stays that of older releases on demand, and tells markets apart", () => {
  const spot = { ...place, market: "spot" } as const;
  const reserved = { ...place, market: "reserved", reservation: "projects/p/x" } as const;
  expect([place, spot, reserved].map(placeKey)).toEqual([
    "a/r//t",
    "a/r//t/spot",
    "a/r//t/reserved:projects/p/x",
  ]);
  for (const { market, reservation, ...at } of [place, spot, reserved]) {
    expect(termsOf(placeKey({ ...at, market, reservation }))).toEqual({ market, reservation });
  }
  expect(scopesOf(spot)).toEqual(["a/r//t/spot", "quota:a/r/t/spot", "provider:a"]);
});

test("what a pool of an older store held rests for all pools", () => {
  const old = { failures: 3, notBefore: NOW + HOUR_MS, class: "capacity", message: "none" };
  const offers = { "a/r//t": old, "b/r//t": { ...old, notBefore: NOW - 1 } };
  const state = poolStateOf(1, { offers });
  const step = stepRests(fleetOf([], [], [state]), NOW);
  expect(step.put).toEqual([rest({ ...old, at: NOW })]);
  expect(step.pools).toEqual([{ ...state, offers: {} }]);
  expect(stepRests(fleetOf([], step.put, step.pools), NOW)).toEqual({
    put: [],
    drop: [],
    pools: [],
    events: [],
  });
  const { offers: _, ...bare } = state;
  expect(v.parse(PoolState, bare).offers).toEqual({});
  expect(v.parse(Fact, structuredClone(rest()))).toEqual(rest());
});

test("a record is dropped a day after its last refusal, one of a throttled provider with its end", () => {
  const dropped = (one: Rest) => stepRests(fleetOf([nodeOf("n")], [one]), NOW).drop;
  expect(dropped(rest({ notBefore: NOW - 1 }))).toEqual([]);
  expect(dropped(rest({ notBefore: NOW - 1, at: NOW - 24 * HOUR_MS }))).toEqual(["rest:a/r//t"]);
  expect(dropped(rest({ at: NOW - 24 * HOUR_MS }))).toEqual([]);
  expect(dropped(rest({ class: "rate_limit", notBefore: NOW }))).toEqual(["rest:a/r//t"]);
});

test("a verified node ends the record that its purchase opened, and none that was renewed", () => {
  const after = (one: Rest) => restsAfterProof(() => one, "a/r//t#abcd");
  expect(after(rest({ isOpen: true }))).toEqual(["rest:a/r//t"]);
  expect(after(rest({ class: "lemon" }))).toEqual(["rest:a/r//t"]);
  expect(after(rest())).toEqual([]);
});

test("restingProviders() names the provider of each scope that rests", () => {
  const scopes = ["a/r//t", "quota:b/r/t/spot", "provider:c"];
  const facts = fleetOf(
    [],
    [...scopes.map((scope) => rest({ scope })), rest({ scope: "d/r//t", notBefore: NOW })],
  ).facts;
  expect([...restingProviders(facts, NOW)]).toEqual(["a", "b", "c"]);
});

test("an accepted purchase ends the doubling, unless it is that purchase which failed", () => {
  const refusal = {
    scope: "a/r//t",
    class: "capacity",
    message: "none",
    retryAfterMs: null,
  } as const;
  const after = (before: Partial<Rest>, isLate: boolean, askedAt = NOW) => {
    const { failures, notBefore, isOpen } = restAfter(
      () => rest({ failures: 3, ...before }),
      { ...refusal, askedAt, isLate },
      NOW + 5,
    );
    return [failures, notBefore - NOW - 5, isOpen];
  };
  expect(after({}, false)).toEqual([4, 240_000, false]);
  expect(after({ isOpen: true, notBefore: 0 }, false)).toEqual([1, 30_000, false]);
  expect(after({ isOpen: true, notBefore: 0 }, true)).toEqual([4, 240_000, false]);
  // Asked for before the last refusal, so it says nothing that the refusal did not.
  expect(after({ isOpen: true, notBefore: 0 }, false, NOW - 1)).toEqual([3, 120_000, false]);
});

test("sayScope() leaves out the kind and empty parts", () => {
  const keys = [
    ...scopesOf(place),
    placeKey({ ...place, region: null, zone: "z", market: "spot" }),
  ];
  expect(keys.map(sayScope)).toEqual(["a/r/t", "a/r/t/on-demand", "a", "a/z/t/spot"]);
});
