import { expect, test } from "bun:test";
import { readConfig } from "../../config/read.ts";
import { poolOf, providerSightOf } from "../../../test/world/ask.ts";
import { nodeOf, unboughtOf } from "../../../test/world/part.ts";
import type { ProviderSight } from "../../core/fleet.ts";
import type { NodeId, PoolName } from "../../../schema/id.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import type { Wait } from "../../core/plan.ts";
import type { Fact } from "../../../schema/safety.ts";
import { newPoolState } from "../../core/fold/new-pool.ts";
import { conditionsOf, sayBrokenPlaces, viewPoolStatus } from "./pool.ts";

const WHY = "providers of type lambda have no adapter in this version";
const SCALING = {
  pending_jobs: null,
  queue_depth: null,
  queue: null,
  decision: null,
  cooldown_remaining_s: null,
  conditions: [],
};

function sight(unavailable: string | null): ProviderSight {
  return providerSightOf({ unavailable });
}

type Stop = { waits?: Wait[]; facts?: Map<string, Fact>; state?: PoolState };

/** The pool's word about growth, with these providers and at most `max` nodes where one is wanted. */
function growth(
  providers: Record<string, string | null> | null,
  names: string[],
  max = 3,
  { waits = [], facts = new Map(), state }: Stop = {},
) {
  const refs = names.map((name) => `{ name: ${name} }`).join(", ");
  const text = `providers: { lambda: {}, gcp: { project: p }, fake: {} }
pools:
  - name: p
    providers: [${refs}]
    instance_type: a100-8x
    scaling: { min_nodes: 1, max_nodes: ${max} }
`;
  const { config, problems } = readConfig([{ name: "f", text }]);
  const [pool] = config?.pools ?? [];
  if (pool === undefined) throw new Error(JSON.stringify(problems));
  const seen = Object.entries(providers ?? {}).map(([name, why]) => [name, sight(why)] as const);
  const { can_scale_up: can, cannot_scale_up: why } = viewPoolStatus(pool, state, [], {
    plan: { actions: [], waits },
    now: 0,
    utilization: null,
    scaling: SCALING,
    facts,
    cost: { per_hour: 0, unknown_prices: 0, today: 0, month: 0 },
    providers: providers === null ? null : new Map(seen),
  });
  return { can, why };
}

test("viewPoolStatus() says that a pool cannot grow when no adapter is there to ask", () => {
  expect(growth({ lambda: WHY }, ["lambda"])).toEqual({ can: false, why: `lambda: ${WHY}` });
  const both = growth({ lambda: WHY, gcp: "no" }, ["lambda", "gcp"]);
  expect(both).toEqual({ can: false, why: `lambda: ${WHY}; gcp: no` });
});

test("viewPoolStatus() goes by the bounds where one provider can be asked, or none was looked at", () => {
  expect(growth({ lambda: WHY, fake: null }, ["lambda", "fake"])).toEqual({ can: true, why: null });
  expect(growth(null, ["lambda"])).toEqual({ can: true, why: null });
  expect(growth({ lambda: WHY }, ["lambda"], 1)).toEqual({ can: false, why: null });
});

test("viewPoolStatus() names the person, the ceiling or the guard that stops growth", () => {
  const stopped = (stop: Stop) => growth({ fake: null }, ["fake"], 3, stop);
  const freeze: Fact = { kind: "freeze", by: "ann", why: "driver", until: null, at: 0, all: false };
  const frozen = stopped({ facts: new Map([["freeze", freeze]]) });
  expect(frozen).toEqual({ can: false, why: "the fleet is frozen: driver (ann)" });
  const hold = { by: "bob", why: "debugging", until: 1 };
  const state = { ...newPoolState("p" as PoolName, 1, 1), hold };
  expect(stopped({ state })).toEqual({ can: false, why: "held: debugging (bob)" });
  const ended = { ...state, hold: { ...hold, until: 0 } };
  expect(stopped({ state: ended })).toEqual({ can: true, why: null });
  const wait = (reason: Wait["reason"], pool = "p"): Wait => {
    return {
      node: null,
      pool: pool as Wait["pool"],
      reason,
      why: { code: "blind", why: ["why"] },
      until: null,
    };
  };
  expect(stopped({ waits: [wait("spend")] })).toEqual({ can: false, why: "why" });
  expect(stopped({ waits: [wait("bootstrap_guard")] })).toEqual({ can: false, why: "why" });
  expect(stopped({ waits: [wait("boot"), wait("spend", "q")] })).toEqual({ can: true, why: null });
});

test("conditionsOf() tells of a machine whose boot lasts too long, and not of one that boots", () => {
  const line =
    "{ name: p, provider: fake, instance_type: t, scaling: { min_nodes: 1, max_nodes: 1 } }";
  const text = `providers: { fake: {} }\npools:\n  - ${line}\n`;
  const { config } = readConfig([{ name: "f", text }]);
  const [pool] = config?.pools ?? [];
  if (pool === undefined) throw new Error("no pool");
  const wait = (reason: "boot" | "late_boot", name = pool.name): Wait => {
    const why = { code: "late_boot", id: "i-1", state: "provisioning", minutes: 20 } as const;
    return { node: "n" as NodeId, pool: name, reason, why, until: 1 };
  };
  const told = (...waits: Wait[]): string[] => {
    return conditionsOf(pool, {
      ...{ facts: new Map(), plan: { actions: [], waits }, now: 0, providers: null },
    });
  };
  expect(told(wait("boot"))).toEqual([]);
  expect(told(wait("late_boot", "other" as typeof pool.name))).toEqual([]);
  expect(told(wait("late_boot"))).toEqual(["late_boot: instance i-1 is provisioning for 20 min"]);
});

test("a pool says that machines it did not buy are unhealthy and keep it from buying others", () => {
  const silent = unboughtOf("lab-1", { health: { ...unboughtOf("x").health, silentSince: 1 } });
  const twin = { ...silent, id: "lab-2" as NodeId };
  const well = unboughtOf("lab-3");
  const told = (nodes: Node[], over: Partial<PoolConfig> = {}) =>
    sayBrokenPlaces(poolOf({ adopt: true, ...over }), nodes);
  expect(told([well, nodeOf("n1")])).toEqual([]);
  expect(told([well, silent])).toEqual([
    "lab-1 is unhealthy and fills a place, and nothing is bought for it: repair it, or " +
      "`navarch forget` it once it is gone",
  ]);
  expect(told([silent, twin])).toEqual([
    "2 machines that were not bought (lab-1, lab-2) are unhealthy and fill places, and nothing is " +
      "bought for them: repair them, or `navarch forget` those that are gone",
  ]);
  // Without a provider nothing could be bought, and without `adopt` they fill no place.
  expect(told([silent], { providers: [] })).toEqual([]);
  expect(told([silent], { adopt: false })).toEqual([]);
});
