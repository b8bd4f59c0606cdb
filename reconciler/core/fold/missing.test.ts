/** A Node object that stays away from a healthy machine is told once. */
import { expect, test } from "bun:test";
import { instanceOf, kubeOf, nodeOf } from "../../../test/world/part.ts";
import { sayMissing } from "../safety/missing-node.ts";
import { foldMissing } from "./time.ts";

const kube = kubeOf({ name: "gpu-1", absentSince: 1_000 });
const node = nodeOf("n1", { instance: instanceOf(), kube });

test("once the patience is over, and once only", () => {
  expect(foldMissing(node, 500, 1_499)).toBeNull();
  const told = foldMissing(node, 500, 1_500);
  expect(told).toEqual({
    node: { ...node, kube: { ...kube, missedAt: 1_500 } },
    event: {
      at: 1_500,
      kind: "kube.lost",
      node: node.id,
      pool: node.pool,
      session: null,
      actor: "navarch",
      message: sayMissing(node, { name: "gpu-1", since: 1_000 }),
    },
  });
  expect(foldMissing(told?.node ?? node, 500, 99_999)).toBeNull();
});

test("never of a Node that is there", () => {
  expect(foldMissing({ ...node, kube: kubeOf() }, 0, 99_999)).toBeNull();
  expect(foldMissing({ ...node, kube: null }, 0, 99_999)).toBeNull();
});
