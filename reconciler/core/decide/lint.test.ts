/** The laws that a plan may not break, each with a plan that breaks only that one. */
import { describe, expect, test } from "bun:test";
import type { Action, Plan } from "../plan.ts";
import type { InstanceId, NodeId, OperationId } from "../../../schema/id.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import {
  drainingOf,
  endingOf,
  goneOf,
  NOW,
  orderOf,
  OURS,
  poolOf,
  type Setting,
  settingOf,
  sightOf,
  THEIRS,
} from "../../../test/world/ask.ts";
import {
  fleetOf,
  heldOf,
  instanceOf,
  nodeOf,
  operationOf,
  poolStateOf,
  sickOf,
  unboughtOf,
} from "../../../test/world/part.ts";
import { bootstrapPayload } from "./bootstrap.ts";
import { lintPlan, soundPart } from "./lint.ts";
import type { Cause } from "../say/cause.ts";
import { sayBroken } from "../say/breach.ts";

const drained = drainingOf({ drainedAt: NOW - 5 });
const advance = (to: Phase, node = "n"): Action => ({
  kind: "advance",
  node: node as NodeId,
  to,
  event: "node.drained",
  because: [],
  session: null,
});
const effect = (payload: Payload, node = "n", because: Cause[] = []): Action => ({
  kind: "effect",
  node: node as NodeId,
  payload,
  because,
});
const cordon: Payload = { kind: "cordon", why: "" };
const drain = (purpose: "replace" | "operator" = "replace"): Payload => ({
  kind: "drain",
  purpose,
  deadlineAt: 0,
  gracePeriodMs: 0,
  force: false,
});
const reboot: Payload = {
  kind: "reboot",
  provider: "fake" as never,
  instanceId: "i-n" as InstanceId,
  bootId: null,
};
const terminate = (id = "i-n"): Payload => ({
  kind: "terminate",
  provider: "fake" as never,
  instanceId: id as InstanceId,
});
const uncordon = (mirror?: boolean): Payload => ({
  kind: "uncordon",
  why: "",
  ...(mirror === undefined ? {} : { mirror }),
});
const create = { kind: "create", provider: "fake", offer: "o", request: {} } as unknown as Payload;
const admit = (slot: number, node = "new", pool = "p"): Action => ({
  kind: "admit",
  node: node as NodeId,
  pool: pool as never,
  slot,
  gen: 9,
  replaces: null,
  because: [],
});

function lint(nodes: Node[], actions: Action[], setting: Setting = {}, waits: Plan["waits"] = []) {
  const fleet = fleetOf(nodes, [], [poolStateOf(setting.desired ?? 4)], setting.operations);
  const sight = sightOf(setting.sight);
  return lintPlan(fleet, settingOf(setting), sight, { actions, waits }).map(({ pool, how }) => {
    return {
      pool,
      message: sayBroken(null, [how]).replace("the plan of pool - breaks a law: ", ""),
    };
  });
}
const says = (node: Node, action: Action, setting: Setting = {}) =>
  lint([node], [action], setting).map(({ message }) => message);

test("a plan that does nothing about a node must say why", () => {
  const message = "n is suspect with neither action nor wait";
  const node = nodeOf("n", { phase: { kind: "suspect", since: 0 } });
  expect(lint([node], [])).toEqual([{ pool: "p", message }]);
  const wait = {
    node: node.id,
    pool: node.pool,
    reason: "human",
    why: { code: "no_slot" },
    until: null,
  } as const;
  expect(lint([node], [], {}, [wait])).toEqual([]);
  expect(lint([node], [advance({ kind: "serving", since: 0 })])).toEqual([]);
  expect(lint([nodeOf("n"), nodeOf("g", { phase: goneOf("lost") })], [])).toEqual([]);
});

test("there is one action for a node, and the node exists", () => {
  expect(lint([nodeOf("n")], [effect(cordon), effect(cordon)])).toEqual([
    { pool: "p", message: "two actions for node n" },
  ]);
  expect(lint([], [effect(cordon)])).toEqual([
    { pool: null, message: "effect of n, which does not exist" },
  ]);
});

