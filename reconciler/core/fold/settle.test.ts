/** How an open operation ends, by its answer or because the world has overtaken it. */
import { describe, expect, test } from "bun:test";
import type { BootId, OperationId } from "../../../schema/id.ts";
import type { KubeFact, Node, Phase } from "../../../schema/node.ts";
import type { Operation, Payload } from "../../../schema/operation.ts";
import {
  agentOf,
  instanceOf,
  kubeOf,
  nodeOf,
  operationOf,
  POOL,
  poolStateOf,
  slurmOf,
} from "../../../test/world/part.ts";
import { UnitOfWork, newMirror } from "../unit-of-work.ts";
import { foldOvertaken, settle } from "./settle.ts";

const NOW = 1_000_000;
const DRAIN = {
  kind: "drain",
  purpose: "repair",
  deadlineAt: 0,
  gracePeriodMs: -1,
  force: false,
} as const;
const reboot = (bootId: string | null): Payload => ({
  kind: "reboot",
  provider: POOL,
  instanceId: instanceOf().id,
  bootId,
});

/** The node with this operation open. */
function asked(payload: Payload, more: Partial<Node> = {}, over: Partial<Operation> = {}) {
  const id = `n.1.${payload.kind}` as OperationId;
  const node = nodeOf("n", { fence: 4, operation: id, ...more });
  return { node, operation: operationOf(node, payload, { id, ...over }) };
}

function world(node: Node | null, operation: Operation | null) {
  const mirror = newMirror();
  if (node !== null) mirror.nodes.set(node.id, node);
  if (operation !== null) mirror.operations.set(operation.id, operation);
  mirror.pools.set(POOL, poolStateOf(1));
  return { mirror, work: new UnitOfWork(mirror) };
}

describe("settle()", () => {
  const { node, operation } = asked({ kind: "cordon", why: "broken" });
  const done = { kind: "done", instance: null, message: null } as const;

  test("takes one answer, with all that it changes", () => {
    const { work } = world(node, operation);
    settle(NOW, work, operation.id, done);
    expect(work.operation(operation.id)).toMatchObject({ state: "done", closedAt: NOW });
    expect(work.node(node.id)?.cordon.product).toEqual({ by: "navarch", why: "broken", at: NOW });
    expect(work.change.events.map(({ kind }) => kind)).toEqual(["node.cordoned"]);
    const closed = work.operation(operation.id);
    settle(NOW + 1, work, operation.id, { ...done, message: "again" });
    expect(work.operation(operation.id)).toEqual(closed);
    expect(work.change.events).toHaveLength(1);
  });

  test("writes how the place of a purchase rests", () => {
    const place = {
      region: null,
      zone: null,
      instanceType: "t",
      market: "on-demand",
      reservation: null,
    };
    const payload = {
      kind: "create",
      provider: POOL,
      offer: "o",
      request: { name: "n", ...place },
    };
    const wanted = { instance: null, phase: { kind: "requested" } as Phase };
    const bought = asked(payload as unknown as Payload, wanted);
    const { work } = world(bought.node, bought.operation);
    const no = { kind: "refused", message: "none", retryAfterMs: null } as const;
    settle(NOW, work, bought.operation.id, { ...no, class: "capacity" });
    const scope = `${POOL}///t`;
    expect(work.fact(`rest:${scope}`)).toMatchObject({
      scope,
      failures: 1,
      notBefore: NOW + 30_000,
    });
    expect(work.finish()?.facts).toHaveLength(1);
  });

  test("closes what belongs to no node any more, and knows no other", () => {
    const { work } = world(null, operation);
    settle(NOW, work, operation.id, done);
    expect(work.operation(operation.id)).toMatchObject({ state: "done" });
    expect(work.finish()?.nodes).toEqual([]);
    const empty = world(node, null);
    settle(NOW, empty.work, operation.id, done);
    expect(empty.work.finish()).toBeNull();
  });

  test("leaves what is open after an unknown outcome open", () => {
    const { work } = world(node, operation);
    settle(NOW, work, operation.id, { kind: "ambiguous", message: "lost" });
    expect(work.operation(operation.id)).toMatchObject({ state: "asked", message: "lost" });
    expect(work.finish()).toMatchObject({ nodes: [], pools: [], events: [] });
  });
});

