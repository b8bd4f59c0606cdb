/** What a look for machines of other fleets leaves, and how it is said. */
import { expect, test } from "bun:test";
import { parse } from "valibot";
import { configOf, poolYaml } from "../../test/world/setting.ts";
import type { Config } from "../../schema/config.ts";
import { InstanceId } from "../../schema/id.ts";
import type { Instance } from "./provider.ts";
import { foldLooks, holdingFleets, type Look, strangersOf } from "./stranger.ts";
import { mirrorChange, newMirror, UnitOfWork } from "./unit-of-work.ts";
import { sayStranger } from "./say/limit.ts";

const YAML = poolYaml(1)
  .replace("fake: { gpu_count: 2 }", "fake: { gpu_count: 2 }, b: { type: fake }")
  .replace("provider: fake", "providers: [{ name: fake }, { name: b }]");
const CONFIG = configOf(YAML);

function machine(id: string, fleet: string, pricePerHour: number | null): Instance {
  return {
    id: parse(InstanceId, id),
    name: id,
    token: null,
    state: "running",
    tags: { "navarch-fleet": fleet, "navarch-pool": "p" },
    region: "r1",
    zone: null,
    instanceType: "h100-8x",
    internalIp: null,
    externalIp: null,
    createdAtMs: 0,
    pricePerHour,
    hostKeys: null,
    failure: null,
    notice: null,
  };
}

const seen = (provider: string, instances: Instance[]): Look => {
  return { provider, pools: ["p"], answer: { kind: "ok", instances } };
};

/** The fleet after these looks, one activation each. */
function after(...rounds: Look[][]) {
  return afterWith(CONFIG, ...rounds);
}

function afterWith(config: Config, ...rounds: Look[][]) {
  const mirror = newMirror();
  const fleet = () => ({ ...mirror, fleetId: "own" });
  const events: string[] = [];
  rounds.forEach((looks, at) => {
    const work = new UnitOfWork(mirror);
    foldLooks(looks, config, fleet(), { now: at, work });
    const change = work.finish();
    if (change === null) return;
    events.push(...change.events.map(({ message }) => message));
    mirrorChange(mirror, change);
  });
  return { fleet: fleet(), events };
}

const saidOf = (pool: string, fleet: Parameters<typeof strangersOf>[1]): string => {
  const why = strangersOf(pool, fleet);
  return why === null ? "" : sayStranger(why);
};

const TWO = [machine("i-1", "other", 32), machine("i-2", "other", null)];

test("the hold names fleet, count, ids, cost and both ways out", () => {
  const { fleet, events } = after([seen("fake", TWO)]);
  const said = saidOf("p", fleet);
  expect(said).toStartWith(
    "2 machines of fleet other (i-1, i-2; $32.00/h, 1 of unknown price) have the name of this pool",
  );
  expect(said).toContain("`navarch fleet adopt other`");
  expect(said).toContain("`navarch fleet ignore other`");
  expect(events).toEqual([said]);
  expect(strangersOf("q", fleet)).toBeNull();
});

test("the machines of an account that two providers show count once", () => {
  const { fleet, events } = after([seen("fake", TWO)], [seen("b", TWO)]);
  const [one] = holdingFleets(fleet);
  expect([one?.count, one?.providers]).toEqual([2, ["fake", "b"]]);
  expect(events).toHaveLength(2);
});

test("a fleet that is seen no more holds its pool until a person says so", () => {
  const { fleet, events } = after([seen("fake", TWO)], [seen("fake", [])], [seen("fake", [])]);
  expect(saidOf("p", fleet)).toContain("machines of fleet other, which are not seen any more");
  expect(events).toHaveLength(1);
});

test("a failure is told once, keeps what was seen, and its first reason", () => {
  const failed = (message: string): Look => {
    return { provider: "fake", pools: ["p"], answer: { kind: "failed", class: "auth", message } };
  };
  const { fleet, events } = after([seen("fake", TWO)], [failed("a")], [failed("b")]);
  expect(holdingFleets(fleet)[0]?.count).toBe(2);
  expect(events).toHaveLength(2);
  const fact = fleet.facts.get("strangers:p:fake");
  expect(fact).toMatchObject({ outcome: "failed", why: "a", since: 1 });
});

test("the pool's own price is what its machines cost", () => {
  const [pool] = CONFIG.pools;
  const [ref] = pool?.providers ?? [];
  if (pool === undefined || ref === undefined) throw new Error("no pool");
  const priced = { ...ref, settings: { prices: "h100-8x=30" } };
  const config = { ...CONFIG, pools: [{ ...pool, providers: [priced] }] };
  const [one] = holdingFleets(afterWith(config, [seen("fake", TWO)]).fleet);
  expect([one?.perHour, one?.unpriced]).toEqual([60, 0]);
});
