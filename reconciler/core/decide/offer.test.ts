/** Where the next machine is asked for, what rests, and what exactly is asked. */
import { describe, expect, test } from "bun:test";
import type { PoolConfig } from "../../../schema/config.ts";
import { NOW, poolOf, providerSightOf } from "../../../test/world/ask.ts";
import { poolStateOf } from "../../../test/world/part.ts";
import type { ProviderSight } from "../fleet.ts";
import { guardKey } from "../safety/guard.ts";
import type { Rest } from "../safety/rest.ts";
import { type Buyer, createRequest, nextOffer, nodeIdOf, offersOf } from "./offer.ts";
import { sayWait } from "../say/wait.ts";

const [ref] = poolOf().providers;
if (ref === undefined) throw new Error("no provider");
const at = (name: string, over: Partial<typeof ref> = {}) => ({
  ...ref,
  name: name as never,
  priority: 1,
  ...over,
});
const pool = (providers: (typeof ref)[], over: Partial<PoolConfig> = {}) =>
  poolOf({ providers, region: null, zones: [], ...over });
const keys = (of: PoolConfig) => offersOf(of).map(({ key }) => key);

describe("offersOf()", () => {
  test("goes by priority, then by order", () => {
    const found = pool([at("a", { priority: 2 }), at("b"), at("c"), at("d", { priority: 0 })]);
    expect(keys(found)).toEqual(["d///h100-8x", "b///h100-8x", "c///h100-8x", "a///h100-8x"]);
  });

  test("is every type everywhere before the next type, and each market is a place of its own", () => {
    const types = at("a", {
      instanceType: "h",
      instanceTypes: ["g"],
      regions: ["r", "s"],
      weight: 8,
    });
    expect(offersOf(pool([types])).map(({ key, weight }) => [key, weight])).toEqual([
      ["a/r//h", 2],
      ["a/s//h", 2],
      ["a/r//g", 2],
      ["a/s//g", 2],
    ]);
    const terms = [
      at("a"),
      at("a", { market: "spot" }),
      at("a", { market: "reserved", reservation: "cr-1" }),
    ];
    expect(keys(pool(terms))).toEqual([
      "a///h100-8x",
      "a///h100-8x/spot",
      "a///h100-8x/reserved:cr-1",
    ]);
  });

  test("is every region with every zone, the provider's before the pool's", () => {
    const own = at("a", { regions: ["r1", "r2"], zones: ["z1", "z2"] });
    expect(keys(pool([own], { region: "r", zones: ["z"] }))).toEqual([
      "a/r1/z1/h100-8x",
      "a/r1/z2/h100-8x",
      "a/r2/z1/h100-8x",
      "a/r2/z2/h100-8x",
    ]);
    expect(keys(pool([at("a")], { region: "r", zones: ["z", "y"] }))).toEqual([
      "a/r/z/h100-8x",
      "a/r/y/h100-8x",
    ]);
    expect(offersOf(pool([at("a", { instanceType: "t" })], { region: "r" }))).toEqual([
      {
        ...{ key: "a/r//t", provider: "a", region: "r", zone: null, instanceType: "t" },
        ...{ market: "on-demand", reservation: null, weight: 1, maxPrice: null, ownPrice: null },
      },
    ]);
    expect(keys(pool([]))).toEqual([]);
  });

  test("tries a zone in its own region only", () => {
    const zones = ["us-east1-b", "us-east10-b", "us-west1-a"];
    const own = at("a", { regions: ["us-east1", "us-east10", "us-west1"], zones });
    expect(keys(pool([own]))).toEqual([
      "a/us-east1/us-east1-b/h100-8x",
      "a/us-east10/us-east10-b/h100-8x",
      "a/us-west1/us-west1-a/h100-8x",
    ]);
  });
});

