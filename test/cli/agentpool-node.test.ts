/** A worker's node, as `get nodes` and `explain` tell of it. */
import { expect, test } from "bun:test";
import { sayNodeWorker } from "../../cli/agentpool-view.ts";
import { agentPool, BEGAN, fakePools, QUIET, worker } from "../world/agent-pools.ts";
import { nodeOf } from "../world/part.ts";
import type { NodeId } from "../../schema/id.ts";
import { explainNode } from "../../reconciler/http/view/explain.ts";
import { sayWorker, viewWorkerOf } from "../../reconciler/http/view/agentpool.ts";

const POOL = agentPool("default/t1");
const ROW = worker(POOL, "t1-abcde", { node: "t1-abcde" as NodeId });
const LEAVING = { cause: "surplus", since: BEGAN, deletingAt: null } as const;

function poolsWith(row = ROW) {
  const pools = fakePools([]);
  const view = { worker: row, state: "Running" as const, claims: 1, slots: 2 };
  const of = { pool: POOL, status: QUIET, workers: [view], claims: [], last: {} };
  return { ...pools, pool: () => of, workerOf: () => row };
}

test("V36: a worker's node says its pool, state, claims, and that it leaves", () => {
  const node = { ...nodeOf("t1-abcde"), worker: { pool: POOL.key, uid: "uid" } };
  const view = viewWorkerOf(node, poolsWith());
  if (view === null) throw new Error("no view");
  expect(sayWorker(view)).toBe(
    "a worker pod of AgentPool default/t1: Running, 1 of 2 slots claimed",
  );
  const leaving = viewWorkerOf(node, poolsWith({ ...ROW, leaving: LEAVING }));
  if (leaving === null) throw new Error("no view");
  expect(sayWorker(leaving)).toEndWith(", leaving (surplus)");
  expect(sayNodeWorker(leaving)).toBe(
    "default/t1: Running, 1/2 claimed, leaving: surplus, asked to stop",
  );
  const plan = { actions: [], waits: [] } as never;
  const from = { now: BEGAN, stays: null, unproven: null, worker: view };
  expect(explainNode(node, [], plan, from).state).toContain("1 of 2 slots claimed");
});

test("V36: a standby knows the pool alone, and a machine has none", () => {
  const node = { ...nodeOf("t1-abcde"), worker: { pool: POOL.key, uid: "uid" } };
  const view = viewWorkerOf(node, fakePools([]));
  expect(view).toEqual({ pool: "default/t1", worker: null });
  expect(viewWorkerOf({ ...node, worker: null }, poolsWith())).toBeNull();
});