describe("admission", () => {
  test("is of a new node, into a free slot, once", () => {
    expect(lint([nodeOf("n")], [admit(1)])).toEqual([]);
    expect(lint([nodeOf("new", { slot: 1 })], [admit(2)])).toEqual([
      { pool: "p", message: "admit of new, which exists" },
    ]);
    expect(lint([], [admit(1), admit(1, "other")])).toEqual([
      { pool: "p", message: "two admits for slot p/1" },
    ]);
    expect(lint([], [admit(1), admit(1, "other", "q"), admit(2, "third")])).toEqual([]);
    const message = "admit of new into slot 0, which n still has";
    expect(lint([nodeOf("n")], [admit(0)])).toEqual([{ pool: "p", message }]);
    expect(lint([nodeOf("n", { phase: goneOf("lost") })], [admit(0)])).toEqual([]);
    expect(lint([nodeOf("n", { pool: "q" as never })], [admit(0)])).toEqual([]);
  });

  test("beside the old one only where the same plan makes them a pair", () => {
    const pair = advance({ kind: "replacing", since: 0, replacement: "new" as NodeId });
    expect(lint([nodeOf("n")], [admit(0), pair])).toEqual([]);
    expect(lint([nodeOf("n")], [admit(0), advance({ kind: "suspect", since: 0 })])).toHaveLength(1);
    const other = { ...pair, node: "m" as NodeId };
    expect(lint([nodeOf("n"), nodeOf("m", { slot: 1 })], [admit(0), other])).toHaveLength(1);
  });
});

test("nothing is done over an open operation, but to end a set-up", () => {
  const node = nodeOf("n", { operation: "n.1.drain" as OperationId, cordon: OURS });
  expect(says(node, effect(drain()))).toEqual(["effect of n while n.1.drain is open"]);
  expect(says(node, effect(drain()), { operations: [operationOf(node, drain())] })).toHaveLength(1);
  const setUp = bootstrapPayload(node, instanceOf(), "a", poolOf().bootstrap);
  const open = operationOf(node, setUp, { id: "n.1.drain" as OperationId });
  expect(says(node, effect(drain()), { operations: [open] })).toEqual([]);
});

test("nothing is done to what is gone, nor to what a person holds", () => {
  expect(says(nodeOf("n", { phase: goneOf("lost") }), effect(cordon))).toEqual([
    "effect of n, which is gone",
  ]);
  const held = nodeOf("n", {
    phase: { kind: "held", since: 0, heldBy: "ann", why: "" },
    cordon: THEIRS,
  });
  const message = "effect of n, which a person holds";
  expect(says(held, effect(cordon))).toEqual([message]);
  expect(says(held, effect({ ...cordon, mirror: true }))).toEqual([]);
  expect(says({ ...held, cordon: { product: null, human: null } }, effect(uncordon(true)))).toEqual(
    [],
  );
  expect(says({ ...held, cordon: OURS }, effect(uncordon()))).toEqual([message]);
  expect(says({ ...held, order: orderOf("drain") }, effect(drain("operator")))).toEqual([]);
  expect(says(held, advance({ kind: "serving", since: 0 }))).toEqual([
    "advance of n, which a person holds",
  ]);
});

describe("while blind", () => {
  const blind: Setting = { sight: { blind: ["dark", "far"] } };
  const node = nodeOf("n", { cordon: OURS });
  const message = (kind: string) => [`${kind} of n while blind (dark; far)`];

  test("nothing that destroys is started", () => {
    expect(says(node, effect(drain()), blind)).toEqual(message("effect"));
    expect(says(node, advance(drainingOf()), blind)).toEqual(message("advance"));
    expect(says(node, effect(cordon), blind)).toEqual([]);
    expect(says(node, effect(drain()))).toEqual([]);
  });

  test("except actions that need no observation", () => {
    expect(
      says({ ...node, order: orderOf("drain", { force: true }) }, effect(drain()), blind),
    ).toEqual([]);
    expect(says({ ...node, order: orderOf("drain") }, effect(drain()), blind)).toHaveLength(1);
    const ended = { ...node, instance: instanceOf({ state: "terminated" }) };
    expect(says(ended, effect(drain()), blind)).toEqual([]);
    const leaving = { ...node, phase: drainingOf() };
    expect(says(leaving, advance(drained), blind)).toEqual([]);
    expect(says({ ...node, phase: drained }, advance(endingOf()), blind)).toHaveLength(1);
    const wanted = {
      kind: "requested",
      since: 0,
      attempt: 1,
      notBefore: 0,
      refusal: null,
    } as const;
    expect(says({ ...node, phase: wanted }, effect(drain()), blind)).toEqual([]);
  });
});

