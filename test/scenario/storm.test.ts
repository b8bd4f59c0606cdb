/**
 * Storms: more verdicts at once than hardware can explain (docs/reference/safety.md#breaker). A
 * wrong rule must cost nothing but a few cordons that are lifted without help, and true faults must
 * still be repaired meanwhile.
 */
import { afterEach, expect, test } from "bun:test";
import { compiledBuiltin } from "../../health/policy/builtin.ts";
import { factsOf } from "../../schema/safety.ts";
import type { World } from "../world/world.ts";
import { BASE } from "../world/setting.ts";
import { adoptPolicy, openLarge, policyWith, watchSteps } from "../world/storm.ts";
import { closeWorlds, told } from "../world/story.ts";

afterEach(closeWorlds);

const large = (size: number): string => `${BASE}
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: ${size}, max_nodes: ${size + 50} }
    health: { unhealthy_threshold: 2 }
`;

const NODES = 1_000;
const TRUE_FAULTS = 10;
const HOUR_MS = 3_600_000;

/** Ends when none of `sick` is left and the pool is whole; how long that took. */
async function repaired(world: World, sick: readonly string[]): Promise<number> {
  const from = world.clock.wallMs();
  const gone = (): boolean =>
    sick.every((id) => world.nodes().every((node) => node.id !== id)) &&
    world.serving().length === NODES;
  expect(await world.advance(gone, 12 * HOUR_MS)).toBe(true);
  return world.clock.wallMs() - from;
}

async function start(): Promise<{ world: World; sick: string[] }> {
  const world = await openLarge(large(NODES));
  expect(await world.advance(() => world.serving().length === NODES, HOUR_MS)).toBe(true);
  return {
    world,
    sick: world
      .serving()
      .filter((_, at) => at % 97 === 13)
      .slice(0, TRUE_FAULTS),
  };
}

test("a rule that condemns every one of 1,000 nodes ends none, and true faults are repaired", async () => {
  const calm = await start();
  for (const id of calm.sick) calm.world.xid(id, 79);
  const normalMs = await repaired(calm.world, calm.sick);

  const { world, sick } = await start();
  const bad = policyWith({
    name: "too-eager",
    condition: "event.metrics.xid_code == 43",
    // Nothing but putting the rule aside lets go of what it condemned.
    hold: "until_replaced",
  });
  await adoptPolicy(world, bad);
  const steps = watchSteps(world);
  for (const node of world.nodes()) world.xid(node.id, sick.includes(node.id) ? 79 : 43);
  const stormMs = await repaired(world, sick);
  console.log(
    `ten true faults: ${normalMs / 1_000} s alone, ${stormMs / 1_000} s in the storm; ` +
      `${steps.cordons.size} cordons, ${steps.ends.length} ends`,
  );
  expect(new Set(steps.ends)).toEqual(new Set(sick));
  expect(stormMs).toBeLessThanOrEqual(2 * normalMs);
  // 10 % of the fleet in ten minutes, and the true ones.
  expect(steps.cordons.size).toBeLessThanOrEqual(NODES / 10 + TRUE_FAULTS);
  expect(factsOf(world.reconciler.fleet().facts, "quarantine")).toHaveLength(1);
  expect(told(world, "safety.quarantine")).not.toEqual([]);

  // The rule is fixed: everything clears by itself.
  await adoptPolicy(world, compiledBuiltin);
  const clear = (): boolean =>
    world.reconciler
      .fleet()
      .facts.values()
      .every((fact) => fact.kind !== "breaker") &&
    world.nodes().every((node) => node.phase.kind === "serving" && node.cordon.product === null);
  expect(await world.advance(clear, 3 * HOUR_MS)).toBe(true);
  expect(factsOf(world.reconciler.fleet().facts, "quarantine")).toEqual([]);
  const before = steps.ends.length;
  const [next = ""] = world.serving();
  world.xid(next, 79);
  await repaired(world, [next]);
  expect(steps.ends.length).toBe(before + 1);
}, 300_000);
