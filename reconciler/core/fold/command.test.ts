/** Which orders of a person are legal, and what each makes of its node. */
import { describe, expect, test } from "bun:test";
import type { Command, CommandType } from "../../../schema/command.ts";
import type { CommandId, NodeId, OperationId } from "../../../schema/id.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import { heldOf, nodeOf, sessionOf, sickOf, unboughtOf } from "../../../test/world/part.ts";
import { foldCommand, judgeCommand } from "./command.ts";

const NOW = 9_000;
const ISSUED = 8_000;
const phase = (kind: Phase["kind"], more: object = {}): Phase =>
  ({ kind, since: 1, ...more }) as Phase;
const by = { by: "human:bob", why: "x", at: 1 };
const ours = { product: by, human: null };
const theirs = { product: null, human: by };

function order(type: CommandType, more: Partial<Command> = {}): Command {
  return {
    id: "c1" as CommandId,
    node: "n" as NodeId,
    type,
    reason: "disk",
    force: false,
    timeoutMs: null,
    issuedBy: "ann",
    issuedAt: ISSUED,
    state: "accepted",
    message: null,
    ...more,
  };
}

const judged = (node: Node, type: CommandType, more: Partial<Command> = {}): string => {
  const judgement = judgeCommand(node, order(type, more));
  if (judgement.kind === "legal") return "legal";
  const code = judgement.kind === "no_op" ? "no_op" : judgement.code;
  return `${code}: ${judgement.message}`;
};

const TYPES = ["cordon", "uncordon", "drain", "terminate", "replace"] as const;

describe("judgeCommand()", () => {
  test.each(["gone", "terminating"] as const)("of a node that is %s", (kind) => {
    const node = nodeOf("n", { phase: phase(kind) });
    for (const type of TYPES) {
      const expected =
        type === "terminate" ? `no_op: node n is already ${kind}` : `gone: node n is ${kind}`;
      expect(judged(node, type)).toBe(expected);
    }
  });

  test("a cordon that a person set is not set twice, one of the product may be", () => {
    expect(judged(nodeOf("n"), "cordon")).toBe("legal");
    expect(judged(nodeOf("n", { cordon: ours }), "cordon")).toBe("legal");
    expect(judged(nodeOf("n", { cordon: theirs }), "cordon")).toBe(
      "no_op: node n is already cordoned by human:bob",
    );
  });

  test.each(["terminate", "replace"] as const)("%s of a node that another cordoned", (type) => {
    const node = nodeOf("n", { cordon: theirs });
    expect(judged(node, type, { reason: " " })).toBe(
      `conflict: node n is cordoned by human:bob: x (${type} it with a reason)`,
    );
    expect(judged(node, type, { reason: " ", force: true })).toStartWith("conflict: ");
    expect(judged(node, type, { reason: "", issuedBy: "bob" })).toBe("legal");
    expect(judged(node, type)).toBe("legal");
    expect(judged(nodeOf("n", { cordon: ours }), type, { reason: "" })).toBe("legal");
  });

  const reach: [Phase["kind"], string][] = [
    ["requested", "conflict: node n is requested: nothing runs on it yet"],
    ["booting", "conflict: node n is booting: nothing runs on it yet"],
    ["bootstrapping", "conflict: node n is bootstrapping: nothing runs on it yet"],
    ["verifying", "legal"],
    ["serving", "legal"],
    ["suspect", "legal"],
    ["repairing", "legal"],
    ["replacing", "legal"],
    ["held", "legal"],
  ];
  test.each(reach)("a drain of a node that is %s: %s", (kind, expected) => {
    expect(judged(nodeOf("n", { phase: phase(kind) }), "drain")).toBe(expected);
  });

  test("a drain that is under way for a person is not asked for again", () => {
    const drains = (purpose: string) =>
      judged(nodeOf("n", { phase: phase("draining", { purpose }) }), "drain");
    expect(drains("operator")).toBe("no_op: node n is already draining");
    expect(drains("repair")).toBe("legal");
    expect(drains("scale_down")).toBe("legal");
  });

  test.each(["terminate", "replace"] as const)("only what was bought can be ended: %s", (type) => {
    expect(judged(nodeOf("n"), type)).toBe("legal");
    const asked = nodeOf("n", { instance: null, phase: phase("requested") });
    expect(judged(asked, type)).toBe("legal");
    const message =
      "conflict: node n was not bought by this fleet, so nothing can end it: " +
      "drain it, or forget it once the machine is gone";
    expect(judged(unboughtOf("n"), type)).toBe(message);
    expect(judged(nodeOf("n", { instance: null, phase: phase("booting") }), type)).toBe(message);
  });
});

