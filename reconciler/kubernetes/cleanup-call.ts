/**
 * The calls of a clean-up and what their answers mean: lease, remaining pods, deletion.
 */
import type { V1Lease, V1LeaseSpec } from "@kubernetes/client-node";
import { readAdmission } from "./admission.ts";
import { deleteOptions } from "./api.ts";
import type { KubeApi } from "./api.ts";
import { CALL_MS, failed, failureOf, nodePath } from "./node-call.ts";
import type { Failed } from "./node-call.ts";
import { LEASE_NAMESPACE } from "./permission.ts";
import { readInstantMs, readList, readObject } from "./read-field.ts";
import { isWorkload, podReader } from "./read-pod.ts";

/** `renewedAt`: wall milliseconds of the kubelet's clock; `null`: never renewed. */
export async function readLease(
  api: KubeApi,
  name: string,
  pool: string | null,
): Promise<{ kind: "lease"; renewedAt: number | null } | { kind: "none" } | Failed> {
  const path =
    `/apis/coordination.k8s.io/v1/namespaces/${LEASE_NAMESPACE}` +
    `/leases/${encodeURIComponent(name)}`;
  const answer = await api.call({ verb: "get", path, timeoutMs: CALL_MS, lane: "read", pool });
  if (answer.kind === "ok") {
    const { renewTime } = readObject<V1LeaseSpec>(readObject<V1Lease>(answer.body).spec);
    return { kind: "lease", renewedAt: readInstantMs(renewTime) };
  }
  const isNone = answer.kind === "refused" && answer.status === 404;
  return isNone ? { kind: "none" } : failed(failureOf(answer));
}

/** One page is enough to know whether there are any. */
const PODS_PAGE = 500;

/**
 * Pods that count as running there; `slurm`: those in which Slurm shows jobs. Mirror pods and pods
 * of DaemonSets, which mostly tolerate every taint, go with the Node; finished pods hold nothing.
 */
export async function countPodsLeft(
  api: KubeApi,
  name: string,
  pool: string | null,
  slinky = true,
): Promise<{ kind: "counted"; pods: number; slurm: number } | Failed> {
  const answer = await api.call({
    verb: "list",
    path: "/api/v1/pods",
    query: { fieldSelector: `spec.nodeName=${name}`, limit: String(PODS_PAGE) },
    timeoutMs: CALL_MS,
    lane: "read",
    pool,
  });
  if (answer.kind !== "ok") return failed(failureOf(answer));
  const read = podReader(slinky);
  const pods = readList(readObject(answer.body)["items"]).flatMap((item) => {
    const pod = read(item);
    return pod !== null && isWorkload(pod) ? [pod] : [];
  });
  const slurm = pods.filter((pod) => pod.slurm?.state === "busy").length;
  return { kind: "counted", pods: pods.length, slurm };
}

/** Also `gone` after 404, and after 409: the UID is another machine's. */
export async function deleteNode(
  api: KubeApi,
  name: string,
  uid: string,
  pool: string | null,
): Promise<{ kind: "gone" } | Failed> {
  const answer = await api.call({
    verb: "delete",
    path: nodePath(name),
    body: deleteOptions(uid),
    timeoutMs: CALL_MS,
    lane: "status",
    pool,
  });
  if (answer.kind === "ok") return { kind: "gone" };
  const isSure = answer.kind === "refused" && readAdmission(answer.message) === null;
  const isOther = isSure && (answer.status === 404 || answer.status === 409);
  return isOther ? { kind: "gone" } : failed(failureOf(answer));
}
