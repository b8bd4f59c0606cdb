/** Taints and annotations of other programs that delete Nodes. */
import { expect, test } from "bun:test";
import { askToKeep, askToStay, deletersOf } from "./other-program.ts";

const taint = (key: string) => ({ key, value: null, effect: "NoSchedule" });

test.each<[string, string[]]>([
  ["ToBeDeletedByClusterAutoscaler", ["cluster-autoscaler deletes it"]],
  ["DeletionCandidateOfClusterAutoscaler", ["cluster-autoscaler may delete it"]],
  ["karpenter.sh/disrupted", ["karpenter deletes it"]],
  ["karpenter.sh/disruption", ["karpenter deletes it"]],
  ["nvidia.com/gpu", []],
  ["tobedeletedbyclusterautoscaler", []],
])("deletersOf() reads the taint %s", (key, said) => {
  expect(deletersOf({ taints: [taint(key), taint(key)] })).toEqual(
    said.map((one) => `${one} (taint ${key})`),
  );
});

const SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict";
const KARPENTER = "karpenter.sh/do-not-disrupt";

test.each<[Record<string, string>, string | null]>([
  [{ [KARPENTER]: "true" }, `${KARPENTER}: true`],
  [{ [KARPENTER]: "4h" }, `${KARPENTER}: 4h`],
  [{ [KARPENTER]: "false" }, null],
  [{ [SAFE]: "false" }, `${SAFE}: false`],
  [{ [SAFE]: "true" }, null],
  [{ "karpenter.sh/do-not-evict": "true" }, "karpenter.sh/do-not-evict: true"],
  [{ [KARPENTER]: "false", [SAFE]: "false" }, `${SAFE}: false`],
  [{}, null],
])("askToStay() of %j", (annotations, said) => expect(askToStay(annotations)).toBe(said));

const DISABLED = "cluster-autoscaler.kubernetes.io/scale-down-disabled";

test.each<[Record<string, string>, string | null]>([
  [{ [DISABLED]: "true" }, `${DISABLED}: true`],
  [{ [DISABLED]: "false" }, null],
  [{ [KARPENTER]: "true" }, `${KARPENTER}: true`],
  [{ [KARPENTER]: "false" }, null],
  [{ [SAFE]: "false" }, null],
  [{}, null],
])("askToKeep() of %j", (annotations, said) => expect(askToKeep(annotations)).toBe(said));
