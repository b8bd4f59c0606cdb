/** What keeps a node from being taken, asked alone: a pool's hold, and the ceilings of spending. */
import { expect, test } from "bun:test";
import type { PoolConfig } from "../../../schema/config.ts";
import { configOf } from "../../../test/world/setting.ts";
import { NOW, orderOf, poolOf, sightOf } from "../../../test/world/ask.ts";
import { fleetOf, nodeOf, POOL, poolStateOf } from "../../../test/world/part.ts";
import { openSpendBudget } from "../safety/spend.ts";
import { ceilingFor, pausedBy } from "./admit.ts";
import type { Scope } from "./decide.ts";
import { sayWait } from "../say/wait.ts";

test("pausedBy() is a pool's hold until it ends, and never applies to an order", () => {
  const pausedFor = (until: number, over = {}) => {
    const fleet = fleetOf([], [], [{ ...poolStateOf(1), hold: { by: "ann", why: "test", until } }]);
    return pausedBy(nodeOf("n", over), { sight: sightOf(), fleet, pool: poolOf() });
  };
  const why = { code: "pool_held", pool: POOL, by: "ann", why: "test" } as const;
  expect(pausedFor(NOW + 1)).toEqual({ reason: "human", why, until: NOW + 1 });
  expect(pausedFor(NOW)).toBeNull();
  expect(pausedFor(NOW + 1, { order: orderOf("replace") })).toBeNull();
});

/** The ceiling for a node of a pool that may buy at `first` and at `second`. */
function ceiling(firstMax: number, secondMax: number): string | null {
  const config = configOf(`
server: { address: "127.0.0.1:50051" }
providers:
  first: { type: fake, spend: { max_instances: ${firstMax} } }
  second: { type: fake, spend: { max_instances: ${secondMax} } }
pools:
  - name: p
    instance_type: t
    providers: [{ name: first }, { name: second }]
    scaling: { min_nodes: 0, max_nodes: 9 }
`);
  const [pool] = config.pools as [PoolConfig];
  const fleet = fleetOf([]);
  const spendBudget = openSpendBudget(fleet, config, 0);
  const scope = { fleet, sight: sightOf(), spendBudget, prices: new Map() } as unknown as Scope;
  const why = ceilingFor(nodeOf("n"), pool, scope);
  return why === null ? null : sayWait(why);
}

test("ceilingFor() is none where one of several offers can still be bought", () => {
  expect(ceiling(1, 1)).toBeNull();
  expect(ceiling(0, 1)).toBeNull();
  expect(ceiling(1, 0)).toBeNull();
  expect(ceiling(0, 0)).toBe("provider:first has 0 of at most 0 instances");
});
