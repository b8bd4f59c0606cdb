/**
 * The shipped role, on a real API server and from the compiled binary: a whole replacement needs
 * nothing outside it, each rule that is taken away is named by `navarch doctor kubernetes`, and an
 * account without any role is a control plane that works without the cluster.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { injectXid } from "../../fixture/cloud/inject.ts";
import type { InstanceId } from "../../../schema/id.ts";
import type { NodeView } from "../../../schema/api.ts";
import { buildStale, Plane, until } from "../../fixture/plane/plane.ts";
import { PRODUCT, type Rule } from "./access.ts";
import { whyNoCluster } from "./binary.ts";
import { type AuditEntry, type Cluster, openCluster } from "./cluster.ts";
import { isProduct, Joined } from "./joined.ts";
import { navarch, navarchJson, podsOn } from "./navarch.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: the shipped role on a real API server: ${missing}`);

type Role = { kind: string; metadata: { name: string; namespace?: string }; rules: Rule[] };
type Binding = { kind: string; metadata: { name: string }; subjects: unknown[] };

const ROLE_FILE = join(import.meta.dir, "../../../deploy/11-role.yaml");
const DOCUMENTS = parseAllDocuments(readFileSync(ROLE_FILE, "utf8")).map(
  (one) => one.toJS() as Role | Binding,
);
const ROLES = DOCUMENTS.filter((one): one is Role => "rules" in one);
const BINDINGS = DOCUMENTS.filter((one): one is Binding => "subjects" in one);

/** One verb on one resource, as `doctor` prints it. */
type Grant = { role: Role; verb: string; resource: string; group: string; printed: string };

const GRANTS: Grant[] = ROLES.flatMap((role) =>
  role.rules.flatMap(({ apiGroups, resources, verbs }) =>
    verbs.map((verb) => {
      const [group = "", resource = ""] = [apiGroups[0], resources[0]];
      const { namespace } = role.metadata;
      const place = namespace === undefined ? "" : ` in namespace ${namespace}`;
      const printed = `${verb} ${resource}${group === "" ? "" : `.${group}`}${place}`;
      return { role, verb, resource, group, printed };
    }),
  ),
);

let cluster: Cluster;
let joined: Joined;

async function apply(...objects: unknown[]): Promise<void> {
  const stdin = objects.map((one) => JSON.stringify(one)).join("\n---\n");
  const done = await cluster.kubectlWith({ user: "admin", stdin }, "apply", "-f", "-");
  expect(done).toMatchObject({ code: 0, err: "" });
}

/** The harness's own rules go, and the shipped file is bound to the product's account instead. */
async function ship(): Promise<void> {
  const { role } = PRODUCT;
  const leases = ["-n", "kube-node-lease"];
  for (const words of [
    ["clusterrolebinding", role],
    ["clusterrole", role],
    [...leases, "rolebinding", role],
    [...leases, "role", role],
  ]) {
    const done = await cluster.kubectl("delete", ...words);
    expect(done).toMatchObject({ code: 0, err: "" });
  }
  await apply(...ROLES);
  await bind();
}

async function bind(): Promise<void> {
  const { namespace, name } = PRODUCT;
  const subjects = [{ kind: "ServiceAccount", namespace, name }];
  await apply(...BINDINGS.map((one) => ({ ...one, subjects })));
}

async function unbind(): Promise<void> {
  for (const one of BINDINGS) {
    const place = one.kind === "RoleBinding" ? ["-n", "kube-node-lease"] : [];
    await cluster.kubectl("delete", one.kind, one.metadata.name, ...place);
  }
}

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
  await ship();
}, 300_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await joined?.close()).toEqual([]);
  expect(await cluster.close()).toEqual([]);
}, 60_000);

const container = { name: "c", image: "i" };
const template = {
  metadata: { labels: { app: "work" } },
  spec: { terminationGracePeriodSeconds: 1, containers: [container] },
};
const selector = { matchLabels: { app: "work" } };

/** Everything that a drain asks about: a budget, a DaemonSet, owned pods. */
const WORK = [
  {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "work", namespace: "default" },
    spec: { replicas: 4, selector, template },
  },
  {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { name: "work", namespace: "default" },
    spec: { maxUnavailable: 1, selector },
  },
  {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { name: "ds", namespace: "default" },
    spec: {
      selector: { matchLabels: { app: "ds" } },
      template: { ...template, metadata: { labels: { app: "ds" } } },
    },
  },
];