describe("judgeCommand() of an uncordon", () => {
  test.each<[string, Node, string]>([
    ["a cordon of a person", nodeOf("n", { cordon: theirs }), "legal"],
    ["a cordon of the product", nodeOf("n", { cordon: ours }), "legal"],
    ["a drain", nodeOf("n", { phase: phase("draining", { purpose: "operator" }) }), "legal"],
    ["a held node", nodeOf("n", { phase: phase("held") }), "legal"],
    ["nothing", nodeOf("n"), "not_cordoned: node n is not cordoned"],
    [
      "a suspect that nobody cordoned",
      nodeOf("n", { phase: phase("suspect") }),
      "not_cordoned: node n is not cordoned",
    ],
    [
      "a replacement under way",
      nodeOf("n", { phase: phase("replacing", { replacement: "m" }), cordon: ours }),
      "conflict: node n is being replaced by m: let it finish, or order its end",
    ],
    [
      "a replacement, and a person's own cordon",
      nodeOf("n", { phase: phase("replacing", { replacement: "m" }), cordon: theirs }),
      "legal",
    ],
  ])("ends %s: %s", (_what, node, expected) => {
    expect(judged(node, "uncordon")).toBe(expected);
  });

  const sick = sickOf("n", { cordon: ours }, [
    heldOf({ result: "degraded", because: "hot" }),
    heldOf({ because: "XID 79" }),
  ]);
  const refused = (why: string) =>
    `conflict: node n is unhealthy: ${why} (repair it, or --force with --reason)`;

  test("of what is unhealthy needs force and a reason", () => {
    expect(judged(sick, "uncordon")).toBe(refused("XID 79"));
    expect(judged(sick, "uncordon", { force: true, reason: "" })).toBe(refused("XID 79"));
    expect(judged(sick, "uncordon", { force: true })).toBe("legal");
    const silent = { ...nodeOf("n", { cordon: ours }) };
    const health = { ...silent.health, silentSince: 3 };
    expect(judged({ ...silent, health }, "uncordon")).toBe(refused("its heartbeats are missing"));
  });

  test("of a person's own mark needs neither, whatever the verdict", () => {
    expect(judged({ ...sick, cordon: theirs }, "uncordon")).toBe("legal");
  });

  test("of what is only degraded needs neither", () => {
    const mild = { ...sick, health: { ...sick.health, verdict: "degraded" as const } };
    expect(judged(mild, "uncordon")).toBe("legal");
  });
});

const leave = { by: "ann", why: "disk", force: false, at: NOW, timeoutMs: null };
const fold = (node: Node, command: Command) => foldCommand(node, command, NOW);

describe("foldCommand()", () => {
  test("keeps what was refused or is so already, and changes nothing", () => {
    const node = nodeOf("n", { cordon: theirs });
    const no = order("cordon");
    const message = "node n is already cordoned by human:bob";
    expect(fold(node, no)).toEqual({
      node,
      events: [],
      command: { ...no, state: "applied", message },
    });
    const gone = nodeOf("n", { phase: phase("gone") });
    expect(fold(gone, no)).toEqual({
      node: gone,
      events: [],
      command: { ...no, state: "refused", message: "node n is gone" },
    });
  });

  test("a cordon is the person's, with the reason, and leaves the product's", () => {
    const node = nodeOf("n", { cordon: ours, session: sessionOf() });
    const human = { by: "human:ann", why: "disk", at: NOW };
    expect(fold(node, order("cordon"))).toEqual({
      node: { ...node, cordon: { product: by, human } },
      events: [
        {
          at: NOW,
          kind: "node.cordoned",
          node: node.id,
          pool: node.pool,
          session: sessionOf().id,
          actor: "human:ann",
          message: "disk",
        },
      ],
      command: { ...order("cordon"), state: "applied", message: null },
    });
    expect(fold(nodeOf("n"), order("cordon", { reason: "" })).events[0]).toMatchObject({
      session: null,
      message: "cordon by ann",
    });
  });

  test.each(["drain", "terminate", "replace"] as const)("a %s is an order and a cordon", (type) => {
    const node = nodeOf("n");
    const human = { by: "human:ann", why: "disk", at: NOW };
    const folded = fold(node, order(type, { timeoutMs: 5, force: true }));
    expect(folded.node).toEqual({
      ...node,
      cordon: { product: null, human },
      order: { ...leave, goal: type, timeoutMs: 5, force: true },
    });
    expect(folded.events.map(({ kind, message }) => [kind, message])).toEqual([
      ["node.cordoned", "disk"],
    ]);
  });

  test("leaves the cordon that another person set, and does not tell of it again", () => {
    const folded = fold(nodeOf("n", { cordon: { product: by, human: by } }), order("drain"));
    expect(folded.node.cordon.human).toEqual(by);
    expect(folded.node.order).toEqual({ ...leave, goal: "drain" });
    expect(folded.events).toEqual([]);
    expect(fold(nodeOf("n", { cordon: ours }), order("drain")).node.cordon.product).toEqual(by);
  });

  test("ends at once what was not bought yet", () => {
    const node = nodeOf("n", { instance: null, phase: phase("requested") });
    const folded = fold(node, order("terminate"));
    expect(folded.node).toEqual({
      ...node,
      phase: { kind: "gone", since: NOW, purpose: "operator" },
    });
    expect(folded.events.map(({ kind, message }) => [kind, message])).toEqual([
      ["node.terminated", "disk; nothing was bought yet"],
    ]);
    const asked = { ...node, operation: "n.1.create" as OperationId };
    expect(fold(asked, order("replace")).node).toMatchObject({
      phase: node.phase,
      order: { goal: "replace" },
    });
    const bought = fold(nodeOf("n", { operation: null }), order("terminate"));
    expect(bought.node.phase.kind).toBe("serving");
  });
});

