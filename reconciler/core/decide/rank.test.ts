/** Which place each strategy tries first. */
import { expect, test } from "bun:test";
import { NOW, poolOf, providerSightOf } from "../../../test/world/ask.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import { offersOf } from "./offer.ts";
import { rankOffers } from "./rank.ts";

const [ref] = poolOf().providers;
if (ref === undefined) throw new Error("no provider");
const at = (name: string, weight = 1) => ({ ...ref, name: name as never, priority: 1, weight });
const offers = offersOf(
  poolOf({ providers: [at("a"), at("b"), at("c", 2)], region: null, zones: [] }),
);

type Said = {
  price?: Record<string, number>;
  stock?: Record<string, boolean>;
  held?: Record<string, number>;
};

function order(
  strategy: PoolConfig["strategy"],
  { price = {}, stock = {}, held = {} }: Said = {},
): string {
  const key = (name: string) => `${name}///h100-8x`;
  const sightOf = (name: string) => {
    const available = stock[name] ?? null;
    const one = { pricePerHour: null, available, availableSince: null, seenAt: NOW };
    return [name, providerSightOf({ offers: new Map([[key(name), one]]) })] as const;
  };
  const ranked = rankOffers({ strategy }, offers, {
    priceOf: ({ provider }) => price[provider] ?? null,
    providers: new Map(["a", "b", "c"].map(sightOf)),
    held: new Map(Object.entries(held).map(([name, count]) => [key(name), count])),
  });
  return ranked.map(({ provider }) => provider).join("");
}

test("priority keeps the order of the configuration", () => {
  expect(order("priority", { price: { c: 1 }, stock: { c: true } })).toBe("abc");
});

test("cost tries the cheapest known price first, and an unknown one last", () => {
  expect(order("cost", { price: { a: 3, b: 2, c: 2 } })).toBe("bca");
  expect(order("cost", { price: { b: 2 } })).toBe("bac");
  expect(order("cost")).toBe("abc");
});

test("availability tries what has capacity first, and what is known to be empty last", () => {
  expect(order("availability", { stock: { a: false, c: true } })).toBe("cba");
  expect(order("availability")).toBe("abc");
});

test.each(["round-robin", "weighted"] as const)(
  "%s alternates by weight, from what is held",
  (strategy) => {
    const held: Record<string, number> = {};
    let bought = "";
    for (let i = 0; i < 8; i++) {
      const first = order(strategy, { held })[0] ?? "";
      held[first] = (held[first] ?? 0) + 1;
      bought += first;
    }
    expect(bought).toBe("cabccabc");
    // After a loss the share is filled up again.
    expect(order(strategy, { held: { a: 2, b: 2, c: 0 } })[0]).toBe("c");
  },
);
