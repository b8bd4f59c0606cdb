/** A plan asks about no node of which the runtime did not look at the work. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { configOf, poolYaml } from "../../../test/world/world.ts";
import type { Config } from "../../../schema/config.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import { anyNodes, AROUND, fleetOfPool, SIZE } from "../../../test/world/any-fleet.ts";
import { sightOf } from "../../../test/world/ask.ts";
import { kubeOf, nodeOf } from "../../../test/world/part.ts";
import { UnitOfWork, mirrorChange, newMirror } from "../unit-of-work.ts";
import type { DrainSight, Fleet } from "../fleet.ts";
import { applyPlan } from "../fold/plan.ts";
import { countNodes } from "../scaling/snapshot.ts";
import { emptyChange } from "../store.ts";
import { askedOf } from "./asked.ts";
import { decide } from "./decide.ts";

/** Answers for every node, and records which nodes were read. */
class Noting<V> extends Map<NodeId, V> {
  readonly asked = new Set<NodeId>();
  readonly #value: V;

  constructor(value: V) {
    super();
    this.#value = value;
  }

  override get(node: NodeId): V {
    this.asked.add(node);
    return this.#value;
  }
}

const EMPTY: DrainSight = { kind: "empty", seenAt: AROUND };
const BUSY: DrainSight = { kind: "busy", remaining: 1, message: "1 left" };

const CONFIG = configOf(poolYaml(SIZE));
const SCALED = configOf(
  "providers: { fake: {} }\npools: { p: { provider: fake, instance_type: t, scaling: " +
    "{ min_nodes: 1, max_nodes: 9, autoscaler: { type: queue, jobs_per_node: 1, scale_down_after: 0s } } } }\n",
);

/** Both rounds of an activation, and the nodes that they read. */
function askedBy(from: Fleet, config: Config, left: DrainSight) {
  const drains = new Noting(left);
  const utilization = new Noting(50);
  const sight = sightOf({ now: AROUND, attentiveMs: AROUND, work: drains, utilization });
  const mirror = newMirror();
  const nodes = [...from.nodes.values()];
  mirrorChange(mirror, { ...emptyChange(), nodes, pools: [...from.pools.values()] });
  const fleet: Fleet = { ...from, ...mirror };
  const work = new UnitOfWork(mirror);
  applyPlan(decide(fleet, config, sight), fleet, config, AROUND, work);
  const change = work.finish();
  if (change !== null) mirrorChange(mirror, change);
  decide(fleet, config, sight);
  return { work: drains.asked, load: utilization.asked, sight };
}

const inCluster = (node: Node): Node => ({ ...node, kube: kubeOf() });

test("askedOf() names every node that an activation asks about, in both of its rounds", () => {
  let seen = 0;
  fc.assert(
    fc.property(
      anyNodes,
      fc.integer({ min: 0, max: 8 }),
      fc.boolean(),
      fc.constantFrom(EMPTY, BUSY),
      (list, desired, hasCluster, left) => {
        const fleet = fleetOfPool(hasCluster ? list.map(inCluster) : list, desired);
        const { work, load } = askedOf(fleet, CONFIG, sightOf().providers, false);
        const by = askedBy(fleet, CONFIG, left);
        seen += by.work.size + by.load.size;
        expect([...by.work].filter((id) => !work.includes(id))).toEqual([]);
        expect([...by.load].filter((id) => !load.includes(id))).toEqual([]);
      },
    ),
    { numRuns: 2_000 },
  );
  expect(seen).toBeGreaterThan(1_000);
});

describe("askedOf()", () => {
  const fleetWith = (nodes: Node[], desired: number): Fleet => fleetOfPool(nodes, desired);
  const three = [0, 1, 2].map((slot) => nodeOf(`n${slot}`, { slot }));
  const ids = three.map(({ id }) => id);
  const providers = sightOf().providers;

  test("names no node of a pool of the wanted size, and all of one that is too large", () => {
    expect(askedOf(fleetWith(three, 3), CONFIG, providers, false).work).toEqual([]);
    const { work, load } = askedOf(fleetWith(three, 2), SCALED, providers, false);
    expect([work, load]).toEqual([ids, ids]);
  });

  test("names what an autoscaler counts, where one is evaluated", () => {
    const fleet = fleetWith(three, 3);
    expect(askedOf(fleet, SCALED, providers, false)).toMatchObject({ work: [], queues: [] });
    const asked = askedOf(fleet, SCALED, providers, true);
    expect(asked).toMatchObject({ work: ids, load: ids, queues: ["p"] });
    expect(askedOf(fleet, CONFIG, providers, true)).toMatchObject({ work: [], queues: [] });
    const work = new Noting(EMPTY);
    countNodes(three, sightOf({ work }));
    expect([...work.asked]).toEqual(ids);
  });

  test("names the keys that set-ups need, of pools with bare machines", () => {
    const withKey = configOf(
      poolYaml(1, "    setup_commands: [x]\n    ssh_private_key_path: /k\n"),
    );
    const bare = sightOf({ fake: { bringsAgent: false } }).providers;
    const keys = (from: typeof providers): string[] => [
      ...askedOf(fleetWith([], 1), withKey, from, false).keys,
    ];
    expect(keys(bare)).toEqual(["/k"]);
    expect(keys(providers)).toEqual([]);
  });

  test("asks nothing about what is gone", () => {
    const gone: Node = { ...nodeOf("g"), phase: { kind: "gone", since: 1, purpose: "replace" } };
    const state: PoolState[] = [...fleetWith([], 0).pools.values()];
    expect(state).toHaveLength(1);
    expect(askedOf(fleetWith([gone], 0), CONFIG, providers, false).work).toEqual([]);
  });
});