async function replace(plane: Plane, sick: NodeView): Promise<void> {
  const message = "Xid 79 for a test";
  injectXid(plane.cloudDir, (sick.instance_id ?? "") as InstanceId, { xid: 79, message });
  await until("replaced", 60_000, async () => {
    const events = await plane.events(`&node=${sick.node_id}`);
    return events.some(({ kind }) => kind === "node.replaced") ? true : null;
  });
}

const askedOf = ({ verb, objectRef }: AuditEntry): string => {
  const { resource = "", subresource, apiGroup = "", namespace } = objectRef ?? {};
  const whole = subresource === undefined ? resource : `${resource}/${subresource}`;
  const place = resource === "leases" ? ` in namespace ${namespace}` : "";
  return `${verb} ${whole}${apiGroup === "" ? "" : `.${apiGroup}`}${place}`;
};

describe.skipIf(missing !== null)("the shipped role", () => {
  test("a whole replacement needs nothing outside it", async () => {
    joined = new Joined(cluster, { size: 2 });
    const [sick] = await joined.start(2);
    if (sick === undefined) throw new Error("no node");
    await apply(...WORK);
    const name = sick.kubernetes_node ?? "";
    await until("pods run there", 30_000, async () => {
      const pods = await podsOn(cluster, name);
      return pods.filter(({ status }) => status?.phase === "Running").length >= 3 ? true : null;
    });
    await replace(joined.plane, sick);
    await until("its Node is removed", 60_000, async () =>
      (await joined.node(name)) === null ? true : null,
    );
    const entries = joined.asked();
    const allowed = new Set(GRANTS.map(({ printed }) => printed));
    // Any account may ask what it may do.
    allowed.add("create selfsubjectaccessreviews.authorization.k8s.io");
    const used = new Set(entries.map(askedOf));
    expect([...used].filter((one) => !allowed.has(one))).toEqual([]);
    expect(entries.filter(({ responseStatus }) => responseStatus?.code === 403)).toEqual([]);
    for (const one of ["patch nodes", "delete nodes", "patch nodes/status", "create pods/eviction"])
      expect([...used]).toContain(one);
    const idle = [...allowed].filter((one) => !used.has(one));
    if (process.env["TELL"] === "1") console.log("granted and not used:", idle);
  }, 120_000);

  test("doctor: nothing is missing", async () => {
    const { code, out } = await navarch(joined.plane, "doctor", "kubernetes");
    expect(out).toContain("all that are needed are granted");
    expect(code).toBe(0);
  });

  test("doctor names the one rule that was taken away, whichever it is", async () => {
    expect(GRANTS.length).toBeGreaterThan(15);
    for (const grant of GRANTS) {
      await apply(without(grant));
      const found = await until(`doctor misses ${grant.printed}`, 10_000, async () => {
        const failed = await failures(joined.plane);
        return failed.length > 0 ? failed : null;
      });
      expect(found.map(({ check }) => check)).toEqual(["permission"]);
      expect(found[0]?.message).toStartWith(`${grant.printed} (`);
      expect(found[0]?.advice).toContain("add this one to its role");
      if (grant.verb === "patch") await navarch(joined.plane, "doctor", "kubernetes");
      await apply(grant.role);
      await until("it is granted again", 10_000, async () =>
        (await failures(joined.plane)).length === 0 ? true : null,
      );
    }
  }, 120_000);
});