describe("nextOffer()", () => {
  const two = pool([at("a"), at("b")]);
  const A = "a///h100-8x";
  const B = "b///h100-8x";
  const seen = (over: Record<string, Partial<ProviderSight> | null> = {}) =>
    new Map(
      Object.entries({ a: {}, b: {}, ...over }).flatMap(([name, sight]) =>
        sight === null ? [] : [[name, providerSightOf(sight)] as const],
      ),
    );
  type Over = Parameters<typeof poolStateOf>[1];
  const buyer = (over: Partial<Buyer> = {}): Buyer => ({
    providers: seen(),
    now: NOW,
    facts: new Map(),
    trying: new Set(),
    asking: new Set(),
    held: new Map(),
    priceOf: () => null,
    ...over,
  });
  const next = (over: Partial<Buyer> = {}, state: Over = {}, of = two) => {
    const answer = nextOffer(of, poolStateOf(1, state), buyer(over));
    if (answer.kind === "offer") return answer;
    const { why, ...wait } = answer;
    return { ...wait, message: sayWait(why) };
  };
  const key = (answer: ReturnType<typeof next>) =>
    answer.kind === "offer" ? answer.offer.key : answer;
  const rest = (scope: string, notBefore: number, more: Partial<Rest> = {}): Rest => ({
    kind: "rest",
    scope,
    failures: 1,
    notBefore,
    class: "capacity",
    message: "none",
    at: NOW - 60_000,
    isOpen: false,
    ...more,
  });
  const facts = (...rests: Rest[]) => ({
    facts: new Map(rests.map((one) => [`rest:${one.scope}`, one])),
  });
  const guard = (offer: string, notBefore = 0, failures = 3) => ({
    guards: { [guardKey(two, offer)]: { failures, outcomes: [], notBefore, at: 0 } },
  });

  test("is the first that can be asked", () => {
    expect(key(next())).toBe(A);
    expect(key(next({ providers: seen({ a: null }) }))).toBe(B);
    expect(key(next({ providers: seen({ a: { unavailable: "no key" } }) }))).toBe(B);
    expect(key(next({ providers: seen({ a: { listed: false } }) }))).toBe(B);
    expect(key(next(facts(rest(A, NOW + 1))))).toBe(B);
    expect(key(next(facts(rest(A, NOW))))).toBe(A);
    expect(key(next({}, guard(A, NOW + 1)))).toBe(B);
    expect(key(next({}, guard(A)))).toBe(A);
    expect(key(next({ trying: new Set([guardKey(two, A)]) }, guard(A)))).toBe(B);
    expect(key(next({ trying: new Set([guardKey(two, A)]) }, guard(A, NOW + 1, 0)))).toBe(A);
  });

  test("passes over what a quota or the provider itself refuses", () => {
    const quota = "quota:a//h100-8x/on-demand";
    expect(key(next(facts(rest(quota, NOW + 1, { class: "quota" }))))).toBe(B);
    expect(key(next(facts(rest("provider:a", NOW + 1, { class: "auth" }))))).toBe(B);
    expect(key(next(facts(rest("provider:b", NOW + 1, { class: "auth" }))))).toBe(A);
  });

  test("after a rest tries one purchase first, and any number once one was accepted", () => {
    const asking = new Set([A]);
    expect(key(next({ ...facts(rest(A, NOW - 1)), asking }))).toBe(B);
    expect(key(next({ ...facts(rest(A, 0, { isOpen: true })), asking }))).toBe(A);
    expect(key(next({ asking }))).toBe(A);
    const alone = next({ ...facts(rest(A, NOW - 1)), asking, providers: seen({ b: null }) });
    expect(alone).toMatchObject({
      reason: "provider",
      message: "a/h100-8x: one purchase is tried first after capacity: none; b: no such provider",
    });
  });

  test("is tried early where the cloud shows capacity that it did not show at the refusal", () => {
    const offers = (availableSince: number | null) => {
      const sight = {
        pricePerHour: 1,
        available: availableSince !== null,
        availableSince,
        seenAt: NOW,
      };
      return { providers: seen({ a: { offers: new Map([[A, sight]]) } }) };
    };
    const resting = facts(rest(A, NOW + 600_000));
    expect(key(next({ ...resting, ...offers(NOW - 1) }))).toBe(A);
    expect(key(next({ ...resting, ...offers(NOW - 1), asking: new Set([A]) }))).toBe(B);
    expect(key(next({ ...resting, ...offers(NOW - 60_001) }))).toBe(B);
    expect(key(next({ ...resting, ...offers(null) }))).toBe(B);
    const quota = facts(rest(A, NOW + 600_000, { class: "bad_request" }));
    expect(key(next({ ...quota, ...offers(NOW - 1) }))).toBe(B);
    // Shown as empty: one purchase at a time, although it never refused.
    expect(key(next(offers(null)))).toBe(A);
    expect(key(next({ ...offers(null), asking: new Set([A]) }))).toBe(B);
  });

  test("waits some seconds for a throttled provider, not longer", () => {
    const throttled = (ms: number) => facts(rest("provider:a", NOW + ms, { class: "rate_limit" }));
    expect(next(throttled(30_000))).toMatchObject({
      kind: "wait",
      reason: "backoff",
      until: NOW + 30_000,
    });
    expect(key(next(throttled(30_001)))).toBe(B);
    expect(key(next({ ...throttled(0), asking: new Set(["provider:a"]) }))).toBe(A);
  });

  test("buys nothing above max_price, nor at an unknown price", () => {
    const capped = pool([at("a", { maxPrice: 2 }), at("b", { maxPrice: 3 })]);
    const prices = (price: number | null) => next({ priceOf: () => price }, {}, capped);
    expect(key(prices(2))).toBe(A);
    expect(key(prices(2.5))).toBe(B);
    expect(prices(3.5)).toMatchObject({
      reason: "provider",
      message:
        "a/h100-8x: it costs $3.50/h, and max_price is $2.00/h; b/h100-8x: it costs $3.50/h, and max_price is $3.00/h",
    });
    expect(prices(null)).toMatchObject({ kind: "wait" });
  });

  test("waits for the first answer about prices where the order or a limit depends on it", () => {
    const unread = { providers: seen({ a: { offers: null } }) };
    expect(key(next(unread))).toBe(A);
    const wait = {
      kind: "wait",
      reason: "provider",
      message: "a: its prices and capacity are being read",
    };
    expect(next(unread, {}, pool([at("a"), at("b")], { strategy: "cost" }))).toMatchObject(wait);
    expect(next(unread, {}, pool([at("a", { maxPrice: 1 })]))).toMatchObject(wait);
    const gone = { providers: seen({ a: { offers: null, listed: false } }) };
    expect(key(next(gone, {}, pool([at("a"), at("b")], { strategy: "availability" })))).toBe(B);
  });

  test("says of each place why not", () => {
    expect(next({ providers: seen({ a: null, b: { unavailable: "no key" } }) })).toEqual({
      kind: "wait",
      reason: "provider",
      until: null,
      message: "a: no such provider; b: no key",
    });
    expect(next({ providers: seen({ a: { listed: false }, b: null }) })).toMatchObject({
      reason: "provider",
      message: "a: not listed yet, so what exists there is not known; b: no such provider",
    });
    expect(next({}, {}, pool([]))).toEqual({
      kind: "wait",
      reason: "provider",
      until: null,
      message: "the pool names no place to buy",
    });
  });

  test("waits until the earliest rest ends", () => {
    const both = (a: number, b: number) => next(facts(rest(A, a), rest(B, b)));
    expect(both(NOW + 9, NOW + 5)).toEqual({
      kind: "wait",
      reason: "backoff",
      until: NOW + 5,
      message: "a/h100-8x rests after capacity: none; b/h100-8x rests after capacity: none",
    });
    expect(both(NOW + 5, NOW + 9)).toMatchObject({ until: NOW + 5 });
  });

  test("says that new machines do not come up", () => {
    const alone = { providers: seen({ b: null }) };
    expect(next(alone, guard(A, NOW + 7))).toEqual({
      kind: "wait",
      reason: "bootstrap_guard",
      until: NOW + 7,
      message: `${A}: 3 nodes in a row did not come up; the next is tried later; b: no such provider`,
    });
    expect(next({ ...alone, trying: new Set([guardKey(two, A)]) }, guard(A))).toMatchObject({
      reason: "bootstrap_guard",
      until: null,
      message: `${A}: 3 nodes in a row did not come up; one is tried first; b: no such provider`,
    });
    const both = { guards: { ...guard(A, NOW + 7).guards, ...guard(B, NOW + 3).guards } };
    expect(next({}, both)).toMatchObject({ until: NOW + 3 });
    const rested = next(facts(rest(A, NOW + 3)), guard(B, NOW + 7));
    expect(rested).toMatchObject({ reason: "bootstrap_guard", until: NOW + 3 });
  });
});

