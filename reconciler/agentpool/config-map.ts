/**
 * The ConfigMaps that a pod's template cannot do without, and which of them are not there: a pod
 * that names a missing one waits for ever, and its own events say so only on its node.
 */
import type { V1Container, V1PodSpec, V1Volume } from "@kubernetes/client-node";
import type { AgentPool } from "../core/agentpool/model.ts";
import type { KubeApi } from "../kubernetes/api.ts";
import { readList, readObject, readText } from "../kubernetes/read-field.ts";
import { isNotFound } from "./pod-call.ts";

/** A template names one or two; the bound keeps a list of thousands from being asked for. */
const NAMES_MAX = 16;
const CALL_MS = 10_000;

/** Names of ConfigMaps, each once. Those that are optional are left out. */
export function configMapsOf({ template }: Pick<AgentPool, "template">): string[] {
  const spec = readObject<V1PodSpec>(template["spec"]);
  const containers = [...readList(spec.initContainers), ...readList(spec.containers)];
  const refs = [
    ...readList(spec.volumes).flatMap(refsOfVolume),
    ...containers.flatMap(refsOfContainer),
  ];
  const names = refs.flatMap((raw) => {
    const { name, optional } = readObject(raw);
    return optional === true ? [] : (readText(name) ?? []);
  });
  return [...new Set(names)].slice(0, NAMES_MAX);
}

function refsOfVolume(raw: unknown): unknown[] {
  const { configMap, projected } = readObject<V1Volume>(raw);
  const sources = readList(readObject(projected)["sources"]);
  return [configMap, ...sources.map((one) => readObject(one)["configMap"])];
}

function refsOfContainer(raw: unknown): unknown[] {
  const { env, envFrom } = readObject<V1Container>(raw);
  const keys = readList(env).map((one) => {
    return readObject(readObject(readObject(one)["valueFrom"]))["configMapKeyRef"];
  });
  return [...keys, ...readList(envFrom).map((one) => readObject(one)["configMapRef"])];
}

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
  for (const name of configMapsOf(pool)) {
    const place = `/api/v1/namespaces/${encodeURIComponent(pool.namespace)}/configmaps`;
    const path = `${place}/${encodeURIComponent(name)}`;
    const answer = await api.call({ verb: "get", path, timeoutMs: CALL_MS, lane: "read" });
    if (answer.kind === "ok") continue;
    if (answer.kind === "refused" && isNotFound(answer)) sight.missing.push(name);
    else sight.unknown ??= `ConfigMap ${name}: ${answer.message}`;
  }
  return sight;
}
