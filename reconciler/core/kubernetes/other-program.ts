/**
 * What other programs that delete Nodes write on objects: their taints on Nodes, and annotations by
 * which pods ask them not to be disturbed. Pure. Sources: kubernetes/autoscaler 1.34
 * `cluster-autoscaler/utils/taints`, `utils/drain`; karpenter 1.8 `pkg/apis/v1`.
 */
import { DELETERS_MAX } from "../../../schema/kube-past.ts";
import type { KubeNode } from "./object.ts";

/** `ends`: it deletes the Node soon; otherwise it may. */
const DELETERS = new Map<string, { who: string; ends: boolean }>([
  ["ToBeDeletedByClusterAutoscaler", { who: "cluster-autoscaler", ends: true }],
  ["DeletionCandidateOfClusterAutoscaler", { who: "cluster-autoscaler", ends: false }],
  ["karpenter.sh/disrupted", { who: "karpenter", ends: true }],
  // Before its v1.
  ["karpenter.sh/disruption", { who: "karpenter", ends: true }],
]);

/** Who announces that it deletes the Node, a sentence each. */
export function deletersOf({ taints }: Pick<KubeNode, "taints">): string[] {
  const found = taints.flatMap(({ key }) => {
    const deleter = DELETERS.get(key);
    if (deleter === undefined) return [];
    return [`${deleter.who} ${deleter.ends ? "deletes it" : "may delete it"} (taint ${key})`];
  });
  return [...new Set(found)].sort().slice(0, DELETERS_MAX);
}

/** The values under which the annotation asks for nothing. */
const ASKS: readonly (readonly [string, (value: string) => boolean])[] = [
  // Newer releases take a duration as well.
  ["karpenter.sh/do-not-disrupt", (value) => value !== "false"],
  ["karpenter.sh/do-not-evict", (value) => value === "true"],
  ["cluster-autoscaler.kubernetes.io/safe-to-evict", (value) => value === "false"],
];

const VALUE_CHARS_MAX = 32;

/** The first annotation by which a pod asks not to be disturbed, as `KEY: VALUE`; or `null`. */
export function askToStay(annotations: Readonly<Record<string, string>>): string | null {
  for (const [key, asks] of ASKS) {
    const value = annotations[key];
    if (value !== undefined && asks(value)) return `${key}: ${value.slice(0, VALUE_CHARS_MAX)}`;
  }
  return null;
}

/** Keys of these annotations. */
export const ASK_KEYS: ReadonlySet<string> = new Set(ASKS.map(([key]) => key));
