/**
 * Admission that refuses what a test says: an HTTPS webhook on loopback, registered with an API
 * server as a ValidatingWebhookConfiguration, and ValidatingAdmissionPolicies with their bindings.
 *
 * Adapter: the network, on loopback.
 */
import { createServer } from "node:https";
import { text } from "node:stream/consumers";
import { openAuthority } from "./certificate.ts";
import type { Cluster } from "./cluster.ts";

/** What of an AdmissionReview's request a test looks at (admission.k8s.io/v1). */
export type Review = {
  uid: string;
  operation: string;
  resource: { resource: string };
  subResource?: string;
  namespace?: string;
  name: string;
  userInfo: { username: string };
};

/** `http`: the webhook itself answers with this status, and no review. `null` allows. */
export type Refusal =
  | { kind: "deny"; code: number; message: string; reason?: string }
  | { kind: "http"; status: number }
  | null;

export type Rule = { resources: readonly string[]; operations: readonly string[] };

export type Webhook = {
  /** Requests that it saw. */
  readonly seen: readonly Review[];
  set(judge: (review: Review) => Refusal): void;
  /** Takes the registration away and stops. */
  close(): Promise<void>;
};

const GROUPS = "/apis/admissionregistration.k8s.io/v1";

export async function openWebhook(cluster: Cluster, name: string, rule: Rule): Promise<Webhook> {
  const authority = openAuthority("webhook-test", Date.now());
  const own = authority.issue({ name: "webhook", hosts: ["127.0.0.1"] });
  const seen: Review[] = [];
  let judge: (review: Review) => Refusal = () => null;
  const server = createServer({ cert: own.certificate, key: own.key }, (request, response) => {
    void text(request).then((body) => {
      const { request: review } = JSON.parse(body) as { request: Review };
      seen.push(review);
      const refusal = judge(review);
      if (refusal?.kind === "http") {
        response.writeHead(refusal.status).end("broken");
        return;
      }
      const { uid } = review;
      const denied = refusal === null ? {} : { status: { ...refusal, kind: "Status" } };
      const answer = { uid, allowed: refusal === null, ...denied };
      const review1 = { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" };
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify({ ...review1, response: answer }));
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  const path = `${GROUPS}/validatingwebhookconfigurations`;
  await cluster.json(path, {
    method: "POST",
    body: {
      metadata: { name },
      webhooks: [
        {
          name,
          clientConfig: {
            url: `https://127.0.0.1:${address.port}/`,
            caBundle: Buffer.from(authority.certificate).toString("base64"),
          },
          rules: [{ apiGroups: [""], apiVersions: ["v1"], ...rule }],
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
          timeoutSeconds: 2,
        },
      ],
    },
  });
  return {
    seen,
    set: (next) => void (judge = next),
    async close() {
      await cluster.request(`${path}/${name}`, { method: "DELETE" });
      server.closeAllConnections();
      await new Promise<void>((done) => void server.close(() => done()));
    },
  };
}

/** Denies what `expression` (CEL) does not allow; resolves before it is in force. */
export async function addPolicy(
  cluster: Cluster,
  name: string,
  rule: Rule,
  validation: { expression: string; message: string; reason?: string },
): Promise<() => Promise<void>> {
  const constraints = { resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], ...rule }] };
  const policies = `${GROUPS}/validatingadmissionpolicies`;
  const bindings = `${GROUPS}/validatingadmissionpolicybindings`;
  const spec = { matchConstraints: constraints, validations: [validation] };
  await cluster.json(policies, { method: "POST", body: { metadata: { name }, spec } });
  const bound = { policyName: name, validationActions: ["Deny"] };
  await cluster.json(bindings, { method: "POST", body: { metadata: { name }, spec: bound } });
  return async () => {
    await cluster.request(`${bindings}/${name}`, { method: "DELETE" });
    await cluster.request(`${policies}/${name}`, { method: "DELETE" });
  };
}
