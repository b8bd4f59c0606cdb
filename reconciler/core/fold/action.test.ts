/** What each action of a plan makes of its node, its pool and what people read. */
import { describe, expect, test } from "bun:test";
import type { Action } from "../plan.ts";
import type { BootId, InstanceId, NodeId, SessionId } from "../../../schema/id.ts";
import type { Node, Phase, PoolState } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import {
  agentOf,
  heldOf,
  lastSessionOf,
  nodeOf,
  POOL,
  poolStateOf,
  sessionOf,
} from "../../../test/world/part.ts";
import { applyAction } from "./action.ts";
import { newNode } from "./new-node.ts";
import type { Cause } from "../say/cause.ts";

const NOW = 1_000_000;
const ordered = (why: string): Cause => ({ code: "ordered", why });

type Advance = Extract<Action, { kind: "advance" }>;
const phase = (kind: Phase["kind"], more: object = {}): Phase =>
  ({ kind, since: NOW, ...more }) as Phase;

function advance(
  node: Node,
  to: Phase,
  more: Partial<Advance> = {},
  pool: PoolState | null = null,
) {
  const base = { kind: "advance", node: node.id, event: "node.verified", session: null } as const;
  return applyAction({ ...base, to, because: ["a", "b"].map(ordered), ...more }, node, pool, NOW);
}

describe("applyAction() of an admission", () => {
  const action = (gen: number): Extract<Action, { kind: "admit" }> => ({
    kind: "admit",
    node: "p-0-5" as NodeId,
    pool: POOL,
    slot: 0,
    gen,
    replaces: "p-0-4" as NodeId,
    because: [ordered("slot 0 is empty")],
  });

  test("makes a node of which nothing is bought yet", () => {
    const { pool, slot, gen, node: id, replaces } = action(5);
    const applied = applyAction(action(5), null, null, NOW);
    expect(applied).toEqual({
      node: newNode({ id, pool, slot, gen, at: NOW, replaces }),
      operation: null,
      pool: null,
      events: [
        {
          at: NOW,
          kind: "node.requested",
          node: id,
          pool: POOL,
          session: null,
          actor: "navarch",
          message: "slot 0 is empty",
        },
      ],
    });
  });

  test.each([
    [5, 5, 6],
    [5, 4, 6],
    [5, 9, 9],
  ])("of generation %d takes no generation twice: the next was %d, is %d", (gen, before, after) => {
    const applied = applyAction(action(gen), null, poolStateOf(1, { nextGen: before }), NOW);
    expect(applied.pool).toEqual(poolStateOf(1, { nextGen: after }));
  });
});

describe("applyAction() of an effect", () => {
  const node = nodeOf("n", { fence: 7, session: sessionOf() });
  const apply = (payload: Payload) =>
    applyAction(
      { kind: "effect", node: node.id, payload, because: [ordered("why")] },
      node,
      null,
      NOW,
    );

  test("opens an operation that nothing older can be taken for", () => {
    const payload: Payload = { kind: "cordon", why: "broken" };
    const applied = apply(payload);
    expect(applied.operation).toEqual({
      id: "n.8.cordon" as never,
      node: node.id,
      pool: POOL,
      session: sessionOf().id,
      fence: 8,
      epoch: 0,
      payload,
      state: "asked",
      askedAt: NOW,
      notBefore: 0,
      attempts: 0,
      lookups: 0,
      closedAt: null,
      message: null,
      because: ["why"],
    });
    expect(applied).toMatchObject({
      node: { ...node, fence: 8, operation: "n.8.cordon" },
      pool: null,
      events: [],
    });
  });

  test.each<[Payload, string]>([
    [{ kind: "cordon", why: "x", mirror: true }, "mirror"],
    [{ kind: "uncordon", why: "x", mirror: true }, "mirror"],
    [{ kind: "uncordon", why: "x", mirror: false }, "uncordon"],
    [{ kind: "terminate", provider: POOL, instanceId: "i" as InstanceId }, "terminate"],
    [{ kind: "terminate", provider: POOL, mirror: true } as unknown as Payload, "terminate"],
  ])("%o is told apart in its name: %s", (payload, word) => {
    expect(String(apply(payload).operation?.id)).toBe(`n.8.${word}`);
  });

  test("of a node that does not exist is a fault of the plan", () => {
    const because = ["x"];
    const id = "n" as NodeId;
    const effect = {
      kind: "effect",
      node: id,
      payload: { kind: "cordon", why: "x" },
      because: because.map(ordered),
    } as const;
    expect(() => applyAction(effect, null, null, NOW)).toThrow(
      "plan: effect of n, which does not exist",
    );
  });
});