describe("an end", () => {
  const why = ["terminating n (replace) before it is drained"];
  test.each<[string, Partial<Node>, Phase, string[]]>([
    ["of one that serves", {}, endingOf(), why],
    ["of one that is drained", { phase: drained }, endingOf(), []],
    ["of one that is not drained yet", { phase: drainingOf() }, endingOf(), why],
    ["of one that is lost", {}, endingOf("lost"), []],
    ["of one that boots", { phase: { kind: "booting", since: 0 } }, endingOf(), []],
    [
      "of one that is set up",
      { phase: { kind: "bootstrapping", since: 0, attempt: 1 } },
      endingOf(),
      [],
    ],
    ["of one that is verified", { phase: { kind: "verifying", since: 0 } }, endingOf(), []],
    ["of one that is being ended", { phase: endingOf() }, endingOf(), []],
    ["by force", { order: orderOf("terminate", { force: true }) }, endingOf(), []],
    ["by an order", { order: orderOf("terminate") }, endingOf(), why],
    ["that is something else", {}, { kind: "suspect", since: 0 }, []],
  ])("%s", (_, over, to, expected) => {
    expect(says(nodeOf("n", over), advance(to))).toEqual(expected);
  });
});

describe("an effect", () => {
  const both = { ...OURS, human: THEIRS.human };
  const wanted = { kind: "requested", since: 0, attempt: 1, notBefore: 0, refusal: null } as const;
  test.each<[string, Partial<Node>, Payload, string[]]>([
    ["ends what is to end", { phase: endingOf() }, terminate(), []],
    ["ends what serves", {}, terminate(), ["terminate of n in phase serving"]],
    [
      "ends another machine",
      { phase: endingOf() },
      terminate("i-x"),
      ["terminate of i-x, which is not n's instance"],
    ],
    ["buys for what is asked for", { phase: wanted, instance: null }, create, []],
    ["buys twice", { phase: wanted }, create, ["create for n, which is requested"]],
    ["buys for what serves", { instance: null }, create, ["create for n, which is serving"]],
    ["lifts its own cordon", { cordon: OURS }, uncordon(), []],
    [
      "lifts a person's cordon",
      { cordon: THEIRS },
      uncordon(),
      ["uncordon of n, which the product did not cordon"],
    ],
    ["lifts a left-over mark", {}, uncordon(true), []],
    [
      "lifts the mark of ours",
      { cordon: OURS },
      uncordon(true),
      ["the mark of n is lifted while it is cordoned"],
    ],
    [
      "lifts the mark of theirs",
      { cordon: THEIRS },
      uncordon(true),
      ["the mark of n is lifted while it is cordoned"],
    ],
    ["drains what is cordoned", { cordon: OURS }, drain(), []],
    ["drains what is not", {}, drain(), ["drain of n before it is cordoned"]],
    ["repairs a person's", { cordon: both }, drain(), ["repair of n, which a person cordoned"]],
    ["drains a person's by order", { cordon: both, order: orderOf("replace") }, drain(), []],
    ["drains a person's for no repair", { cordon: THEIRS }, drain("operator"), []],
    ["reboots what is drained", { cordon: OURS, phase: drained }, reboot, []],
    [
      "reboots what is not",
      { cordon: OURS, phase: drainingOf() },
      reboot,
      ["reboot of n, which is not drained"],
    ],
    ["reboots what serves", { cordon: OURS }, reboot, ["reboot of n, which is not drained"]],
    [
      "reboots what is not cordoned",
      { phase: drained },
      reboot,
      ["reboot of n, which is not drained"],
    ],
    [
      "reboots a person's",
      { cordon: both, phase: drained },
      reboot,
      ["reboot of n, which a person cordoned"],
    ],
    ["reboots by order", { cordon: both, phase: drained, order: orderOf("replace") }, reboot, []],
    ["cordons", {}, cordon, []],
  ])("that %s", (_, over, payload, expected) => {
    expect(says(nodeOf("n", over), effect(payload))).toEqual(expected);
  });
});