/** What becomes of the operation and the node: `null` where nothing is written. */
function overtaken({ node, operation }: { node: Node | null; operation: Operation }) {
  const { mirror, work } = world(node, operation);
  foldOvertaken({ fleetId: "f", ...mirror }, NOW, work);
  const change = work.finish();
  if (change === null) return null;
  return { operation: change.operations[0] ?? null, node: change.nodes[0] ?? null };
}

const ended = (operation: Operation, message: string) => ({
  ...operation,
  state: "abandoned" as const,
  closedAt: NOW,
  message,
});

const order = (goal: "drain" | "terminate" | "replace", force: boolean) =>
  ({ goal, by: "ann", why: "", force, at: 1, timeoutMs: null }) as const;
const gone: Phase = { kind: "gone", since: 1, purpose: "operator" };
const human = { product: null, human: { by: "human:ann", why: "", at: 1 } };
const kube = kubeOf({ isolatedUid: "uid-1" });

describe("foldOvertaken() of a mark", () => {
  const said = "overtaken by a person's order before it was answered";
  const tried = { attempts: 1 };
  const CORDON: Payload = { kind: "cordon", why: "x" };
  const UNCORDON: Payload = { kind: "uncordon", why: "x" };

  test.each<[string, ReturnType<typeof asked>]>([
    ["its end is forced", asked(CORDON, { order: order("terminate", true) }, tried)],
    ["its replacement is forced", asked(UNCORDON, { order: order("replace", true) }, tried)],
    ["its machine is gone", asked(CORDON, { phase: gone }, tried)],
    ["a person cordoned it meanwhile", asked(UNCORDON, { cordon: human, kube })],
  ])("ends the ask where %s", (_what, one) => {
    const before = one.node.kube;
    const { node, operation } = one;
    expect(overtaken(one)).toEqual({
      operation: ended(operation, said),
      node: {
        ...node,
        kube: before === null ? null : { ...before, isolatedUid: null },
        operation: null,
        fence: 5,
      },
    });
  });

  test.each<[string, ReturnType<typeof asked>]>([
    ["it was not tried yet", asked(CORDON, { order: order("terminate", true) }, { attempts: 0 })],
    ["a drain is forced", asked(CORDON, { order: order("drain", true) }, tried)],
    ["its end is not forced", asked(CORDON, { order: order("terminate", false) }, tried)],
    ["nobody ordered anything", asked(CORDON, {}, tried)],
    ["a person's cordon is what it sets", asked(CORDON, { cordon: human, kube }, tried)],
    ["it keeps the mark", asked({ ...UNCORDON, keep: true }, { cordon: human, kube })],
    ["no scheduler shows a person's cordon", asked(UNCORDON, { cordon: human, kube: null })],
    ["no person has cordoned it", asked(UNCORDON, { kube })],
  ])("leaves it open where %s", (_what, one) => {
    expect(overtaken(one)).toBeNull();
  });

  test("leaves a node alone that is at something else by now", () => {
    const other = asked(CORDON, { phase: gone }, tried);
    const node = { ...other.node, operation: "n.2.terminate" as OperationId };
    expect(overtaken({ ...other, node })).toEqual({
      operation: ended(other.operation, said),
      node: null,
    });
  });
});

