/**
 * I9 and I10: what a machine may still be running is not ended in the cluster's books, and its Node
 * goes last. Judged by each write at its first byte, by the cloud's own record of the machine under
 * the object and by the lease that its kubelet holds; never by what the product believes.
 */
import type { KubeCall, Observation, Violation } from "../world/observation.ts";

/** A checker that needs nothing of an observation but the writes to the cluster. */
type KubeChecker = { id: string; look(seen: Pick<Observation, "kube">): Violation[] };

/** What a fleet shows of these two that no cluster has been joined by. */
export const VACUOUS: ReadonlyMap<string, string> = new Map([
  ["I9", "this fleet is in no cluster; test/scenario/kubernetes*.test.ts look at every write"],
  ["I10", "this fleet is in no cluster; test/scenario/kubernetes*.test.ts look at every write"],
]);

/** Renewed each 10 s; after 40 s the node controller gives a node up (Kubernetes, "Leases"). */
const LEASE_MS = 40_000;

/** No pod is ended without grace, and none is given up, while its machine may run. */
export function atMostOnce(): KubeChecker {
  return { id: "I9", look: ({ kube }) => kube.flatMap(judgeEnd) };
}

function judgeEnd({ what, name, graceSeconds, outOfService, isLive }: KubeCall): Violation[] {
  if (!isLive) return [];
  const out: Violation[] = [];
  if (graceSeconds !== null && graceSeconds <= 0)
    out.push({ id: "I9", message: `${what} ${name} without grace, and its machine runs` });
  if (outOfService)
    out.push({ id: "I9", message: `Node ${name} out of service, and its machine runs` });
  return out;
}

/** A Node is deleted by its UID, after its machine, and never while its kubelet speaks. */
export function nodeLast(): KubeChecker {
  return { id: "I10", look: ({ kube }) => kube.flatMap(judgeNode) };
}

function judgeNode({ what, name, uid, isLive, leaseAgeMs }: KubeCall): Violation[] {
  if (what !== "delete nodes") return [];
  const out: Violation[] = [];
  if (uid === null) out.push({ id: "I10", message: `Node ${name} deleted whatever its UID` });
  if (isLive) out.push({ id: "I10", message: `Node ${name} deleted, and its machine runs` });
  if (leaseAgeMs !== null && leaseAgeMs < LEASE_MS)
    out.push({
      id: "I10",
      message: `Node ${name} deleted ${leaseAgeMs} ms after its kubelet spoke`,
    });
  return out;
}
