/** Ceilings in machines and dollars: what is counted, what is refused, and in which words. */
import { describe, expect, test } from "bun:test";
import type { InstanceId, PoolName } from "../../../schema/id.ts";
import type { InstanceFact, Node, Phase } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import { configOf } from "../../../test/world/world.ts";
import { fleetOf, instanceOf, nodeOf, operationOf } from "../../../test/world/part.ts";
import { sayWait } from "../say/wait.ts";
import { type Ask, openSpendBudget as openBudget, type Freed } from "./spend.ts";

/** A budget whose refusals are sentences. */
function openSpendBudget(...from: Parameters<typeof openBudget>) {
  const budget = openBudget(...from);
  const said = (why: ReturnType<typeof budget.take>) => (why === null ? null : sayWait(why));
  return {
    refusal: (ask: Ask, freed: Freed) => said(budget.refusal(ask, freed)),
    take: (ask: Ask) => said(budget.take(ask)),
    bills: () => budget.bills(),
  };
}

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
    instance: instanceOf({
      id: `i-${slot}` as InstanceId,
      provider: provider as PoolName,
      ...over,
    }),
  });
const ask = { pool: "p", provider: "second", price: 1, replaces: false };
const nothing = { instances: 0, perHour: 0, provider: null };

test("what an end frees at one cloud is no room at another", () => {
  const spendBudget = openSpendBudget(fleetOf([at(0, "first"), at(1, "second")]), CONFIG, 0);
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
const first: Ask = { pool: "p", provider: "first", price: 2.5, replaces: false };

describe.each([
  ["fleet", "fleet"],
  ["pool", "pool:p"],
  ["provider", "provider:first"],
] as const)("a ceiling of the %s", (where, scope) => {
  test("in machines is reached by the last that fits", () => {
    const config = limited(where, "{ max_instances: 2 }");
    const why = (count: number) =>
      openSpendBudget(
        fleetOf(Array.from({ length: count }, (_, i) => at(i, "first"))),
        config,
        0,
      ).take(first);
    expect(why(0)).toBeNull();
    expect(why(1)).toBeNull();
    expect(why(2)).toBe(`${scope} has 2 of at most 2 instances`);
    expect(
      openSpendBudget(fleetOf([]), limited(where, "{ max_instances: 0 }"), 0).take(first),
    ).toBe(`${scope} has 0 of at most 0 instances`);
  });

  test("in dollars is reached to the cent", () => {
    const config = limited(where, "{ max_per_hour: 10 }");
    const why = (price: number) =>
      openSpendBudget(fleetOf([at(0, "first", { pricePerHour: price })]), config, 0).take(first);
    expect(why(7.5)).toBeNull();
    expect(why(7.51)).toBe(`${scope} would cost $7.51/h + $2.50/h, above $10.00/h`);
  });

  test("in dollars buys nothing blindly", () => {
    const config = limited(where, "{ max_per_hour: 10 }");
    expect(openSpendBudget(fleetOf([]), config, 0).take({ ...first, price: null })).toBe(
      `${scope} has a ceiling in dollars, and the price is not known`,
    );
    const unknown = fleetOf([at(0, "first", { pricePerHour: null })]);
    expect(openSpendBudget(unknown, config, 0).take(first)).toBe(
      `${scope} has a ceiling in dollars and 1 of unknown price`,
    );
    expect(
      openSpendBudget(unknown, limited(where, "{ max_instances: 2 }"), 0).take(first),
    ).toBeNull();
  });
});

test("an owned machine has no price that would have to be known", () => {
  const host = { name: "gpu-1", rack: null, port: null, user: null, keyPath: null };
  const owned = at(0, "first", { pricePerHour: null, host });
  const config = limited("fleet", "{ max_per_hour: 10, max_per_month: 10 }");
  expect(openSpendBudget(fleetOf([owned]), config, 0).take(first)).toBeNull();
});

test("without ceilings everything is bought", () => {
  expect(
    openSpendBudget(fleetOf([at(0, "first")]), limited("fleet", "{}"), 0).take({
      ...first,
      price: null,
    }),
  ).toBeNull();
});

test("what is freed makes room in machines and in dollars", () => {
  const nodes = [at(0, "first", { pricePerHour: 8 })];
  const freed = { instances: 1, perHour: 8, provider: "first" };
  const machines = openSpendBudget(fleetOf(nodes), limited("fleet", "{ max_instances: 1 }"), 0);
  expect(machines.refusal(first, freed)).toBeNull();
  expect(machines.refusal(first, nothing)).toBe("fleet has 1 of at most 1 instances");
  const dollars = openSpendBudget(fleetOf(nodes), limited("fleet", "{ max_per_hour: 10 }"), 0);
  expect(dollars.refusal(first, freed)).toBeNull();
  expect(dollars.refusal(first, nothing)).toContain("$8.00/h + $2.50/h");
  expect(dollars.refusal({ ...first, price: 10.01 }, freed)).toBe(
    "fleet would cost $0.00/h + $10.01/h, above $10.00/h",
  );
});

describe("a ceiling of the month", () => {
  const NOON = Date.UTC(2026, 10, 10, 12);
  const HOUR_MS = 3_600_000;
  const since = (hours: number, price: number | null = 10) =>
    at(0, "first", { pricePerHour: price, boundAt: NOON - hours * HOUR_MS });
  const why = (nodes: Node[], more: Partial<typeof first> = {}, now = NOON) =>
    openSpendBudget(fleetOf(nodes), limited("pool", "{ max_per_month: 100 }"), now).take({
      ...first,
      ...more,
    });

  test("counts what was spent, and one hour of all that would run", () => {
    expect(why([since(8.75)])).toBeNull();
    expect(why([since(8.76)])).toBe(
      "pool:p has cost $87.60 this month (UTC) and with it the next hour costs $12.50, " +
        "above $100.00 a month",
    );
  });

  test("begins again with the month, for the machines that go on", () => {
    const long = since(10 * 24);
    expect(why([long])).toContain("has cost $2280.00 this month");
    expect(why([long], {}, Date.UTC(2026, 11, 1, 1))).toBeNull();
  });

  test("lets a machine take the place of another, and buys no growth blindly", () => {
    const rich = since(200);
    expect(why([rich], { replaces: true })).toBeNull();
    expect(why([rich], { replaces: true, price: null })).toBeNull();
    expect(why([], { price: null })).toContain("the price is not known");
    expect(why([since(1, null)])).toContain("1 of unknown price");
  });
});

test("take() spends what it allows, and nothing when it refuses", () => {
  const spendBudget = openSpendBudget(
    fleetOf([]),
    limited("pool", "{ max_instances: 2, max_per_hour: 6 }"),
    0,
  );
  expect(spendBudget.take(first)).toBeNull();
  expect(spendBudget.take({ ...first, price: 4 })).toContain("$2.50/h + $4.00/h");
  expect(spendBudget.take(first)).toBeNull();
  expect(spendBudget.take({ ...first, price: 0 })).toBe("pool:p has 2 of at most 2 instances");
  expect(
    spendBudget.bills().map(({ scope, instances, perHour }) => [scope, instances, perHour]),
  ).toEqual([
    ["fleet", 2, 5],
    ["pool:p", 2, 5],
    ["provider:first", 2, 5],
  ]);
});

test("bills() counts all that may be billed", () => {
  const leaving: Phase = {
    kind: "terminating",
    since: 0,
    purpose: "replace",
    accepted: null,
    notBefore: 0,
  };
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
  const ended: Payload = {
    kind: "terminate",
    provider: "second" as PoolName,
    instanceId: "i-9" as InstanceId,
  };
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
  const bills = openSpendBudget(fleetOf(nodes, [], [], operations), CONFIG, 0).bills();
  expect(
    bills.map(({ scope, instances, perHour, unknown }) => [scope, instances, perHour, unknown]),
  ).toEqual([
    ["fleet", 5, 9, 2],
    ["pool:p", 4, 5, 2],
    ["provider:first", 2, 6, 0],
    ["provider:second", 3, 3, 2],
  ]);
  expect(bills.at(-1)?.ceiling.instancesMax).toBe(1);
});