describe("createRequest()", () => {
  const [offer] = offersOf(pool([at("a", { regions: ["r"], zones: ["z"] })]));
  if (offer === undefined) throw new Error("no offer");
  const from = {
    fleetId: "f",
    pool: poolOf({ labels: { team: "x", "navarch-pool": "forged" }, sshKeys: ["k"] }),
    nodeId: "f-p-3-7",
    slot: 3,
    gen: 7,
    attempt: 1,
    offer,
  };

  test("is exactly what is sent", () => {
    const { token, ...request } = createRequest(from);
    expect(token).toMatch(/^nv-[0-9a-f]{48}$/);
    expect(request).toEqual({
      name: "f-p-3-7",
      nodeId: "f-p-3-7",
      region: "r",
      zone: "z",
      instanceType: "h100-8x",
      tags: {
        team: "x",
        "navarch-fleet": "f",
        "navarch-pool": "p",
        "navarch-node": "f-p-3-7",
        "navarch-slot": "3",
        "navarch-gen": "7",
      },
      market: "on-demand",
      reservation: null,
      sshKeys: ["k"],
    });
  });

  test("has the same token for the same ask, and another for any other", () => {
    const token = (over: Partial<typeof from> = {}) => createRequest({ ...from, ...over }).token;
    expect(token()).toBe(token());
    const others = [
      token({ fleetId: "g" }),
      token({ pool: { ...from.pool, name: "q" as never } }),
      token({ slot: 4 }),
      token({ gen: 8 }),
      token({ attempt: 2 }),
      token({ offer: { ...offer, key: "a/r/y/t" } }),
      token({ offer: { ...offer, provider: "b" } }),
    ];
    expect(new Set([token(), ...others]).size).toBe(8);
  });

  test("has a name of at most 63 characters, another one for each attempt", () => {
    const name = (nodeId: string, attempt: number) =>
      createRequest({ ...from, nodeId, attempt }).name;
    expect(name("n", 2)).toBe("n-a2");
    expect(name("x".repeat(63), 1)).toBe("x".repeat(63));
    expect(name("x".repeat(64), 1)).toBe("x".repeat(63));
    expect(name("x".repeat(64), 2)).toBe(`${"x".repeat(60)}-a2`);
    expect(name("x".repeat(64), 10)).toBe(`${"x".repeat(59)}-a10`);
  });
});

