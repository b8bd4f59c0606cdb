/**
 * One fenced write on a Node object: read, decide, write, look at what came back. After a lost race
 * all of it again, with jitter and a limit, because the reason for the write may have gone with the
 * race. This is the one retry inside an effect: what it repeats is proven not to have been done.
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
  /** A recent copy: the first try then needs no read. A stale one costs one conflict. */
  cached?: KubeNode | undefined;
};

/** Either it is so already, or a request fenced by the version, and what its answer says. */
export type NodeStep<T> =
  | { kind: "so"; answer: T }
  | { kind: "write"; request: KubeRequest; judge: (after: KubeNode) => T };

/** `decide` is called with the object as it is: once, and again after each lost race. */
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
      // A copy can prove that something must be written, never that nothing must.
      live = await readLive(ports.api, name, uid, pool);
      if (live.kind !== "found") return live;
      step = decide(live.node);
    }
    known = null;
    if (step.kind === "so") return step.answer;
    const { resourceVersion } = live.node;
    // The server takes version 0 as "whatever there is", so it would be no fence.
    if (resourceVersion === "0") return refuse(`Node ${name} has no version`);
    if (resourceVersion === invalidAt) return refuse(conflict);
    const answer = await ports.api.call(step.request);
    if (answer.kind === "ok") {
      const after = readNode(answer.body);
      // An answer that cannot be read proves nothing, either way.
      if (after === null) return { kind: "lost", message: `no Node in the answer about ${name}` };
      return sameObject(after, uid) ?? step.judge(after);
    }
    if (answer.kind !== "refused" || !isConflict(answer)) return failureOf(answer);
    conflict = `${answer.status} ${answer.message}`;
    // What is truly invalid stays so; everything else has a new version to show.
    if (answer.status === 422) invalidAt = resourceVersion;
    if (attempt < RETRIES_MAX) await waitToRetry(ports, attempt);
  }
  return refuse(`Node ${name} changed under each of ${RETRIES_MAX + 1} tries: ${conflict}`);
}

/**
 * 409 is an old version. 422 is a JSON patch whose `test` failed, or another UID under a version
 * that is still right, which the server takes for a change of an immutable field (kube-apiserver
 * 1.37.1, measured). Admission may use both codes, and means no.
 */
const isConflict = ({ status, message }: { status: number; message: string }): boolean =>
  (status === 409 || status === 422) && readAdmission(message) === null;