describe("applyAction() of a change of phase", () => {
  test("says why, under the session that it belongs to", () => {
    const node = nodeOf("n", { session: sessionOf() });
    const applied = advance(node, phase("held", { heldBy: "ann", why: "x" }), { session: "held" });
    expect(applied.events).toEqual([
      {
        at: NOW,
        kind: "node.verified",
        node: node.id,
        pool: POOL,
        session: sessionOf().id,
        actor: "navarch",
        message: "a; b",
      },
    ]);
    expect(applied.operation).toBeNull();
    expect(applied.pool).toBeNull();
    expect(advance(nodeOf("n"), phase("suspect"), { session: "open" }).events[0]?.session).toBe(
      "n.s1" as SessionId,
    );
    expect(advance(nodeOf("n"), phase("suspect")).events[0]?.session).toBeNull();
  });

  test("opens a session with what is known at that moment", () => {
    const made = nodeOf("n", { sessions: 2, agent: { ...agentOf(), bootId: "b7" as BootId } });
    const applied = advance(made, phase("suspect"), { session: "open" });
    expect(applied.node).toEqual({
      ...made,
      phase: phase("suspect"),
      sessions: 3,
      session: {
        id: "n.s3" as SessionId,
        openedAt: NOW,
        bootId: "b7" as BootId,
        instanceId: "i-n" as InstanceId,
        reasons: ["a", "b"],
        attempts: {},
        epoch: 0,
        definitive: false,
      },
    });
    const bare = nodeOf("n", { agent: null, instance: null });
    const session = advance(bare, phase("suspect"), { session: "open" }).node.session;
    expect(session).toMatchObject({ bootId: null, instanceId: null });
  });

  test.each([
    ["certain and bad", [heldOf({ definitive: true })], true],
    ["only bad", [heldOf()], false],
    ["certain, and not bad", [heldOf({ definitive: true, result: "degraded" })], false],
    ["certain beside what is not", [heldOf(), heldOf({ definitive: true })], true],
    ["two halves", [heldOf(), heldOf({ definitive: true, result: "degraded" })], false],
  ])("tells whether its evidence is certain: %s", (_what, held, definitive) => {
    const made = nodeOf("n");
    const node = { ...made, health: { ...made.health, held } };
    const applied = advance(node, phase("suspect"), { session: "open" });
    expect(applied.node.session?.definitive).toBe(definitive);
  });

  const endings = ["recovered", "quarantined", "replaced", "lost", "cancelled", "held"] as const;
  test.each(endings)("ends a session as %s", (how) => {
    const node = nodeOf("n", { session: sessionOf({ openedAt: 5 }) });
    expect(advance(node, phase("serving"), { session: how }).node).toMatchObject({
      session: null,
      lastSession: { id: sessionOf().id, openedAt: 5, closedAt: NOW, how },
    });
  });

  test("keeps the last session where none is open, and the open one where none ends", () => {
    const lastSession = lastSessionOf(3, "recovered");
    const calm = nodeOf("n", { lastSession });
    expect(advance(calm, phase("serving"), { session: "lost" }).node).toMatchObject({
      session: null,
      lastSession,
    });
    const busy = nodeOf("n", { session: sessionOf(), lastSession });
    expect(advance(busy, phase("draining")).node).toMatchObject({
      session: sessionOf(),
      lastSession,
    });
  });

  test("drops an order once the node is a person's again", () => {
    const order = {
      goal: "drain",
      by: "ann",
      why: "",
      force: false,
      at: 1,
      timeoutMs: null,
    } as const;
    const node = nodeOf("n", { order });
    expect(advance(node, phase("held", { heldBy: "ann", why: "x" })).node.order).toBeNull();
    expect(advance(node, phase("suspect")).node.order).toEqual(order);
  });

  test("keeps why a machine that was set up never came into service", () => {
    const set = { attempts: 1, doneAt: 3, error: null, final: false, hostKey: null };
    const ends = (bootstrap: Node["bootstrap"], event: Advance["event"]) =>
      advance(nodeOf("n", { bootstrap }), phase("terminating", { purpose: "failed" }), { event })
        .node.bootstrap;
    expect(ends(set, "node.failed")).toEqual({ ...set, error: "a; b" });
    expect(ends(set, "node.terminating")).toEqual(set);
    expect(ends({ ...set, error: "ssh" }, "node.failed")).toEqual({ ...set, error: "ssh" });
    expect(ends(null, "node.failed")).toBeNull();
  });
});

