/**
 * One fenced write on a Node object: read, decide, write, judge the result. After a lost race it
 * starts over, with jitter and a limit, because the reason for the write may be gone. This is the
 * only retry inside an effect: what it repeats was certainly not done.
 */
import { readAdmission } from "./admission.ts";
import type { KubeRequest } from "./api.ts";
import { failureOf, readLive, RETRIES_MAX, sameObject, waitToRetry } from "./node-call.ts";
import type { Live, Loss, NodePorts, OtherObject, Refusal } from "./node-call.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";
import { readNode } from "./read-node.ts";

export type NodeTarget = {
  name: string;
  uid: string;
  /** For the count of writes. */
  pool: string | null;
  /** A recent copy saves the first read; a stale one costs one conflict. */
  cached?: KubeNode | undefined;
};

/** `so`: nothing to write. `write`: a request fenced by the version, and its judgement. */
export type NodeStep<T> =
  | { kind: "so"; answer: T }
  | { kind: "write"; request: KubeRequest; judge: (after: KubeNode) => T };

/** `decide` is called with the current object, again after each lost race. */
export async function settleNode<T>(
  ports: NodePorts,
  { name, uid, pool, cached }: NodeTarget,
  decide: (live: KubeNode) => NodeStep<T>,
): Promise<T | OtherObject | Refusal | Loss> {
  let known: KubeNode | null = cached?.uid === uid && cached.name === name ? cached : null;
  const refuse = (message: string): Refusal => ({ kind: "refused", message, retryAfterMs: null });
  let conflict = "";
  let invalidAt: string | null = null;
  for (let attempt = 0; attempt <= RETRIES_MAX; attempt++) {
    let live: Live =
      known === null ? await readLive(ports.api, name, uid, pool) : { kind: "found", node: known };
    if (live.kind !== "found") return live;
    let step = decide(live.node);
    if (step.kind === "so" && known !== null) {
      // A copy can prove that a write is needed, never that none is.
      live = await readLive(ports.api, name, uid, pool);
      if (live.kind !== "found") return live;
      step = decide(live.node);
    }
    known = null;
    if (step.kind === "so") return step.answer;
    const { resourceVersion } = live.node;
    // The server treats version 0 as "any", which would be no fence.
    if (resourceVersion === "0") return refuse(`Node ${name} has no version`);
    if (resourceVersion === invalidAt) return refuse(conflict);
    const answer = await ports.api.call(step.request);
    if (answer.kind === "ok") {
      const after = readNode(answer.body);
      // An unreadable answer proves nothing.
      if (after === null) return { kind: "lost", message: `no Node in the answer about ${name}` };
      return sameObject(after, uid) ?? step.judge(after);
    }
    if (answer.kind !== "refused" || !isConflict(answer)) return failureOf(answer);
    conflict = `${answer.status} ${answer.message}`;
    // A 422 for an unchanged version is permanent.
    if (answer.status === 422) invalidAt = resourceVersion;
    if (attempt < RETRIES_MAX) await waitToRetry(ports, attempt);
  }
  return refuse(`Node ${name} changed under each of ${RETRIES_MAX + 1} tries: ${conflict}`);
}

/**
 * 409: an old version. 422: a JSON patch whose `test` failed, or another UID under a current
 * version, which the server treats as a change of an immutable field (kube-apiserver 1.37.1,
 * measured). Admission may use both codes and is no conflict.
 */
const isConflict = ({ status, message }: { status: number; message: string }): boolean =>
  (status === 409 || status === 422) && readAdmission(message) === null;
