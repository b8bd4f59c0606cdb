/**
 * Which of the ConfigMaps that a pool's template cannot do without are not there, for `doctor`; the
 * control plane asks by itself while pods wait (`missing-map.ts`).
 */
import type { AgentPool } from "../core/agentpool/model.ts";
import type { KubeApi } from "../kubernetes/api.ts";
import { readObject, readText } from "../kubernetes/read-field.ts";
import { mapsOf } from "./missing-map.ts";
import { isNotFound } from "./pod-call.ts";

/** A template names one or two; the bound keeps a list of thousands from being asked for. */
const NAMES_MAX = 16;
const CALL_MS = 10_000;

export type ConfigMapSight = {
  missing: string[];
  /** Why it is not known of the others; `null` if it is. */
  unknown: string | null;
  /** Those whose `velda.yaml` sends its workers over plain http, and where to. */
  plain: { name: string; address: string }[];
  /** `broker.address` of each that has one. */
  addresses: { name: string; address: string }[];
};

/** Files of such a ConfigMap: an authority beside the settings means https. */
const SETTINGS = "velda.yaml";
const AUTHORITY = "ca.crt";

export async function lookForConfigMaps(
  api: KubeApi,
  pool: Pick<AgentPool, "namespace" | "template">,
): Promise<ConfigMapSight> {
  const sight: ConfigMapSight = { missing: [], unknown: null, plain: [], addresses: [] };
  for (const name of mapsOf(pool.template).slice(0, NAMES_MAX)) {
    const place = `/api/v1/namespaces/${encodeURIComponent(pool.namespace)}/configmaps`;
    const path = `${place}/${encodeURIComponent(name)}`;
    const answer = await api.call({ verb: "get", path, timeoutMs: CALL_MS, lane: "read" });
    if (answer.kind === "ok") {
      const { address, isPlain } = addressOf(answer.body);
      if (address !== null) sight.addresses.push({ name, address });
      if (address !== null && isPlain) sight.plain.push({ name, address });
      continue;
    }
    if (answer.kind === "refused" && isNotFound(answer)) sight.missing.push(name);
    else sight.unknown ??= `ConfigMap ${name}: ${answer.message}`;
  }
  return sight;
}

/** `broker.address`; `isPlain`: nothing in the ConfigMap makes the connection to it encrypted. */
function addressOf(map: unknown): { address: string | null; isPlain: boolean } {
  const data = readObject(readObject(map)["data"]);
  const text = readText(data[SETTINGS]);
  if (text === null) return { address: null, isPlain: false };
  try {
    const file = readObject(Bun.YAML.parse(text));
    const hasProof = readText(readObject(file["daemon_config"])["mtls_client_cert_path"]) !== null;
    const address = readText(readObject(file["broker"])["address"]);
    return { address, isPlain: !hasProof && !(AUTHORITY in data) };
  } catch {
    // The agent names what is wrong with its file.
    return { address: null, isPlain: false };
  }
}