describe("foldCommand() of an uncordon", () => {
  const old = heldOf({}, {}, { key: "old", lastAt: ISSUED });
  const fresh = heldOf({}, {}, { key: "new", lastAt: ISSUED + 1 });
  const base = sickOf("n", { cordon: { product: by, human: by }, fence: 4 }, [old, fresh]);
  const sick: Node = {
    ...base,
    order: { ...leave, goal: "drain" },
    health: { ...base.health, aside: [old, fresh], unhealthyRun: 3 },
  };
  const calm: Node = {
    ...nodeOf("n", { cordon: theirs, fence: 4, order: { ...leave, goal: "drain" } }),
  };
  const forced = (node: Node) => fold(node, order("uncordon", { force: true })).node;

  test("ends the person's cordon and order, and leaves the product's for the plan", () => {
    const folded = fold(calm, order("uncordon"));
    expect(folded.node).toEqual({
      ...calm,
      order: null,
      cordon: { product: null, human: null },
      fence: 5,
    });
    expect(folded.events.map(({ kind, message, actor }) => [kind, message, actor])).toEqual([
      ["node.uncordoned", "disk", "human:ann"],
    ]);
    expect(folded.command.state).toBe("applied");
    const both = { ...calm, cordon: { product: by, human: by } };
    expect(fold(both, order("uncordon")).node.cordon).toEqual(ours);
  });

  test("without force keeps the evidence, the session and the phase of a node in service", () => {
    const own = { ...sick, cordon: theirs };
    expect(fold(own, order("uncordon")).node).toEqual({
      ...own,
      order: null,
      cordon: { product: null, human: null },
      fence: 5,
    });
  });

  test("with force clears what was known when it was ordered, and nothing newer", () => {
    const left = { held: [fresh], aside: [fresh], unhealthyRun: 0 };
    // As checks may go on to list it: nobody is asked to tell it again.
    const dropped = ["xid/48/gpu-0", "xid/-/gpu-0"];
    expect(forced(sick)).toEqual({
      ...sick,
      order: null,
      cordon: ours,
      health: { ...sick.health, ...left, dropped },
      session: null,
      phase: { kind: "serving", since: NOW },
      fence: 5,
    });
  });

  test("with force is healthy once nothing is held, and says no more than it knows", () => {
    const cleared = forced({ ...sick, health: { ...sick.health, held: [old] } });
    expect(cleared.health).toMatchObject({ verdict: "healthy", held: [], unhealthyRun: 0 });
    const all = forced({ ...sick, health: { ...sick.health, held: [fresh] } });
    expect(all.health).toMatchObject({ verdict: "unhealthy", held: [fresh] });
    const none = forced({ ...sick, health: { ...sick.health, held: [], verdict: "unknown" } });
    expect(none.health.verdict).toBe("unknown");
    const { aside: _, ...bare } = sick.health;
    expect(forced({ ...sick, health: bare }).health.aside).toEqual([]);
  });

  const draining = phase("draining", { purpose: "operator" });
  test.each<[string, Node, boolean, Phase["kind"], boolean]>([
    ["a drain without a repair", { ...calm, phase: draining }, false, "serving", false],
    ["a drain in a repair", { ...sick, cordon: theirs, phase: draining }, false, "suspect", true],
    ["a drain in a repair, by force", { ...sick, phase: draining }, true, "serving", false],
    ["a held node", { ...calm, phase: phase("held") }, false, "serving", false],
    [
      "a held node in a repair",
      { ...sick, cordon: theirs, phase: phase("held") },
      false,
      "suspect",
      true,
    ],
    ["a suspect", { ...sick, cordon: theirs }, false, "suspect", true],
    ["a suspect, by force", sick, true, "serving", false],
    ["a node that is looked at", { ...calm, phase: phase("verifying") }, true, "verifying", false],
    ["a repair, by force", { ...sick, phase: phase("repairing") }, true, "repairing", false],
  ])("returns %s", (_what, node, force, kind, keepsSession) => {
    const after = fold(node, order("uncordon", { force })).node;
    expect(after.phase.kind).toBe(kind);
    expect(after.phase.since).toBe(node.phase.kind === kind ? node.phase.since : NOW);
    expect(after.session !== null).toBe(keepsSession);
  });

  test("keeps the session of a node whose replacement is on its way", () => {
    const node = { ...sick, phase: phase("replacing", { replacement: "m" }) };
    expect(forced(node)).toMatchObject({ phase: node.phase, session: sessionOf() });
  });
});