describe.skipIf(missing !== null)("a role that is bound to nobody any more", () => {
  test("doctor asks for the binding in one row, and says why no cordon is accepted", async () => {
    const { plane } = joined;
    const [sick] = await plane.serving();
    const name = sick?.kubernetes_node ?? "";
    await unbind();
    const account = `system:serviceaccount:${PRODUCT.namespace}:${PRODUCT.name}`;
    const message = "Xid 79 for a test";
    injectXid(plane.cloudDir, (sick?.instance_id ?? "") as InstanceId, { xid: 79, message });
    const found = await until("the cordon is refused", 40_000, async () => {
      const failed = await failures(plane);
      return failed.some(({ check }) => check === "cordon refused") ? failed : null;
    });
    const rights = found.filter(({ check }) => check === "permissions" || check === "permission");
    expect(rights).toMatchObject([
      { check: "permissions", message: `${account} has no permission at all` },
    ]);
    expect(rights[0]?.advice).toContain("ClusterRoleBinding");
    expect(found.filter(({ check }) => check === "forbidden")).toEqual([]);
    const refused = found.find(({ check }) => check === "cordon refused");
    expect(refused?.message).toContain(`cordon of Node ${name} (`);
    expect(refused?.message).toContain(`forbidden: ${account} may not patch nodes (cordons,`);
    expect(refused?.advice).toContain("grant the control plane's account this permission");
    await bind();
    await until("it is cordoned", 90_000, async () => {
      const node = await joined.node(name);
      return node === null || node.spec.unschedulable === true ? true : null;
    });
  }, 180_000);
});

function without({ role, verb, resource, group }: Grant): Role {
  const rules = role.rules.map((rule) =>
    rule.resources[0] === resource && rule.apiGroups[0] === group
      ? { ...rule, verbs: rule.verbs.filter((one) => one !== verb) }
      : rule,
  );
  return { ...role, rules: rules.filter(({ verbs }) => verbs.length > 0) };
}

type Diagnosis = { check: string; outcome: string; message: string; advice: string };

async function failures(plane: Plane): Promise<Diagnosis[]> {
  const { code, out } = await navarch(plane, "doctor", "kubernetes", "-o", "json");
  const failed = (JSON.parse(out) as Diagnosis[]).filter(({ outcome }) => outcome === "fail");
  expect(code).toBe(failed.length === 0 ? 0 : 1);
  return failed;
}

const BARE = `
server:
  address: 127.0.0.1:0
  heartbeat_interval: 500ms
  heartbeat_timeout: 4s
  health_check_interval: 1s
providers:
  fake: { gpu_count: 8, boot_delay: 300ms, terminate_delay: 300ms }
pools:
  - name: gpus
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 2, max_nodes: 4 }
    health: { unhealthy_threshold: 1 }
    drain: { unknown_wait: 1s }
`;

describe.skipIf(missing !== null)("an account without any role", () => {
  const WATCHED_MS = 20_000;

  test("the control plane works without the cluster, says why, and asks seldom", async () => {
    await joined.close();
    await unbind();
    const before = asked().length;
    const startedMs = performance.now();
    const plane = new Plane(BARE, { KUBECONFIG: cluster.kubeconfig("product") });
    try {
      await plane.start();
      const [sick] = await plane.waitServing(2);
      if (sick === undefined) throw new Error("no node");
      await replace(plane, sick);
      await plane.waitServing(2);
      await Bun.sleep(Math.max(0, startedMs + WATCHED_MS - performance.now()));
      const lately = asked().slice(before);
      // Two collections, each after 1, 2, 4, 8 and then 15 seconds, and a question each minute.
      expect(lately.length).toBeGreaterThan(1);
      expect(lately.length).toBeLessThanOrEqual(15);
      const question = "create selfsubjectaccessreviews.authorization.k8s.io";
      expect(new Set(lately.map(askedOf))).toEqual(new Set(["list nodes", "list pods", question]));
      expect(plane.log()).toContain("list nodes");
      const { code, out } = await navarch(plane, "doctor", "kubernetes");
      expect(code).toBe(1);
      const account = `system:serviceaccount:${PRODUCT.namespace}:${PRODUCT.name}`;
      expect(out).toContain(
        `${account} has no permission at all → is its ClusterRoleBinding there`,
      );
      const failed = [...out.matchAll(/^fail +(\w+)/gm)].map(([, check]) => check);
      expect(failed).toEqual(["cluster", "permissions"]);
      const view = await navarchJson<NodeView>(
        plane,
        "get",
        (await plane.serving())[0]?.node_id ?? "",
      );
      expect(view.kubernetes_node).toBeNull();
      expect((await plane.fetch("/readyz", { token: null })).status).toBe(200);
    } finally {
      expect(await plane.destroy()).toEqual([]);
    }
  }, 120_000);
});

/** Whatever the product's account asked, refused or not. */
function asked(): AuditEntry[] {
  return cluster
    .audit()
    .filter(({ user, stage }) => isProduct(user.username) && stage === "ResponseComplete");
}
