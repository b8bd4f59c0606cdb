/**
 * Builds the `status` of an AgentPool and the request that writes it: server-side apply on the
 * subresource, so that neither `spec` nor what others write can change. Pure.
 */
import { AGENT_POOL, POOL_MANAGER } from "../../schema/agentpool-resource.ts";
import type { AgentPool, Condition, PoolStatus } from "../core/agentpool/model.ts";
import { PATCH } from "../kubernetes/api.ts";
import type { KubeRequest } from "../kubernetes/api.ts";
import { bounded, CALL_MS } from "../kubernetes/node-call.ts";
import { readList, readObject, readText } from "../kubernetes/read-field.ts";
import type { Fields } from "../kubernetes/read-field.ts";

/** Of a condition's message (`metav1.Condition`: 32,768); an unbounded one would fill etcd. */
const MESSAGE_BYTES_MAX = 1_024;

const GROUP_PATH = `/apis/${AGENT_POOL.apiVersion}`;

/** `null`: of all namespaces. */
export const poolsPath = (namespace: string | null): string => {
  const place = namespace === null ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${GROUP_PATH}${place}/${AGENT_POOL.plural}`;
};

export const poolPath = ({ namespace, name }: Pick<AgentPool, "namespace" | "name">): string =>
  `${poolsPath(namespace)}/${encodeURIComponent(name)}`;

/** `before`: what is shown now, whose conditions keep their time while their status stays. */
export function statusBody(
  pool: AgentPool,
  status: PoolStatus,
  before: Fields,
  nowMs: number,
): Fields {
  const { size, idleSlots, queuedClaims, effectiveMaxIdle, lastAllocationError } = status;
  const error = lastAllocationError;
  return {
    observedGeneration: pool.generation,
    ...{ size, idleSlots, queuedClaims },
    // A column of `kubectl get ap -o wide` whose number is missing is blank.
    workers: { Pending: 0, Idle: 0, Running: 0, ...status.workers },
    effective: { maxIdle: effectiveMaxIdle },
    ...(error === null
      ? {}
      : {
          lastAllocationError: {
            reason: error.reason,
            message: bounded(error.message, MESSAGE_BYTES_MAX),
            at: instant(error.at),
          },
        }),
    conditions: status.conditions.map((one) => conditionOf(one, before, nowMs)),
  };
}

function conditionOf({ type, status, reason, message }: Condition, before: Fields, now: number) {
  const known = readList(before["conditions"])
    .map((raw) => readObject(raw))
    .find((one) => one["type"] === type && one["status"] === status);
  return {
    ...{ type, status, reason, message: bounded(message, MESSAGE_BYTES_MAX) },
    lastTransitionTime: readText(known?.["lastTransitionTime"]) ?? instant(now),
  };
}

/** `metav1.Time` has whole seconds. */
function instant(ms: number): string {
  const isKnown = Number.isFinite(ms) && Math.abs(ms) <= 8.64e15;
  return `${new Date(isKnown ? ms : 0).toISOString().slice(0, 19)}Z`;
}

/**
 * Of this version only: the server ignores a UID here (docs/reference/agentpool.md#status), and an
 * object of another UID has another version. Forced: no other program writes this status.
 */
export function statusRequest(pool: AgentPool, status: Fields): KubeRequest {
  const { namespace, name, resourceVersion } = pool;
  return {
    verb: "patch",
    path: `${poolPath(pool)}/status`,
    query: { fieldManager: POOL_MANAGER, force: "true" },
    contentType: PATCH.apply,
    body: {
      ...{ apiVersion: AGENT_POOL.apiVersion, kind: AGENT_POOL.kind },
      metadata: { name, namespace, resourceVersion },
      status,
    },
    timeoutMs: CALL_MS,
    lane: "status",
    pool: name,
  };
}