describe("foldOvertaken() of a drain or a reboot", () => {
  const said = "overtaken before it was answered";

  test.each<[string, Payload]>([
    ["drain", DRAIN],
    ["reboot", reboot("boot-1")],
  ])("ends a %s whose node was given back", (_kind, payload) => {
    const one = asked(payload, {}, { fence: 3 });
    expect(overtaken(one)).toEqual({
      operation: ended(one.operation, said),
      node: { ...one.node, operation: null },
    });
    const node = { ...one.node, operation: null };
    expect(overtaken({ ...one, node })).toEqual({
      operation: ended(one.operation, said),
      node: null,
    });
    const late = asked(payload, { operation: null });
    expect(overtaken(late)).toEqual({ operation: ended(late.operation, said), node: null });
  });

  test.each<[string, Payload, Partial<Node>]>([
    ["a drain", DRAIN, {}],
    ["a reboot of the boot that still speaks", reboot("boot-1"), {}],
    ["a reboot of a boot that nobody knew", reboot(null), {}],
    ["an end", { kind: "terminate", provider: POOL, instanceId: instanceOf().id }, {}],
  ])("leaves %s open that is its node's", (_what, payload, more) => {
    expect(overtaken(asked(payload, more))).toBeNull();
  });

  test("leaves alone what is neither a mark, a drain nor a reboot, whatever became of its node", () => {
    const end: Payload = { kind: "terminate", provider: POOL, instanceId: instanceOf().id };
    expect(overtaken(asked(end, {}, { fence: 3 }))).toBeNull();
    expect(overtaken(asked(end, { phase: gone }, { attempts: 3 }))).toBeNull();
  });

  test("withdraws the end of a machine that a person put back into service in Slurm", () => {
    const end: Payload = { kind: "terminate", provider: POOL, instanceId: instanceOf().id };
    const phase = {
      kind: "terminating",
      since: 1,
      purpose: "replace",
      accepted: null,
      notBefore: 0,
    } as const;
    const was = { markedBoot: 1_000, markedBootId: "boot-1" };
    const ends = (slurm: Parameters<typeof slurmOf>[0], more: Partial<Node> = {}) =>
      overtaken(asked(end, { phase, slurm: slurmOf({ ...was, ...slurm }), ...more }));
    expect(ends({})?.operation).toMatchObject({ state: "abandoned", closedAt: NOW });
    expect(ends({})?.node).toMatchObject({ operation: null, fence: 5, phase });
    for (const out of ["drain", "down", "silent", "power"] as const)
      expect(ends({ [out]: true })).toBeNull();
    expect(ends({ markedBoot: null, markedBootId: null })).toBeNull();
    expect(ends({ absentSince: 1 })).toBeNull();
    expect(ends({}, { instance: instanceOf({ state: "terminating" }) })).toBeNull();
    const order = {
      goal: "terminate",
      by: "ann",
      why: "",
      force: true,
      at: 0,
      timeoutMs: null,
    } as const;
    expect(ends({}, { order })).toBeNull();
    expect(ends({}, { order: { ...order, force: false } })).not.toBeNull();
  });

  test.each<[string, Partial<Node>]>([
    ["another boot speaks", { agent: { ...agentOf(), bootId: "boot-2" as BootId } }],
    ["no agent is known any more", { agent: null }],
  ])("counts a reboot as done where %s", (_what, more) => {
    const one = asked(reboot("boot-1"), more);
    const after = overtaken(one);
    expect(after?.operation).toMatchObject({ state: "done", message: "it came up again" });
    expect(after?.node).toMatchObject({ operation: null, phase: { kind: "repairing" } });
  });
});

describe("foldOvertaken()", () => {
  test("looks at what the work has already closed as closed, and at no lost node", () => {
    const one = asked(DRAIN, {}, { fence: 3 });
    expect(overtaken({ node: null, operation: one.operation })).toBeNull();
    const { mirror, work } = world(one.node, one.operation);
    work.putOperation({ ...one.operation, state: "done" });
    foldOvertaken({ fleetId: "f", ...mirror }, NOW, work);
    expect(work.finish()?.operations).toEqual([{ ...one.operation, state: "done" }]);
  });

  test("judges every operation, and not only the first", () => {
    const first = asked({ kind: "cordon", why: "x" });
    const second = nodeOf("m", { fence: 4, operation: "m.1.drain" as OperationId });
    const drain = operationOf(second, DRAIN, { id: "m.1.drain" as OperationId, fence: 3 });
    const lost = operationOf(nodeOf("l"), DRAIN, { id: "l.1.drain" as OperationId });
    const { mirror, work } = world(first.node, first.operation);
    mirror.operations.set(lost.id, lost);
    mirror.nodes.set(second.id, second);
    mirror.operations.set(drain.id, drain);
    foldOvertaken({ fleetId: "f", ...mirror }, NOW, work);
    expect(work.finish()?.operations.map(({ id }) => id)).toEqual([drain.id]);
  });
});

const owned: KubeFact = kube;
test("foldOvertaken() of a forced end forgets that the mark was read back", () => {
  const one = asked({ kind: "uncordon", why: "x" }, { kube: owned, phase: gone }, { attempts: 1 });
  expect(overtaken(one)?.node?.kube).toEqual({ ...owned, isolatedUid: null });
});
