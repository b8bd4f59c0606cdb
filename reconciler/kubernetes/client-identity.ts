/**
 * Proves that the API server knows this client: the TLS connection, and the certificate or token
 * behind it. Runtimes have lost the client certificate on the way (docs/reference/runtime.md#http).
 */
import { X509Certificate } from "node:crypto";
import { parseInstant } from "../../schema/instant.ts";
import type { KubeAnswer, KubeApi } from "./api.ts";
import type { ClientCheck } from "./client-check.ts";
import type { Transport } from "./connect.ts";
import { readList, readObject, readText } from "./read-field.ts";

export type ClientIdentity = Pick<Transport, "server" | "headers" | "tls"> & { wallMs: number };

const CALL_MS = 10_000;
const REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
/** `SHA256` of the client certificate that the server saw (Kubernetes 1.32). */
const CREDENTIAL = "authentication.kubernetes.io/credential-id";

type Answer = { checks: ClientCheck[]; isUsable: boolean };

export async function checkIdentity(api: KubeApi, identity: ClientIdentity): Promise<Answer> {
  const certificate = await readCertificate(identity);
  const name = "name" in certificate ? certificate.name : "credentials";
  if ("problem" in certificate) return stop([say(name, false, certificate.problem)]);
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const answer = await api.call({
    ...{ verb: "create", path: REVIEW, body, timeoutMs: CALL_MS, lane: "read" },
  });
  const { server } = identity;
  if (answer.kind === "lost") return stop([say("tls", false, whyLost(server, answer.message))]);
  const { rejectUnauthorized } = await identity.tls();
  const how = server.startsWith("http:")
    ? "not encrypted"
    : rejectUnauthorized === false
      ? "encrypted; the server's certificate is not verified (insecure-skip-tls-verify)"
      : "the server's certificate is verified";
  const tls = say("tls", !server.startsWith("http:"), `${server}: ${how}`);
  const known = judge(answer, certificate, identity.wallMs);
  return { checks: [tls, say(name, known.isGood, known.message)], isUsable: known.isGood };
}

const stop = (checks: ClientCheck[]): Answer => ({ checks, isUsable: false });
const say = (name: string, isGood: boolean, message: string): ClientCheck => ({
  ...{ name, isGood, message },
});

type Certificate = { name: string; own: X509Certificate | null };

async function readCertificate(
  identity: ClientIdentity,
): Promise<Certificate | { name: string; problem: string }> {
  try {
    const { cert } = await identity.tls();
    const { authorization = null } = await identity.headers();
    if (cert !== undefined) return { name: "client certificate", own: new X509Certificate(cert) };
    if (authorization !== null) return { name: "credentials", own: null };
    const problem = "the kubeconfig's user has no certificate and no token";
    return { name: "credentials", problem };
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    return { name: "credentials", problem };
  }
}

function judge(
  answer: Exclude<KubeAnswer, { kind: "lost" }>,
  { own }: Certificate,
  wallMs: number,
): { isGood: boolean; message: string } {
  const until = own === null ? "" : new Date(own.validTo).toISOString();
  const ends = own === null ? "" : `, valid until ${until}`;
  if (answer.kind === "refused") {
    const isOver = own !== null && parseInstant(until) <= wallMs;
    if (isOver) return { isGood: false, message: `expired at ${until}` };
    const isLost = own !== null && answer.message.includes("system:anonymous");
    if (isLost) return { isGood: false, message: "the server saw no client certificate" };
    // Servers before 1.28 have no such review, and tell strangers 401 or 403.
    if (answer.status === 404) return { isGood: true, message: `accepted${ends}` };
    return { isGood: false, message: `${answer.status} ${answer.message}` };
  }
  const { userInfo } = readObject(readObject(answer.body)["status"]);
  const { username, extra } = readObject(userInfo);
  const user = readText(username) ?? "";
  if (user === "" || user === "system:anonymous") {
    return { isGood: false, message: "the server does not know this client" };
  }
  const [seen] = readList(readObject(extra)[CREDENTIAL]);
  const wanted = `x509sha256=${own?.fingerprint256.replaceAll(":", "").toLowerCase()}`;
  if (own !== null && typeof seen === "string" && seen.toLowerCase() !== wanted) {
    return { isGood: false, message: `the server took another credential: ${user} by ${seen}` };
  }
  return { isGood: true, message: `accepted as ${user}${ends}` };
}

function whyLost(server: string, message: string): string {
  if (/self.signed|unable to (?:verify|get)|UNABLE_TO|unknown authority/i.test(message)) {
    const why = `its certificate is not of the kubeconfig's authority (${message})`;
    return `${server}: ${why}; check certificate-authority in the kubeconfig`;
  }
  return `${server}: ${message}`;
}