const OFFER = "fake/r/z/h100";
const GUARD = `${OFFER}#abcd`;
const failedOnce = { failures: 1, outcomes: [false], notBefore: 0, at: NOW };

describe("applyAction() of a node that is verified", () => {
  const verifying = (more: Partial<Node> = {}) =>
    nodeOf("n", { phase: phase("verifying"), offer: GUARD, ...more });
  const before = poolStateOf(1, { failures: 2 });

  test("clears the pool, and the guard of the place that sold it", () => {
    const guards = { [GUARD]: failedOnce };
    const { pool } = advance(verifying(), phase("serving"), {}, { ...before, guards });
    expect(pool).toEqual({
      ...before,
      failures: 0,
      guards: { [GUARD]: { failures: 0, outcomes: [false, true], notBefore: 0, at: NOW } },
    });
  });

  test("changes nothing of a pool that had no trouble", () => {
    expect(advance(verifying(), phase("serving"), {}, poolStateOf(1)).pool).toBeNull();
    expect(
      advance(verifying({ offer: null }), phase("serving"), {}, poolStateOf(1)).pool,
    ).toBeNull();
  });

  test("clears one failure as it does many, and the place of an unknown offer is left alone", () => {
    const once = { ...before, failures: 1 };
    const { pool } = advance(verifying({ offer: null }), phase("serving"), {}, once);
    expect(pool).toEqual({ ...once, failures: 0 });
  });

  test("tells the end of the story of the one that it replaces", () => {
    const node = verifying({ replaces: "n0" as NodeId, session: sessionOf() });
    const { events } = advance(node, phase("serving"), {}, poolStateOf(1));
    expect(events).toHaveLength(2);
    expect(events[1]).toEqual({
      at: NOW,
      kind: "node.replaced",
      node: "n0" as NodeId,
      pool: POOL,
      session: null,
      actor: "navarch",
      message: "replaced by n, which is verified and serving",
    });
    expect(advance(verifying(), phase("serving"), {}, poolStateOf(1)).events).toHaveLength(1);
  });

  test.each<[string, Node, Phase]>([
    ["it comes back from a repair", nodeOf("n", { phase: phase("suspect") }), phase("serving")],
    ["it does not serve yet", verifying(), phase("held", { heldBy: "ann", why: "x" })],
  ])("proves nothing where %s", (_what, node, to) => {
    const heir = { ...node, offer: GUARD, replaces: "n0" as NodeId };
    const applied = advance(heir, to, {}, before);
    expect([applied.pool, applied.events.length]).toEqual([null, 1]);
  });
});

describe("applyAction() of a node that ends", () => {
  const end = (purpose: string, offer: string | null, pool = poolStateOf(1, { failures: 1 })) =>
    advance(nodeOf("n", { offer }), phase("terminating", { purpose }), {}, pool).pool;

  test("counts one that never came up, for its pool and for its place", () => {
    expect(end("failed", GUARD)).toEqual(
      poolStateOf(1, { failures: 2, guards: { [GUARD]: failedOnce } }),
    );
    expect(end("failed", null)).toEqual(poolStateOf(1, { failures: 2 }));
  });

  test("guards the place that handed back bad hardware, and counts no pool's failure", () => {
    const pool = end("lemon", GUARD);
    expect([pool?.failures, pool?.guards?.[GUARD]?.failures]).toEqual([1, 1]);
    expect(end("lemon", null)).toBeNull();
  });

  test.each(["replace", "scale_down", "operator", "surplus", "lost"])(
    "counts nothing where its purpose is %s",
    (purpose) => {
      expect(end(purpose, GUARD)).toBeNull();
    },
  );

  test("counts nothing before it ends, nor for a node of no pool", () => {
    const draining = phase("draining", { purpose: "failed", deadlineAt: 0, drainedAt: null });
    const drains = advance(nodeOf("n", { offer: GUARD }), draining, {}, poolStateOf(1));
    expect(drains.pool).toBeNull();
    const stray = advance(nodeOf("n"), phase("terminating", { purpose: "failed" }));
    expect(stray.pool).toBeNull();
    const first = advance(nodeOf("n", { phase: phase("verifying") }), phase("serving"));
    expect(first.pool).toBeNull();
  });
});
