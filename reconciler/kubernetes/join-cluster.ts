/**
 * Finds the server address and CA hash for a machine that joins: from the configuration, else from
 * `kube-public/cluster-info` (kubeadm, "Join workflow"), else our own connection if machines can
 * use it. Pure except for one request.
 */
import { createHash, X509Certificate } from "node:crypto";
import { parse } from "yaml";
import type { KubeApi } from "./api.ts";
import { explainForbidden } from "./permission.ts";
import { readList, readObject, readText } from "./read-field.ts";
import { serverOf } from "../core/address.ts";
import type { Hindered } from "../core/kubernetes/scheduler.ts";
import { isLoopback } from "../../schema/loopback.ts";

/** This process's own connection to the cluster. */
export type OwnWay = {
  /** URL, as in the kubeconfig. */
  server: string;
  /** Uses a pod's service account, whose server address only pods can reach. */
  isInCluster: boolean;
  /** PEM; `null`: unknown. */
  ca: string | null;
};

/** `server`: `https://host:port`. `caHash`: as kubeadm pins it. */
export type JoinCluster = { server: string; caHash: string };

const TIMEOUT_MS = 10_000;
/** A bundle of several authorities is some ten KiB. */
const KUBECONFIG_CHARS_MAX = 1_048_576;
const INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

export async function findJoinCluster(
  api: KubeApi,
  configured: string | null,
  own: OwnWay,
): Promise<({ kind: "ok" } & JoinCluster) | Hindered> {
  const info = await readInfo(api);
  if (info.kind === "hindered") return info;
  const server = serverOf(configured) ?? serverOf(info.server) ?? reachable(own);
  if (server === null) {
    return hindered(
      "no address of the API server is known that a machine could dial: set " +
        `kubernetes.join.server (${info.why ?? "cluster-info names none"})`,
    );
  }
  const caHash = hashOf(info.ca) ?? hashOf(own.ca);
  if (caHash === null) {
    return hindered(
      "the cluster's certificate authority is not known: neither cluster-info in kube-public " +
        `(${info.why ?? "it has none"}) nor the kubeconfig has a certificate that can be read`,
    );
  }
  return { kind: "ok", server, caHash };
}

const hindered = (message: string): Hindered => ({ kind: "hindered", message });

type Info = { kind: "ok"; server: string | null; ca: string | null; why: string | null };

/** What `cluster-info` contains; `why`: the reason if it is permanently unavailable. */
async function readInfo(api: KubeApi): Promise<Info | Hindered> {
  const answer = await api.call({ verb: "get", path: INFO, timeoutMs: TIMEOUT_MS, lane: "read" });
  if (answer.kind === "lost") return hindered(`the API server is away: ${answer.message}`);
  const none = (why: string): Info => ({ kind: "ok", server: null, ca: null, why });
  if (answer.kind === "refused") {
    if (answer.status === 404) return none("there is no ConfigMap cluster-info in kube-public");
    const forbidden = explainForbidden(answer);
    if (forbidden !== null) return none(forbidden);
    return hindered(`the API server refused cluster-info: ${answer.status} ${answer.message}`);
  }
  const data = readObject(readObject(answer.body)["data"]);
  const cluster = clusterOf(readText(data["kubeconfig"], KUBECONFIG_CHARS_MAX));
  if (cluster === null) return none("cluster-info in kube-public holds no kubeconfig");
  const encoded = readText(cluster["certificate-authority-data"], KUBECONFIG_CHARS_MAX);
  const ca = encoded === null ? null : Buffer.from(encoded, "base64").toString("utf8");
  return { kind: "ok", server: readText(cluster["server"]), ca, why: null };
}

/** The first cluster of that kubeconfig, which has no users and no contexts. */
function clusterOf(text: string | null): Readonly<Record<string, unknown>> | null {
  if (text === null) return null;
  try {
    const file = readObject(parse(text, { maxAliasCount: 0, logLevel: "silent" }));
    const [first] = readList(file["clusters"]);
    return first === undefined ? null : readObject(readObject(first)["cluster"]);
  } catch {
    return null; // Written by hand and unreadable: treated as absent.
  }
}

/** Other machines cannot use a pod's, a loopback or a Service address. */
function reachable({ server, isInCluster }: OwnWay): string | null {
  const found = isInCluster ? null : serverOf(server);
  if (found === null) return null;
  const { hostname } = new URL(found);
  const isService = /^kubernetes(?:\.|$)|\.svc(?:\.|$)/.test(hostname);
  return isLoopback(hostname) || isService ? null : found;
}

/** Hash of the first certificate's public key, as in kubeadm (RFC 7469 pins the same bytes). */
function hashOf(pem: string | null): string | null {
  if (pem === null) return null;
  try {
    const key = new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" });
    return `sha256:${createHash("sha256").update(key).digest("hex")}`;
  } catch {
    return null; // Not a certificate: the caller reports it.
  }
}
