/** Node objects that were a node's: who notes them, and when they are forgotten. */
import { describe, expect, test } from "bun:test";
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Fact } from "../../../schema/safety.ts";
import { DAY_MS, fleetOf, kubeOf, nodeOf, POOL, sessionOf } from "../../../test/world/part.ts";
import { UnitOfWork, newMirror } from "../unit-of-work.ts";
import type { KubeNode } from "../kubernetes/object.ts";
import { foldLeaving, foldRemoved, leave } from "./leaving.ts";

const NOW = 100 * DAY_MS;
const FACT: Fact = { kind: "leaving", uid: "u1", name: "gpu-1", node: "n", pool: POOL, at: NOW };

function draftOf(...nodes: Node[]): UnitOfWork {
  const mirror = newMirror();
  for (const node of nodes) mirror.nodes.set(node.id, node);
  return new UnitOfWork(mirror);
}

const bound = (more: Partial<Node> = {}): Node =>
  nodeOf("n", { kube: kubeOf({ name: "gpu-1", uid: "u1" }), ...more });

describe("leave()", () => {
  test("notes the object, and says that the marks are taken from it", () => {
    const work = draftOf();
    leave(bound({ session: sessionOf() }), NOW, work);
    expect(work.finish()?.facts).toEqual([FACT]);
    expect(work.change.events).toEqual([
      {
        at: NOW,
        kind: "kube.left",
        node: "n" as NodeId,
        pool: POOL,
        session: sessionOf().id,
        actor: "navarch",
        message: "Node gpu-1 is no longer matched to it: Navarch removes its marks from that Node",
      },
    ]);
    leave(bound(), NOW, work);
    expect(work.change.events[1]?.session).toBeNull();
  });

  test("notes nothing where there is no object", () => {
    const work = draftOf();
    leave(nodeOf("n"), NOW, work);
    leave(bound({ kube: kubeOf({ absentSince: 3 }) }), NOW, work);
    expect(work.finish()).toBeNull();
  });
});

describe("foldRemoved()", () => {
  test("leaves the object of a record that is removed, and not that of an ended machine", () => {
    const work = draftOf(bound());
    foldRemoved(["n", "unknown"] as NodeId[], NOW, work);
    expect(work.finish()?.facts).toEqual([FACT]);
    const over = draftOf(bound({ phase: { kind: "gone", since: 1, purpose: "replace" } }));
    foldRemoved(["n"] as NodeId[], NOW, over);
    expect(over.finish()).toBeNull();
  });
});

const object = (more: Partial<KubeNode> = {}): KubeNode =>
  ({
    name: "gpu-1",
    uid: "u1",
    own: true,
    annotations: {},
    labels: {},
    taints: [],
    conditions: [],
    ...more,
  }) as KubeNode;

/** Whether the object is still owed something after this look. */
function owes(objects: KubeNode[], now = NOW, nodes: Node[] = []): boolean {
  const mirror = newMirror();
  for (const node of nodes) mirror.nodes.set(node.id, node);
  mirror.facts.set("leaving:u1", FACT);
  const work = new UnitOfWork(mirror);
  foldLeaving(fleetOf([], [FACT]).facts, objects, now, work);
  return work.fact("leaving:u1") !== null;
}

describe("foldLeaving()", () => {
  const label = { "navarch.dev/pool": "p" };

  test("forgets an object that is gone, clear, or some node's again", () => {
    expect(owes([object()])).toBe(true);
    expect(owes([object({ own: false, labels: label })])).toBe(true);
    expect(owes([])).toBe(false);
    expect(owes([object({ uid: "u2" })])).toBe(false);
    expect(owes([object({ own: false })])).toBe(false);
    expect(owes([object()], NOW, [bound()])).toBe(false);
  });

  test("a node whose object is absent, or is another one, claims nothing", () => {
    expect(owes([object()], NOW, [bound({ kube: kubeOf({ uid: "u1", absentSince: 3 }) })])).toBe(
      true,
    );
    expect(owes([object()], NOW, [bound({ kube: kubeOf({ uid: "u2" }) }), nodeOf("m")])).toBe(true);
  });

  test("leaves to a person after a week what is only labelled, never a cordon", () => {
    const labelled = object({ own: false, labels: label });
    expect(owes([labelled], NOW + 7 * DAY_MS - 1)).toBe(true);
    expect(owes([labelled], NOW + 7 * DAY_MS)).toBe(false);
    expect(owes([object()], NOW + 70 * DAY_MS)).toBe(true);
  });

  test("writes nothing where nothing is owed", () => {
    const work = draftOf(bound());
    foldLeaving(new Map(), [object()], NOW, work);
    expect(work.finish()).toBeNull();
  });
});
