/** Bought machines whose Node object someone deleted. */
import { expect, test } from "bun:test";
import type { Node } from "../../../schema/node.ts";
import { instanceOf, kubeOf, nodeOf, unboughtOf } from "../../../test/world/part.ts";
import { countNodes, missingNodeOf } from "./missing-node.ts";

const kube = kubeOf({ name: "gpu-1", absentSince: 5_000 });
const bought = (more: Partial<Node> = {}) =>
  nodeOf("n1", { instance: instanceOf(), kube, ...more });
const since = 0;
const ending = { since, purpose: "replace", accepted: null, notBefore: 0 } as const;
const draining = {
  since,
  deadlineAt: 9,
  drainedAt: null,
  purpose: "repair",
  sawWork: false,
} as const;

test.each<[string, Node, boolean]>([
  ["that was deleted", bought(), true],
  ["that is there", bought({ kube: kubeOf() }), false],
  ["that never was", bought({ kube: null }), false],
  ["of an unmanaged machine", { ...unboughtOf("n1"), kube }, false],
  ["of a sick machine that waits", bought({ phase: { kind: "suspect", since } }), true],
  ["of a machine that drains", bought({ phase: { kind: "draining", ...draining } }), false],
  ["of a machine that is ending", bought({ phase: { kind: "terminating", ...ending } }), false],
  ["of a machine that is gone", bought({ phase: { kind: "gone", since, purpose: "lost" } }), false],
])("missingNodeOf() a Node %s", (_, node, expected) => {
  expect(missingNodeOf(node)).toEqual(expected ? { name: "gpu-1", since: 5_000 } : null);
});

test("countNodes() counts machines that had a Node once, also unmanaged ones", () => {
  const gone = bought({ kube: kubeOf(), phase: { kind: "gone", since, purpose: "lost" } });
  const leaving = bought({ phase: { kind: "terminating", ...ending } });
  const there = bought({ kube: kubeOf() });
  const own = { ...unboughtOf("n2"), kube: kubeOf() };
  const out = { ...unboughtOf("n3"), kube };
  const never = bought({ kube: null });
  const all = [gone, leaving, there, own, out, never, bought(), bought()];
  expect(countNodes(all)).toEqual({ expected: 4, matched: 2 });
  expect(countNodes([])).toEqual({ expected: 0, matched: 0 });
});
