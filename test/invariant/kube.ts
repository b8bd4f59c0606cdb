/**
 * I9 and I10: what a machine may still be running is not ended in the cluster's books, and its Node
 * goes last. Judged by each write at its first byte, by the cloud's own record of the machine under
 * the object and by the lease that its kubelet holds; never by what the product believes.
 */
import type { KubeCall, Observation, Violation } from "../world/observation.ts";
import { type JobJudge, jobsFinish, judgeHeld, judgeOwner } from "./slurm.ts";

type Judged = Parameters<JobJudge>[0] & Pick<Observation, "kube">;
/** A checker that needs little of an observation but the writes to the schedulers. */
type SchedulerChecker = { id: string; look(seen: Judged): Violation[] };

/** What the two say of a fleet in neither scheduler. */
export const VACUOUS: ReadonlyMap<string, string> = new Map([
  ["I9", "this fleet is in no scheduler; --sinks slurm, kubernetes or both puts it into one"],
  ["I10", "this fleet is in no scheduler; --sinks slurm, kubernetes or both puts it into one"],
]);

/** Renewed each 10 s; after 40 s the node controller gives a node up (Kubernetes, "Leases"). */
const LEASE_MS = 40_000;

/** While a machine may run, its pods are not ended without grace, and its jobs are not cut off. */
export function atMostOnce(): SchedulerChecker {
  const judgeJobs = jobsFinish();
  return { id: "I9", look: (seen) => [...seen.kube.flatMap(judgeEnd), ...judgeJobs(seen)] };
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
export function nodeLast(): SchedulerChecker {
  return {
    id: "I10",
    look: ({ kube, slurm, calls, config }) => [
      ...kube.flatMap(judgeNode),
      ...slurm.flatMap(judgeOwner),
      ...calls.flatMap((call) => judgeHeld(call, config)),
    ],
  };
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
