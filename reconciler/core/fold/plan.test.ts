/** A plan as rows: what each action finds as the one before it has left it. */
import { describe, expect, test } from "bun:test";
import type { Action } from "../plan.ts";
import type { NodeId, OperationId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Operation, Payload } from "../../../schema/operation.ts";
import {
  agentOf,
  gpuOf,
  heldOf,
  nodeOf,
  operationOf,
  POOL,
  poolStateOf,
  sessionOf,
  sickOf,
} from "../../../test/world/part.ts";
import { readConfig } from "../../config/read.ts";
import { UnitOfWork, newMirror } from "../unit-of-work.ts";
import { applyPlan } from "./plan.ts";

const NOW = 1_000_000;

function apply(actions: Action[], nodes: Node[], operations: Operation[] = []) {
  const { config } = readConfig([{ name: "f", text: "{}\n" }]);
  if (config === null) throw new Error("the configuration cannot be read");
  const mirror = newMirror();
  for (const node of nodes) mirror.nodes.set(node.id, node);
  for (const operation of operations) mirror.operations.set(operation.id, operation);
  mirror.pools.set(POOL, poolStateOf(2));
  const work = new UnitOfWork(mirror);
  applyPlan({ actions, waits: [] }, { fleetId: "f", ...mirror }, config, NOW, work);
  return { work, change: work.finish() };
}

const effect = (node: Node, payload: Payload): Action => ({
  kind: "effect",
  node: node.id,
  payload,
  because: [{ code: "drained" }],
});
const cordon: Payload = { kind: "cordon", why: "broken" };

describe("applyPlan()", () => {
  test("writes the node, the operation, the pool and the events of each action", () => {
    const node = nodeOf("n");
    const admit: Action = {
      kind: "admit",
      node: "m" as NodeId,
      pool: POOL,
      slot: 1,
      gen: 1,
      replaces: null,
      because: [{ code: "surplus" }],
    };
    const { change } = apply([effect(node, cordon), admit], [node]);
    expect(change?.nodes.map(({ id, operation }) => [String(id), operation])).toEqual([
      ["n", "n.1.cordon" as OperationId],
      ["m", null],
    ]);
    expect(change?.operations.map(({ id, state }) => [String(id), state])).toEqual([
      ["n.1.cordon", "asked"],
    ]);
    expect(change?.pools).toEqual([poolStateOf(2, { nextGen: 2 })]);
    expect(change?.events.map(({ kind }) => kind)).toEqual(["node.requested"]);
    expect(change?.facts).toEqual([]);
  });

  test("writes nothing for an empty plan", () => {
    expect(apply([], [nodeOf("n")]).change).toBeNull();
  });

  test("calls off the set-up of a node to which something else happens", () => {
    const setUp = { kind: "bootstrap", attempt: 1 } as Payload;
    const busy = nodeOf("n", { fence: 4, operation: "n.1.bootstrap" as OperationId });
    const open = operationOf(busy, setUp);
    const { work } = apply([effect(busy, cordon)], [busy], [open]);
    expect(work.operation(open.id)).toEqual({
      ...open,
      state: "abandoned",
      closedAt: NOW,
      message: "cancelled: its node leaves",
    });
    expect(work.node(busy.id)).toMatchObject({ fence: 6, operation: "n.6.cordon" });
  });

  test("calls nothing else off, and nothing of another node", () => {
    const busy = nodeOf("n", { fence: 4, operation: "n.1.drain" as OperationId });
    const drain = { kind: "drain", purpose: "repair", deadlineAt: 0 } as unknown as Payload;
    const open = operationOf(busy, drain);
    const { work, change } = apply([effect(busy, cordon)], [busy], [open]);
    expect(work.operation(open.id)).toEqual(open);
    expect(work.node(busy.id)?.fence).toBe(5);
    expect(change?.operations).toHaveLength(1);
    // The operation that it names has ended in the meantime.
    expect(apply([effect(busy, cordon)], [busy]).change?.operations).toHaveLength(1);
  });

  test("counts failures of one plan one after the other", () => {
    const broken = (id: string, index: number): Node => {
      const agent = agentOf({ gpus: [gpuOf(index, `GPU-aaaa${index}`)] });
      const held = [heldOf({ definitive: true }, { gpu_index: index })];
      return sickOf(id, { agent, session: sessionOf({ definitive: true }) }, held);
    };
    const ends = (node: Node): Action => ({
      kind: "advance",
      node: node.id,
      to: { kind: "terminating", since: NOW, purpose: "replace", accepted: null, notBefore: 0 },
      event: "node.terminating",
      because: [{ code: "ordered", why: "broken" }],
      session: "replaced",
    });
    const [a, b] = [broken("a", 1), broken("b", 2)];
    const once = apply([ends(a)], [a, b]).change?.facts ?? [];
    const twice = apply([ends(a), ends(b)], [a, b]).change?.facts ?? [];
    const failures = (facts: typeof once): number =>
      facts.reduce((sum, fact) => sum + (fact.kind === "rate" ? fact.failures : 0), 0);
    expect(failures(twice) - failures(once)).toBeCloseTo(1, 6);
    const lemons = (facts: typeof once) => facts.flatMap((f) => (f.kind === "lemon" ? f.uuid : []));
    expect(lemons(once)).toEqual(["GPU-aaaa1"]);
    expect(lemons(twice)).toEqual(["GPU-aaaa1", "GPU-aaaa2"]);
  });
});
