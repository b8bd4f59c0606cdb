/**
 * Who may talk to a throw-away cluster and as whom: an administrator, a second person and the
 * product, each with a kubeconfig file, and raw requests as any of them.
 *
 * Adapter: files, network.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Authority } from "./certificate.ts";

export const USERS = ["admin", "human", "product"] as const;
export type User = (typeof USERS)[number];

/** Parts of the cluster have users of their own, so that the audit log tells them apart. */
export const PART_USERS = ["controllers", "scheduler", "kwok"] as const;
type PartUser = (typeof PART_USERS)[number];

/** The product's account, and the role bound to it (docs/reference/kubernetes.md#permissions). */
export const PRODUCT = {
  namespace: "navarch-system",
  name: "navarch",
  role: "navarch-test",
} as const;

export type Rule = {
  apiGroups: readonly string[];
  resources: readonly string[];
  verbs: readonly string[];
};

/** Everywhere; the rule for leases is in `kube-node-lease` only. */
export const PRODUCT_RULES: readonly Rule[] = [
  rule("", "nodes", "get", "list", "watch", "patch", "delete"),
  rule("", "nodes/status", "patch"),
  rule("", "pods", "get", "list", "watch"),
  rule("", "pods/eviction", "create"),
  rule("apps", "daemonsets", "get"),
  rule("policy", "poddisruptionbudgets", "list", "watch"),
  rule("storage.k8s.io", "volumeattachments", "list", "watch"),
  rule("events.k8s.io", "events", "create", "patch"),
  rule("", "events", "patch"),
  rule("authentication.k8s.io", "tokenreviews", "create"),
  rule("", "pods", "delete"),
];

export const LEASE_RULE = rule("coordination.k8s.io", "leases", "get", "list", "watch");

function rule(group: string, resource: string, ...verbs: string[]): Rule {
  return { apiGroups: [group], resources: [resource], verbs };
}

export type Identity = { certificate: string; key: string } | { token: string };

/** Anything but `body` and `headers` is as of `fetch`; a body that is no string is sent as JSON. */
export type Ask = {
  method?: string;
  body?: unknown;
  contentType?: string;
  headers?: Record<string, string>;
  as?: User;
  signal?: AbortSignal;
};

/** One request may take this long; a watch is ended by its own signal. */
const ASK_MS_MAX = 30_000;

export class Access {
  readonly url: string;
  readonly authority: string;
  private readonly folder: string;
  private readonly identities = new Map<User | PartUser, Identity>();

  constructor(folder: string, url: string, authority: Authority) {
    this.folder = folder;
    this.url = url;
    this.authority = authority.certificate;
    const human = { name: "human@example.test", groups: ["people"] };
    this.set("admin", authority.issue({ name: "admin", groups: ["system:masters"] }));
    this.set("human", authority.issue(human));
    for (const part of PART_USERS) {
      this.set(part, authority.issue({ name: `part:${part}`, groups: ["system:masters"] }));
    }
  }

  set(user: User | PartUser, identity: Identity): void {
    this.identities.set(user, identity);
    this.write(user, identity);
  }

  /** A kubeconfig that trusts `ca`; returns its path. */
  write(name: string, identity: Identity, ca = this.authority): string {
    const path = join(this.folder, `${name}.kubeconfig`);
    writeFileSync(path, formatKubeconfig(this.url, ca, name, identity), { mode: 0o600 });
    return path;
  }

  identity(user: User): Identity {
    const identity = this.identities.get(user);
    if (identity === undefined) throw new Error(`this cluster has no ${user}`);
    return identity;
  }

  /** A path; the file is there once the user is. */
  kubeconfig(user: User | PartUser): string {
    return join(this.folder, `${user}.kubeconfig`);
  }

