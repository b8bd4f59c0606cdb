/**
 * Adds our finalizer to an AgentPool, or removes it: a JSON patch that tests UID and version, so
 * that neither another object of this name nor another's finalizer is changed.
 */
import { POOL_FINALIZER, POOL_MANAGER } from "../../schema/agentpool-resource.ts";
import type { AgentPool, DeleteAnswer } from "../core/agentpool/model.ts";
import type { Clock } from "../core/clock.ts";
import { PATCH } from "../kubernetes/api.ts";
import type { KubeApi, KubeRequest } from "../kubernetes/api.ts";
import { CALL_MS } from "../kubernetes/node-call.ts";
import { callSoon, failure, isNotFound } from "./pod-call.ts";
import { readPool } from "./read-pool.ts";
import type { HeldPool } from "./read-pool.ts";
import { poolPath } from "./status-body.ts";

export type HoldPorts = {
  api: KubeApi;
  clock: Clock;
  held: (pool: AgentPool) => HeldPool | undefined;
  seen: (pool: HeldPool) => void;
};

/** A lost race: another writer changed the object between our read and our patch. */
const RETRIES_MAX = 3;

/** Exported for its test. */
export function holdRequest(pool: HeldPool, isHeld: boolean): KubeRequest {
  const at = pool.finalizers.indexOf(POOL_FINALIZER);
  const list = "/metadata/finalizers";
  const change = isHeld
    ? pool.finalizers.length === 0
      ? [{ op: "add", path: list, value: [POOL_FINALIZER] }]
      : [{ op: "add", path: `${list}/-`, value: POOL_FINALIZER }]
    : [
        { op: "test", path: `${list}/${at}`, value: POOL_FINALIZER },
        { op: "remove", path: `${list}/${at}` },
      ];
  return {
    verb: "patch",
    path: poolPath(pool),
    query: { fieldManager: POOL_MANAGER },
    contentType: PATCH.json,
    body: [
      { op: "test", path: "/metadata/uid", value: pool.uid },
      { op: "test", path: "/metadata/resourceVersion", value: pool.resourceVersion },
      ...change,
    ],
    timeoutMs: CALL_MS,
    lane: "status",
    pool: pool.name,
  };
}

export async function holdPool(
  ports: HoldPorts,
  pool: AgentPool,
  isHeld: boolean,
): Promise<DeleteAnswer> {
  let live = ports.held(pool);
  for (let tries = 0; ; tries += 1) {
    if (live === undefined) {
      const read = await readLive(ports, pool);
      if (read === "gone") return isHeld ? gone(pool) : { kind: "ok" };
      if ("kind" in read) return read;
      live = read;
    }
    if (live.hasFinalizer === isHeld) return { kind: "ok" };
    // The server refuses a new finalizer on an object that is being deleted.
    if (isHeld && live.isDeleting) return gone(pool);
    const answer = await callSoon(ports, holdRequest(live, isHeld));
    if (answer.kind === "ok") {
      const after = readPool(answer.body);
      if (after !== null) ports.seen(after);
      return { kind: "ok" };
    }
    const isRace = answer.kind === "refused" && [404, 409, 422].includes(answer.status);
    if (!isRace || tries >= RETRIES_MAX) return failure(answer);
    live = undefined;
  }
}

const gone = ({ key }: AgentPool): DeleteAnswer => {
  return { kind: "refused", message: `AgentPool ${key} is gone or being deleted` };
};

async function readLive(
  { api }: HoldPorts,
  pool: AgentPool,
): Promise<HeldPool | "gone" | DeleteAnswer> {
  const path = poolPath(pool);
  const answer = await api.call({ verb: "get", path, timeoutMs: CALL_MS, lane: "read" });
  if (answer.kind !== "ok") {
    const isMissing = answer.kind === "refused" && isNotFound(answer);
    return isMissing ? "gone" : failure(answer);
  }
  const live = readPool(answer.body);
  return live?.uid === pool.uid ? live : "gone";
}
