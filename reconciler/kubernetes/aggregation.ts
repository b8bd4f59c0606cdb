/**
 * What a server behind the API server's aggregation layer reads of the cluster: by which
 * certificate it knows the front proxy (Kubernetes, "Configure the Aggregation Layer"), the pods of
 * a workload, and its own APIService, into which it writes the authority of its certificate.
 */
import type { V1APIService, V1APIServiceSpec, V1ConfigMap, V1Pod } from "@kubernetes/client-node";
import type { MetricPod } from "../core/console/custom-metric.ts";
import { type KubeApi, type KubeAnswer, PATCH } from "./api.ts";
import { readList as readAll } from "./call.ts";
import { readIdentity, readObject, readText } from "./read-field.ts";

const CALL_MS = 5_000;
const FROM = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
const API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta2.custom.metrics.k8s.io";
const PEM_CHARS_MAX = 1_048_576;

export type FrontProxy = {
  /** Authorities of its certificate, PEM. */
  ca: string;
  /** Its common names; empty = any name under that authority. */
  names: readonly string[];
  /** Headers that name the user, in lower case. */
  userHeaders: readonly string[];
};

/** Throws with the reason if the cluster does not tell. */
export async function readFrontProxy(api: KubeApi): Promise<FrontProxy> {
  const answer = await api.call({ verb: "get", path: FROM, timeoutMs: CALL_MS, lane: "read" });
  if (answer.kind !== "ok") throw new Error(whyNot(answer));
  const data = readObject(readObject<V1ConfigMap>(answer.body).data);
  const ca = readText(data["requestheader-client-ca-file"], PEM_CHARS_MAX);
  const names = listIn(data["requestheader-allowed-names"]);
  const headers = listIn(data["requestheader-username-headers"]);
  // Doubt opens no door: what cannot be read is not an empty list, which allows every name.
  if (ca === null || names === null || headers === null || headers.length === 0) {
    throw new Error("extension-apiserver-authentication has no front proxy (--requestheader-…)");
  }
  return { ca, names, userHeaders: headers.map((one) => one.toLowerCase()) };
}

/** A JSON list of texts in a text; `null` if it is none. */
function listIn(value: unknown): string[] | null {
  try {
    const list: unknown = JSON.parse(readText(value, PEM_CHARS_MAX) ?? "");
    const isTexts = Array.isArray(list) && list.every((one) => typeof one === "string");
    return isTexts ? (list as string[]) : null;
  } catch {
    return null;
  }
}

const whyNot = (answer: Exclude<KubeAnswer, { kind: "ok" }>): string =>
  answer.kind === "lost" ? answer.message : `${answer.status} ${answer.message}`;

export async function listMetricPods(
  api: KubeApi,
  namespace: string,
  labelSelector: string,
): Promise<
  { kind: "ok"; pods: MetricPod[] } | { kind: "failed"; status: number; message: string }
> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`;
  const query = labelSelector === "" ? {} : { labelSelector };
  const answer = await readAll(api, path, query, { timeoutMs: CALL_MS, read: readPod });
  if (answer.kind === "ok") return { kind: "ok", pods: answer.items };
  const isBad = answer.kind === "refused" && answer.status === 400;
  return { kind: "failed", status: isBad ? 400 : 503, message: `pods: ${whyNot(answer)}` };
}

function readPod(json: unknown): MetricPod | null {
  const object = readObject<V1Pod>(json);
  const metadata = readObject(object.metadata);
  const identity = readIdentity(metadata);
  if (identity === null) return null;
  const phase = readText(readObject(object.status)["phase"]) ?? "Unknown";
  const isDeleting = readText(metadata["deletionTimestamp"]) !== null;
  return { name: identity.name, phase, isDeleting };
}

/**
 * Puts the authority into the APIService, if that names our Service: another one's is left alone.
 * Throws with the reason if it cannot.
 */
export async function keepAuthority(
  api: KubeApi,
  service: { namespace: string; name: string },
  ca: string,
): Promise<"kept" | "written"> {
  const path = API_SERVICE;
  const answer = await api.call({ verb: "get", path, timeoutMs: CALL_MS, lane: "read" });
  if (answer.kind !== "ok") throw new Error(`APIService: ${whyNot(answer)}`);
  const object = readObject<V1APIService>(answer.body);
  const spec = readObject<V1APIServiceSpec>(object.spec);
  const own = readObject(spec.service);
  const [namespace, name] = [readText(own["namespace"]) ?? "", readText(own["name"]) ?? ""];
  if (namespace !== service.namespace || name !== service.name) {
    throw new Error(`APIService: it belongs to the Service ${namespace}/${name}`);
  }
  const caBundle = Buffer.from(ca).toString("base64");
  if (spec.caBundle === caBundle) return "kept";
  const { resourceVersion } = readObject(object.metadata);
  const patched = await api.call({
    ...{ verb: "patch", path, contentType: PATCH.json, timeoutMs: CALL_MS, lane: "status" },
    body: [
      { op: "test", path: "/metadata/resourceVersion", value: resourceVersion },
      { op: "add", path: "/spec/caBundle", value: caBundle },
    ],
  });
  if (patched.kind !== "ok") throw new Error(`APIService: ${whyNot(patched)}`);
  return "written";
}
