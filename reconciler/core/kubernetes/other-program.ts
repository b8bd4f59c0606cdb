/**
 * What other programs that delete Nodes write on objects: their taints on Nodes, and annotations by
 * which pods and Nodes ask them not to be disturbed. Pure. Sources: kubernetes/autoscaler 1.34
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

/** The same of a Node: a smaller pool takes others first, and an autoscaler only others. */
const NODE_ASKS: typeof ASKS = [
  ["cluster-autoscaler.kubernetes.io/scale-down-disabled", (value) => value === "true"],
  ["karpenter.sh/do-not-disrupt", (value) => value !== "false"],
];

const VALUE_CHARS_MAX = 32;

type Texts = Readonly<Record<string, string>>;

/** The first annotation by which a pod asks not to be disturbed, as `KEY: VALUE`; or `null`. */
export const askToStay = (annotations: Texts): string | null => firstAsk(ASKS, annotations);

/** The first annotation by which a Node asks not to be removed, in the same form. */
export const askToKeep = (annotations: Texts): string | null => firstAsk(NODE_ASKS, annotations);

function firstAsk(list: typeof ASKS, annotations: Texts): string | null {
  for (const [key, asks] of list) {
    const value = annotations[key];
    if (value !== undefined && asks(value)) return `${key}: ${value.slice(0, VALUE_CHARS_MAX)}`;
  }
  return null;
}

/** Keys of these annotations. */
export const ASK_KEYS: ReadonlySet<string> = new Set(ASKS.map(([key]) => key));
export const NODE_ASK_KEYS: ReadonlySet<string> = new Set(NODE_ASKS.map(([key]) => key));
