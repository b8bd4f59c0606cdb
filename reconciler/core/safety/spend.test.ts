/** Ceilings in machines and dollars: what is counted, what is refused, and in which words. */
import { describe, expect, test } from "bun:test";
import type { InstanceId, PoolName } from "../../../schema/id.ts";
import type { InstanceFact, Node, Phase } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import { configOf } from "../../../test/world/world.ts";
import { fleetOf, instanceOf, nodeOf, operationOf } from "../../../test/world/part.ts";
import { openSpendBudget } from "./spend.ts";

/** A pool that has moved to `second`, which may have one machine; one is at each cloud. */
const CONFIG = configOf(`
server: { address: "127.0.0.1:50051" }
providers:
  first: { type: fake, gpu_count: 2 }
  second: { type: fake, gpu_count: 2, spend: { max_instances: 1 } }
pools:
  - name: p
    provider: second
    instance_type: h100-8x
    scaling: { min_nodes: 2, max_nodes: 3 }
`);

const at = (slot: number, provider: string, over: Partial<InstanceFact> = {}): Node =>
  nodeOf(`n-${slot}`, {
    slot,
    instance: instanceOf({ id: `i-${slot}` as InstanceId, provider: provider as PoolName, ...over }),
  });
const ask = { pool: "p", provider: "second", price: 1 };
const nothing = { instances: 0, perHour: 0, provider: null };

test("what an end frees at one cloud is no room at another", () => {
  const spendBudget = openSpendBudget(fleetOf([at(0, "first"), at(1, "second")]), CONFIG);
  const freed = { instances: 1, perHour: 1 };
  expect(spendBudget.refusal(ask, { ...freed, provider: "second" })).toBeNull();
  const why = "provider:second has 1 of at most 1 instances";
  expect(spendBudget.refusal(ask, { ...freed, provider: "first" })).toBe(why);
});

const limited = (where: "fleet" | "pool" | "provider", spend: string) =>
  configOf(`
providers: { first: { type: fake${where === "provider" ? `, spend: ${spend}` : ""} } }
pools:
  - name: p
    provider: first
    instance_type: t
    scaling: { min_nodes: 0, max_nodes: 9 }
${where === "pool" ? `    spend: ${spend}` : ""}
${where === "fleet" ? `safety: { spend: ${spend} }` : ""}
`);
const first = { pool: "p", provider: "first", price: 2.5 };

describe.each([
  ["fleet", "fleet"],
  ["pool", "pool:p"],
  ["provider", "provider:first"],
] as const)("a ceiling of the %s", (where, scope) => {
  test("in machines is reached by the last that fits", () => {
    const config = limited(where, "{ max_instances: 2 }");
    const why = (count: number) =>
      openSpendBudget(fleetOf(Array.from({ length: count }, (_, i) => at(i, "first"))), config).take(first);
    expect(why(0)).toBeNull();
    expect(why(1)).toBeNull();
    expect(why(2)).toBe(`${scope} has 2 of at most 2 instances`);
    expect(openSpendBudget(fleetOf([]), limited(where, "{ max_instances: 0 }")).take(first)).toBe(
      `${scope} has 0 of at most 0 instances`,
    );
  });

  test("in dollars is reached to the cent", () => {
    const config = limited(where, "{ max_per_hour: 10 }");
    const why = (price: number) =>
      openSpendBudget(fleetOf([at(0, "first", { pricePerHour: price })]), config).take(first);
    expect(why(7.5)).toBeNull();
    expect(why(7.51)).toBe(`${scope} would cost $7.51/h + $2.50/h, above $10.00/h`);
  });

  test("in dollars buys nothing blindly", () => {
    const config = limited(where, "{ max_per_hour: 10 }");
    expect(openSpendBudget(fleetOf([]), config).take({ ...first, price: null })).toBe(
      `${scope} has a ceiling in dollars, and the price is not known`,
    );
    const unknown = fleetOf([at(0, "first", { pricePerHour: null })]);
    expect(openSpendBudget(unknown, config).take(first)).toBe(
      `${scope} has a ceiling in dollars and 1 of unknown price`,
    );
    expect(openSpendBudget(unknown, limited(where, "{ max_instances: 2 }")).take(first)).toBeNull();
  });
});