describe("the budget of a pool", () => {
  const max = (nodes: number) => ({
    pool: { health: { ...poolOf().health, maxUnavailable: { kind: "nodes", nodes } as const } },
  });
  const sick = (id: string, slot: number, over: Partial<Node> = {}, held = [heldOf()]) =>
    sickOf(id, { slot, ...over }, held);
  const three = [sick("a", 0), sick("b", 1), sick("c", 2, { cordon: OURS })];
  const waitFor = (nodes: Node[]): Plan["waits"] =>
    nodes.map(({ id, pool }) => ({
      node: id,
      pool,
      reason: "human",
      why: { code: "no_slot" },
      until: null,
    }));
  const over = (
    nodes: Node[],
    ids: string[],
    setting: Setting,
    payload: Payload = cordon,
    because: Cause[] = [],
  ) =>
    lint(
      nodes,
      ids.map((id) => effect(payload, id, because)),
      setting,
      waitFor(nodes),
    ).map(({ message }) => message);

  test("is not left by what it marks", () => {
    expect(over(three, ["a"], max(2))).toEqual([]);
    expect(over(three, ["a", "b"], max(2))).toEqual(["pool p: 3 slots out, at most 2"]);
    expect(over(three, ["a", "b"], max(3))).toEqual([]);
    expect(over(three, [], max(0))).toEqual([]);
    // What is out already is not the plan's fault.
    expect(over(three, ["c"], max(0))).toEqual([]);
    expect(over(three, ["a"], max(0), { ...cordon, mirror: true })).toEqual([]);
    expect(over(three, ["a"], max(0), uncordon(true))).toEqual([]);
  });

  test("counts neither what is evident nor what a smaller pool spares", () => {
    const evident = sick("a", 0, {}, [heldOf({}, { code: 79 })]);
    expect(over([evident], ["a"], max(0))).toEqual([]);
    expect(over(three, ["a"], max(0), { ...cordon, cause: "scale_down" })).toEqual([]);
    // Words at the start of its evidence are no permission.
    const words = { ...cordon, why: "scale down: pool p wants 1 nodes" };
    expect(over(three, ["a"], max(0), words, [{ code: "ordered", why: words.why }])).not.toEqual(
      [],
    );
    expect(over([nodeOf("a")], ["a"], max(0))).toEqual([]);
    const quiet = { ...sick("a", 0), health: nodeOf("x").health };
    expect(over([quiet], ["a"], max(0))).toEqual([]);
    expect(over([{ ...sick("a", 0), pool: "q" as never }], ["a"], max(0))).toEqual([]);
  });

  test("counts what is unmanaged with all others, and ours by themselves", () => {
    const theirs = (id: string, cordoned = false) =>
      sick(id, 0, { slot: null, instance: null, ...(cordoned ? { cordon: OURS } : {}) });
    expect(over([theirs("u", true), sick("a", 0)], ["a"], max(1))).toEqual([]);
    expect(over([theirs("u"), sick("a", 0, { cordon: OURS })], ["u"], max(1))).toEqual([
      "pool p: 2 slots out, at most 1",
    ]);
    expect(over([theirs("u"), sick("a", 0, { cordon: OURS })], ["u"], max(2))).toEqual([]);
  });

  test("is a share of the wanted size, and of all places for the others", () => {
    const half = {
      pool: {
        health: { ...poolOf().health, maxUnavailable: { kind: "percent", percent: 50 } as const },
      },
      desired: 2,
    };
    expect(over([sick("a", 0), sick("b", 1)], ["a", "b"], half)).toEqual([
      "pool p: 2 slots out, at most 1",
    ]);
    const theirs = ["u", "v"].map((id) => sickOf(id, { slot: null, instance: null }));
    expect(over(theirs, ["u", "v"], half)).toEqual([]);
    expect(over([...theirs, unboughtOf("w")], ["u", "v"], { ...half, desired: 0 })).toEqual([
      "pool p: 2 slots out, at most 1",
    ]);
    const own = { ...half, pool: { ...half.pool, adopt: true } };
    expect(over(theirs, ["u", "v"], own)).toEqual(["pool p: 2 slots out, at most 1"]);
  });
});

describe("soundPart()", () => {
  const sound = (nodes: Node[], actions: Action[]) =>
    soundPart(fleetOf(nodes, [], [poolStateOf(4)]), settingOf({}), sightOf(), {
      actions,
      waits: [],
    });

  test("is the whole plan where no law is broken", () => {
    const actions = [effect(cordon)];
    const { plan, broken } = sound([nodeOf("n")], actions);
    expect(plan).toEqual({ actions, waits: [] });
    expect(broken.size).toBe(0);
  });

  test("withholds the pool that breaks one, and goes on with the others", () => {
    const nodes = [
      nodeOf("n"),
      nodeOf("m", { slot: 1 }),
      nodeOf("q", { pool: "q" as never }),
      nodeOf("s", { pool: null, slot: null }),
    ];
    const fine = [effect(cordon, "q"), effect(cordon, "s"), admit(3, "new", "q")];
    const bad = [effect(terminate()), effect(terminate("i-m"), "m"), admit(3, "newer")];
    const { plan, broken } = sound(nodes, [...bad, ...fine]);
    expect(plan.actions).toEqual(fine);
    expect([...broken]).toEqual([
      [
        "p",
        "the plan of pool p breaks a law: terminate of n in phase serving; terminate of m in phase serving",
      ],
    ]);
  });

  test("names nodes of no pool", () => {
    const { plan, broken } = sound([nodeOf("s", { pool: null })], [effect(terminate("i-s"), "s")]);
    expect(plan.actions).toEqual([]);
    expect([...broken]).toEqual([
      [null, "the plan of pool - breaks a law: terminate of s in phase serving"],
    ]);
  });
});
