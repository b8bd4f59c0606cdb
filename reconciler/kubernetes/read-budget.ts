/** A PodDisruptionBudget as the API server sends it, read into what a drain looks at. */
import type {
  V1ObjectMeta,
  V1PodDisruptionBudget,
  V1PodDisruptionBudgetStatus,
} from "@kubernetes/client-node";
import { readCount, readIdentity, readObject, readText } from "./read-field.ts";

export type KubeBudget = {
  namespace: string;
  name: string;
  uid: string;
  resourceVersion: string;
  /** Evictions that it grants now, as its controller counted them last. */
  allowed: number;
};

/** `null` for what is no budget with a name and a UID; never throws. */
export function readBudget(json: unknown): KubeBudget | null {
  const { metadata, status } = readObject<V1PodDisruptionBudget>(json);
  const identity = readIdentity(readObject(metadata));
  const namespace = readText(readObject<V1ObjectMeta>(metadata).namespace);
  if (identity === null || namespace === null) return null;
  const { disruptionsAllowed } = readObject<V1PodDisruptionBudgetStatus>(status);
  return { ...identity, namespace, allowed: readCount(disruptionsAllowed) ?? 0 };
}
