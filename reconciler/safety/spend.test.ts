import { expect, test } from "bun:test";
import type { NodeId, PoolName } from "../../schema/id.ts";
import type { InstanceFact, Node } from "../../schema/node.ts";
import type { Fleet } from "../fleet.ts";
import { configOf } from "../../simulator/world.ts";
import { newNode } from "../fold/new-node.ts";
import { openPurse } from "./spend.ts";

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

function nodeAt(slot: number, provider: string): Node {
  const from = { pool: "p" as PoolName, slot, gen: slot, at: 0, replaces: null };
  const place = { provider, region: null, zone: null, instanceType: "h100-8x", pricePerHour: 1 };
  const instance = {
    id: `i-${slot}`,
    state: "running",
    internalIp: null,
    externalIp: null,
    ...place,
  };
  return {
    ...newNode({ id: `n-${slot}` as NodeId, ...from }),
    phase: { kind: "serving", since: 0 },
    instance: { ...instance, boundAt: 0, absentSince: null, absentListings: 0 } as InstanceFact,
  };
}

test("refusal() what an end frees at one cloud is no room at another", () => {
  const nodes = [nodeAt(0, "first"), nodeAt(1, "second")];
  const none = { pools: new Map(), operations: new Map(), facts: new Map() };
  const fleet: Fleet = { fleetId: "f", nodes: new Map(nodes.map((n) => [n.id, n])), ...none };
  const purse = openPurse(fleet, CONFIG);
  const ask = { pool: "p", provider: "second", price: 1 };
  const freed = { instances: 1, perHour: 1 };
  expect(purse.refusal(ask, { ...freed, provider: "second" })).toBeNull();
  const why = "provider:second has 1 of at most 1 instances";
  expect(purse.refusal(ask, { ...freed, provider: "first" })).toBe(why);
});
