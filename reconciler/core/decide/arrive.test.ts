/** When a machine that has never served is given back for what its agent says. */
import { expect, test } from "bun:test";
import { instanceOf } from "../../../test/world/part.ts";
import type { HeldFinding } from "../../../schema/held.ts";
import type { InstanceId, NodeId, PoolName } from "../../../schema/id.ts";
import type { Health, Node } from "../../../schema/node.ts";
import { configOf, poolYaml } from "../../../test/world/world.ts";
import { sightOf } from "../../../test/world/ask.ts";
import type { Fleet } from "../fleet.ts";
import { newHealth, newNode } from "../fold/new-node.ts";
import { newPoolState } from "../fold/new-pool.ts";
import { decide } from "./decide.ts";
import { sayCauses } from "../say/cause.ts";

const NOW = 1_000_000;
const POOL = "p" as PoolName;

const sight = sightOf({ now: NOW, attentiveMs: 3_600_000, left: { kind: "empty", seenAt: NOW } });

function held(definitive: boolean): HeldFinding {
  return {
    key: "driver/library/node",
    firstAt: 1,
    lastAt: 1,
    count: 1,
    cleanSince: 0,
    finding: { kind: "driver", reason: "library", at: "2026-01-01T00:00:00.000Z" },
    judgement: { rule: "r", result: "unhealthy", because: "no library", definitive },
  } as unknown as HeldFinding;
}

/** What becomes of a machine in verification with this health, `sinceMs` after it registered. */
function fate(health: Partial<Health>, sinceMs = 60_000): string[] {
  const made = newNode({ id: "n0" as NodeId, pool: POOL, slot: 0, gen: 1, at: 0, replaces: null });
  const node: Node = {
    ...made,
    phase: { kind: "verifying", since: NOW - sinceMs },
    instance: instanceOf({ id: "i-0" as InstanceId }),
    health: { ...newHealth(), verdict: "unhealthy", unhealthyRun: 5, ...health },
  };
  const fleet: Fleet = {
    fleetId: "fleet",
    nodes: new Map([[node.id, node]]),
    pools: new Map([[POOL, { ...newPoolState(POOL, 1, 1), nextGen: 100 }]]),
    operations: new Map(),
    facts: new Map(),
  };
  const config = configOf(poolYaml(1, "    health: { unhealthy_threshold: 1 }\n"));
  return decide(fleet, config, sight).actions.flatMap((action) =>
    action.kind === "advance" ? [`${action.to.kind}: ${sayCauses(action.because)}`] : [],
  );
}

test("a machine whose driver is not there yet is given its time, and no more than that", () => {
  expect(fate({ held: [held(false)] })).toEqual([]);
  expect(fate({ held: [held(false)] }, 600_000)).toEqual([
    "terminating: not verified within 600 s",
  ]);
});

test("a full check, or proof of broken hardware, gives a machine back at once", () => {
  const because = ["terminating: unhealthy at its first check: no library"];
  expect(fate({ held: [held(false)], lastCheckAt: NOW - 1 })).toEqual(because);
  expect(fate({ held: [held(true)] })).toEqual(because);
});
