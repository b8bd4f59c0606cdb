/** A PodDisruptionBudget as the API server sends it, read into what a drain looks at. */
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
  const object = readObject(json);
  const metadata = readObject(object["metadata"]);
  const identity = readIdentity(metadata);
  const namespace = readText(metadata["namespace"]);
  if (identity === null || namespace === null) return null;
  const allowed = readCount(readObject(object["status"])["disruptionsAllowed"]) ?? 0;
  return { ...identity, namespace, allowed };
}
