/** A worker of an AgentPool is judged like a node, and no rule for machines acts on it. */
import { describe, expect, test } from "bun:test";
import type { BootId, NodeId, StreamId } from "../../../schema/id.ts";
import type { WorkerFact } from "../../../schema/agentpool.ts";
import type { Node, Origin } from "../../../schema/node.ts";
import { configOf, poolYaml } from "../../../test/world/setting.ts";
import { agentOf, fleetOf, heldOf, nodeOf, sickOf, unboughtOf } from "../../../test/world/part.ts";
import { sightOf } from "../../../test/world/ask.ts";
import { decide } from "../decide/decide.ts";
import { darkness } from "../safety/blind.ts";
import { scopesOf, sizesOf } from "../safety/scope.ts";
import type { InboxEntry } from "../store.ts";
import { newMirror, UnitOfWork } from "../unit-of-work.ts";
import { judgeCommand } from "./command.ts";
import { foldWorker, removeWorker, senderOf } from "./worker.ts";

const fact = (uid: string): WorkerFact => ({ pool: "default/t1", uid });
const worker = (id: string, over: Partial<Node> = {}): Node =>
  unboughtOf(id, { pool: null, worker: fact("u1"), ...over });

const VIEW: Parameters<typeof sightOf>[0] = {
  now: 1_000_000,
  attentiveMs: 3_600_000,
  left: { kind: "unknown", forMs: 90_000 },
  fake: { bringsAgent: false, canReboot: false },
};

const entry = (worker: WorkerFact | null): InboxEntry => {
  const origin: Origin = { address: null, vouched: false, pod: null };
  return {
    node: "t1-abcde" as NodeId,
    bootId: "b" as BootId,
    stream: "s" as StreamId,
    agentVersion: "1.0.0",
    simulated: false,
    inventory: null,
    check: null,
    findings: [],
    gaps: [],
    results: [],
    origin: worker === null ? origin : { ...origin, worker },
  };
};

describe("the record of a worker", () => {
  test("says its pool from the first report on, and serves at once", () => {
    const node = senderOf(null, entry(fact("u1")), 5);
    expect(foldWorker(node, entry(fact("u1")), 5)).toEqual({
      worker: fact("u1"),
      phase: { kind: "serving", since: 5 },
    });
    expect(foldWorker(node, entry(null), 5)).toEqual({});
  });

  test("does not turn a bought machine into a worker", () => {
    expect(foldWorker(nodeOf("t1-abcde"), entry(fact("u1")), 5)).toEqual({});
  });

  test("of a new pod with the same name begins without the old evidence", () => {
    const old = worker("t1-abcde", { health: sickOf("x").health });
    expect(senderOf(old, entry(fact("u2")), 5).health.held).toEqual([]);
    expect(senderOf(old, entry(fact("u1")), 5)).toBe(old);
    expect(senderOf(old, { ...entry(null) }, 5)).toBe(old);
  });

  test("goes with its pod, and not with another pod of the same name", () => {
    const mirror = newMirror();
    const node = worker("t1-abcde");
    mirror.nodes.set(node.id, node);
    const work = new UnitOfWork(mirror);
    removeWorker(work, node.id, "u2", 5);
    expect(work.change.removedNodes).toEqual([]);
    removeWorker(work, node.id, "u1", 5);
    expect(work.change.removedNodes).toEqual([node.id]);
    expect(work.change.events.map(({ kind }) => kind)).toEqual(["node.forgotten"]);
  });
});

describe("V36: no rule for machines acts on a worker", () => {
  const config = configOf(poolYaml(3));
  const sick = worker("w-sick", {
    health: { ...sickOf("x").health, held: [heldOf()], unhealthyRun: 9 },
  });

  test("the plan leaves even a dead one to its pool, and says so", () => {
    const silent = worker("w-silent", {
      health: { ...sick.health, silentSince: 1 },
      order: null,
    });
    const { actions, waits } = decide(fleetOf([sick, silent]), config, sightOf(VIEW));
    expect(JSON.stringify(actions)).not.toContain("w-s");
    for (const id of ["w-sick", "w-silent"]) {
      expect(waits).toContainEqual(
        expect.objectContaining({
          node: id as NodeId,
          reason: "not_ours",
          why: { code: "worker", pool: "default/t1" },
        }),
      );
    }
  });

  test("fifty that fall silent at once neither blind the fleet nor enlarge a budget", () => {
    const agent = agentOf();
    const machines = ["a", "b", "c", "d"].map((id, slot) => nodeOf(id, { slot, agent }));
    const gone = Array.from({ length: 50 }, (_, n) =>
      worker(`w-${n}`, { agent, health: { ...sick.health, silentSince: 1 } }),
    );
    expect(darkness([...machines, ...gone])).toBeNull();
    expect(darkness(gone)).toBeNull();
    expect(scopesOf(sick)).toEqual([]);
    expect(sizesOf(fleetOf([...machines, ...gone]), config)).toEqual(
      sizesOf(fleetOf(machines), config),
    );
  });

  test("a person's order is refused, and says what to do", () => {
    const judged = judgeCommand(sick, { type: "drain", force: false, reason: "" });
    expect(judged).toEqual({
      kind: "refused",
      code: "conflict",
      message:
        "node w-sick is a worker of AgentPool default/t1: " +
        "delete its pod w-sick, or change the pool",
    });
    expect(judgeCommand(sick, { type: "terminate", force: true, reason: "x" }).kind).toBe(
      "refused",
    );
  });
});
