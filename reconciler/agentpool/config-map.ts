/**
 * Which of the ConfigMaps that a pool's template cannot do without are not there, for `doctor`; the
 * control plane asks by itself while pods wait (`missing-map.ts`).
 */
import type { AgentPool } from "../core/agentpool/model.ts";
import type { KubeApi } from "../kubernetes/api.ts";
import { mapsOf } from "./missing-map.ts";
import { isNotFound } from "./pod-call.ts";

/** A template names one or two; the bound keeps a list of thousands from being asked for. */
const NAMES_MAX = 16;
const CALL_MS = 10_000;

export type ConfigMapSight = {
  missing: string[];
  /** Why it is not known of the others; `null` if it is. */
  unknown: string | null;
};

export async function lookForConfigMaps(
  api: KubeApi,
  pool: Pick<AgentPool, "namespace" | "template">,
): Promise<ConfigMapSight> {
  const sight: ConfigMapSight = { missing: [], unknown: null };
  for (const name of mapsOf(pool.template).slice(0, NAMES_MAX)) {
    const place = `/api/v1/namespaces/${encodeURIComponent(pool.namespace)}/configmaps`;
    const path = `${place}/${encodeURIComponent(name)}`;
    const answer = await api.call({ verb: "get", path, timeoutMs: CALL_MS, lane: "read" });
    if (answer.kind === "ok") continue;
    if (answer.kind === "refused" && isNotFound(answer)) sight.missing.push(name);
    else sight.unknown ??= `ConfigMap ${name}: ${answer.message}`;
  }
  return sight;
}