  async request(path: string, ask: Ask = {}): Promise<Response> {
    const identity = this.identity(ask.as ?? "admin");
    const hasBody = ask.body !== undefined;
    const client = "token" in identity ? {} : { cert: identity.certificate, key: identity.key };
    return fetch(`${this.url}${path}`, {
      method: ask.method ?? (hasBody ? "POST" : "GET"),
      headers: {
        Accept: "application/json",
        ...(hasBody ? { "Content-Type": ask.contentType ?? "application/json" } : {}),
        ...("token" in identity ? { Authorization: `Bearer ${identity.token}` } : {}),
        ...ask.headers,
      },
      ...(hasBody
        ? { body: typeof ask.body === "string" ? ask.body : JSON.stringify(ask.body) }
        : {}),
      signal: ask.signal ?? AbortSignal.timeout(ASK_MS_MAX),
      tls: { ca: this.authority, ...client },
    });
  }

  /** The answer's JSON; throws with the server's own words unless the status is 2xx. */
  async json<T = unknown>(path: string, ask: Ask = {}): Promise<T> {
    const answer = await this.request(path, ask);
    const text = await answer.text();
    if (answer.ok) return JSON.parse(text) as T;
    throw new Error(`${ask.method ?? "GET"} ${path}: ${answer.status} ${text.slice(0, 500)}`);
  }

  /** Creates, or leaves what is there. */
  async ensure(path: string, body: unknown): Promise<void> {
    const answer = await this.request(path, { body });
    const text = await answer.text();
    if (answer.ok || answer.status === 409) return;
    throw new Error(`POST ${path}: ${answer.status} ${text.slice(0, 500)}`);
  }
}

/** JSON is YAML; secrets are inside, so that the file can be moved. */
function formatKubeconfig(url: string, ca: string, user: string, identity: Identity): string {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const credentials =
    "token" in identity
      ? { token: identity.token }
      : {
          "client-certificate-data": base64(identity.certificate),
          "client-key-data": base64(identity.key),
        };
  const cluster = { server: url, "certificate-authority-data": base64(ca) };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "navarch-test", cluster }],
    users: [{ name: user, user: credentials }],
    contexts: [{ name: "navarch-test", context: { cluster: "navarch-test", user } }],
    "current-context": "navarch-test",
  });
}

/** The rights of the second person and of the product; after this the product has a token too. */
export async function grantAccess(access: Access, rules: readonly Rule[]): Promise<void> {
  const rbac = "/apis/rbac.authorization.k8s.io/v1";
  const { namespace, name, role } = PRODUCT;
  const account = { kind: "ServiceAccount", namespace, name };
  const person = { kind: "Group", apiGroup: "rbac.authorization.k8s.io", name: "people" };
  await access.ensure("/api/v1/namespaces", { metadata: { name: namespace } });
  const leases = `${rbac}/namespaces/kube-node-lease`;
  await Promise.all([
    access.ensure(`/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name } }),
    access.ensure(`${rbac}/clusterrolebindings`, binding("people", "cluster-admin", person)),
    access.ensure(`${rbac}/clusterroles`, { metadata: { name: role }, rules }),
    access.ensure(`${rbac}/clusterrolebindings`, binding(role, role, account)),
    access.ensure(`${leases}/roles`, { metadata: { name: role }, rules: [LEASE_RULE] }),
    access.ensure(`${leases}/rolebindings`, binding(role, role, account, "Role")),
  ]);
  access.set("product", { token: await requestToken(access) });
}

function binding(name: string, role: string, subject: object, kind = "ClusterRole"): unknown {
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind, name: role };
  return { metadata: { name }, roleRef, subjects: [subject] };
}

/** A fresh token of the product's account; the server grants ten minutes at the least. */
export async function requestToken(access: Access, lifeS = 24 * 3_600): Promise<string> {
  const { namespace, name } = PRODUCT;
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const answer = await access.json<{ status: { token: string } }>(path, {
    body: { spec: { expirationSeconds: lifeS } },
  });
  return answer.status.token;
}