test("without ceilings everything is bought", () => {
  expect(openSpendBudget(fleetOf([at(0, "first")]), limited("fleet", "{}")).take({ ...first, price: null })).toBeNull();
});

test("what is freed makes room in machines and in dollars", () => {
  const nodes = [at(0, "first", { pricePerHour: 8 })];
  const freed = { instances: 1, perHour: 8, provider: "first" };
  const machines = openSpendBudget(fleetOf(nodes), limited("fleet", "{ max_instances: 1 }"));
  expect(machines.refusal(first, freed)).toBeNull();
  expect(machines.refusal(first, nothing)).toBe("fleet has 1 of at most 1 instances");
  const dollars = openSpendBudget(fleetOf(nodes), limited("fleet", "{ max_per_hour: 10 }"));
  expect(dollars.refusal(first, freed)).toBeNull();
  expect(dollars.refusal(first, nothing)).toContain("$8.00/h + $2.50/h");
  expect(dollars.refusal({ ...first, price: 10.01 }, freed)).toBe(
    "fleet would cost $0.00/h + $10.01/h, above $10.00/h",
  );
});

test("take() spends what it allows, and nothing when it refuses", () => {
  const spendBudget = openSpendBudget(fleetOf([]), limited("pool", "{ max_instances: 2, max_per_hour: 6 }"));
  expect(spendBudget.take(first)).toBeNull();
  expect(spendBudget.take({ ...first, price: 4 })).toContain("$2.50/h + $4.00/h");
  expect(spendBudget.take(first)).toBeNull();
  expect(spendBudget.take({ ...first, price: 0 })).toBe("pool:p has 2 of at most 2 instances");
  expect(spendBudget.bills().map(({ scope, instances, perHour }) => [scope, instances, perHour])).toEqual([
    ["fleet", 2, 5],
    ["pool:p", 2, 5],
    ["provider:first", 2, 5],
  ]);
});

test("bills() counts all that may be billed", () => {
  const leaving: Phase = { kind: "terminating", since: 0, purpose: "replace", accepted: null, notBefore: 0 };
  const create = (pricePerHour: number | null): Payload => ({
    kind: "create",
    provider: "second" as PoolName,
    offer: "o",
    guard: null,
    pricePerHour,
    request: {
      token: "t",
      name: "n",
      nodeId: "n",
      region: null,
      zone: null,
      instanceType: "t",
      tags: {},
      market: "on-demand",
      reservation: null,
      sshKeys: [],
    },
  });
  const wanted = (slot: number) => nodeOf(`w-${slot}`, { slot, instance: null });
  const ended: Payload = { kind: "terminate", provider: "second" as PoolName, instanceId: "i-9" as InstanceId };
  const nodes = [
    at(0, "first", { pricePerHour: 2 }),
    { ...at(1, "second", { pricePerHour: null }), phase: leaving },
    at(2, "first", { state: "terminated" }),
    { ...at(3, "first"), phase: { kind: "gone", since: 0, purpose: "replace" } as Phase },
    { ...at(4, "first", { pricePerHour: 4 }), pool: "q" as PoolName },
    wanted(5),
  ];
  const operations = [
    operationOf(wanted(5), create(3)),
    operationOf(wanted(6), create(null)),
    operationOf(at(0, "first"), ended),
  ];
  const bills = openSpendBudget(fleetOf(nodes, [], [], operations), CONFIG).bills();
  expect(bills.map(({ scope, instances, perHour, unknown }) => [scope, instances, perHour, unknown])).toEqual([
    ["fleet", 5, 9, 2],
    ["pool:p", 4, 5, 2],
    ["provider:first", 2, 6, 0],
    ["provider:second", 3, 3, 2],
  ]);
  expect(bills.at(-1)?.ceiling.instancesMax).toBe(1);
});