describe("nodeIdOf()", () => {
  test("is the pool's name where that is a label of some length", () => {
    expect(nodeIdOf("f", "p", 0, 1)).toBe("f-p-0-1");
    expect(nodeIdOf("f", "a-1", 2, 3)).toBe("f-a-1-2-3");
    expect(nodeIdOf("f", "x".repeat(32), 0, 1)).toBe(`f-${"x".repeat(32)}-0-1`);
  });

  test("shortens any other with a digest, so that two never meet", () => {
    expect(nodeIdOf("f", "x".repeat(33), 0, 1)).toMatch(/^f-x{24}-[0-9a-f]{6}-0-1$/);
    expect(nodeIdOf("f", "H100", 0, 1)).toMatch(/^f-h100-[0-9a-f]{6}-0-1$/);
    expect(nodeIdOf("f", "a..b_", 0, 1)).toMatch(/^f-a-b-[0-9a-f]{6}-0-1$/);
    expect(nodeIdOf("f", "_.a", 0, 1)).toMatch(/^f-a-[0-9a-f]{6}-0-1$/);
    const names = ["h100", "H100", "h.100", "h_100", "h-100", "h.1.00"];
    expect(new Set(names.map((name) => nodeIdOf("f", name, 0, 1))).size).toBe(6);
  });
});
