/**
 * Builds the pods of an AgentPool and the requests for them. Pure. A pod is created by POST and not
 * by apply: an apply would change a pod of the same name that belongs to something else.
 */
import { AGENT_POOL, GROUP_LABEL, POOL_MANAGER } from "../../schema/agentpool-resource.ts";
import { WORKER_LABEL } from "../../schema/agentpool-resource.ts";
import type { Worker } from "../../schema/agentpool.ts";
import type { AgentPool, WorkerPod } from "../core/agentpool/model.ts";
import { DOMAIN } from "../core/kubernetes/object.ts";
import { deleteOptions } from "../kubernetes/api.ts";
import type { KubeRequest } from "../kubernetes/api.ts";
import { readList, readObject, readText } from "../kubernetes/read-field.ts";
import type { Fields } from "../kubernetes/read-field.ts";

/** Admission webhooks of a pod have 10 s each by default, 30 s at most. */
const CREATE_MS = 30_000;
const CALL_MS = 10_000;
/** Marks the demand of a workload (`queue.ts`), which a worker is not. */
const DEMAND_LABEL = `${DOMAIN}/pool`;
/** Five letters as a worker's: a name that is too long for it is too long for workers. */
const CHECKED = "check";

type Named = Pick<Worker, "name" | "generation">;

/** The part of a worker's name before its last `-`. */
const baseOf = ({ name, template }: AgentPool): string =>
  readText(readObject(template["metadata"])["name"]) ?? name;

export function podOf(pool: AgentPool, { name, generation }: Named): Fields {
  const metadata = readObject(pool.template["metadata"]);
  const { [DEMAND_LABEL]: _, ...given } = readObject(metadata["labels"]);
  const labels = {
    ...(given[GROUP_LABEL.key] === undefined ? { [GROUP_LABEL.key]: GROUP_LABEL.value } : {}),
    ...given,
    [WORKER_LABEL.pool]: pool.name,
    [WORKER_LABEL.generation]: String(generation),
  };
  const owner = {
    ...{ apiVersion: AGENT_POOL.apiVersion, kind: AGENT_POOL.kind, name: pool.name, uid: pool.uid },
    ...{ controller: true, blockOwnerDeletion: true },
  };
  const kept = ["annotations", "finalizers"].flatMap((key) =>
    metadata[key] === undefined ? [] : [[key, metadata[key]] as const],
  );
  return {
    ...{ apiVersion: "v1", kind: "Pod" },
    metadata: {
      ...Object.fromEntries(kept),
      ...{ name, namespace: pool.namespace, labels, ownerReferences: [owner] },
    },
    spec: pool.template["spec"],
  };
}

/** True if no container of the template asks for a device of NVIDIA's or for a resource claim. */
export function isWithoutGpus({ template }: Pick<AgentPool, "template">): boolean {
  const spec = readObject(template["spec"]);
  if (spec["resourceClaims"] !== undefined) return false;
  const containers = [spec["containers"], spec["initContainers"]].flatMap((list) => readList(list));
  return !containers.some((container) => {
    const { limits, requests } = readObject(readObject(container)["resources"]);
    const names = [...Object.keys(readObject(limits)), ...Object.keys(readObject(requests))];
    return names.some((name) => name.startsWith("nvidia.com/"));
  });
}

/** `null`: of all namespaces. */
export const podsPath = (namespace: string | null): string =>
  `/api/v1${namespace === null ? "" : `/namespaces/${encodeURIComponent(namespace)}`}/pods`;

const podPath = ({ namespace, name }: Pick<WorkerPod, "namespace" | "name">): string =>
  `${podsPath(namespace)}/${encodeURIComponent(name)}`;

export function podCreateRequest(pool: AgentPool, worker: Named): KubeRequest {
  return {
    verb: "create",
    path: podsPath(pool.namespace),
    query: { fieldManager: POOL_MANAGER },
    body: podOf(pool, worker),
    timeoutMs: CREATE_MS,
    lane: "evict",
    pool: pool.name,
  };
}

/** The server judges the pod and stores nothing; `isStrict`: it refuses fields it does not know. */
export function podCheckRequest(pool: AgentPool, { isStrict = false } = {}): KubeRequest {
  const worker = { name: `${baseOf(pool)}-${CHECKED}`, generation: pool.generation };
  const request = podCreateRequest(pool, worker);
  const strict = isStrict ? { fieldValidation: "Strict" } : {};
  return { ...request, query: { ...request.query, dryRun: "All", ...strict } };
}

export const podReadRequest = (pod: Pick<WorkerPod, "namespace" | "name">): KubeRequest => {
  return { verb: "get", path: podPath(pod), timeoutMs: CALL_MS, lane: "read" };
};

/** With the pod's own grace. */
export function podDeleteRequest(
  pod: Pick<WorkerPod, "namespace" | "name" | "uid">,
  pool: string | null,
): KubeRequest {
  return {
    verb: "delete",
    path: podPath(pod),
    body: deleteOptions(pod.uid),
    timeoutMs: CREATE_MS,
    lane: "evict",
    pool,
  };
}
