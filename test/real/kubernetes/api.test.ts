/**
 * The contract of the port to Kubernetes against a real API server, through the product's own
 * client and as the product's own account. The server in memory passes the same.
 */
import { expect, test } from "bun:test";
import { openClient } from "../../../reconciler/kubernetes/client.ts";
import { openTransport } from "../../../reconciler/kubernetes/connect.ts";
import { describeKubeApi } from "../../port/kube-api.contract.ts";
import type { KubeSubject } from "../../port/kube-api.contract.ts";
import { whyNoCluster } from "./binary.ts";
import { openCluster } from "./cluster.ts";
import type { Cluster } from "./cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: the Kubernetes port on a real server: ${missing}`);

test("a Kubernetes API server is here to test the port with", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

type Json = Record<string, unknown>;

const GROUP: Readonly<Record<string, string>> = {
  nodes: "/api/v1",
  pods: "/api/v1/namespaces/default",
  poddisruptionbudgets: "/apis/policy/v1/namespaces/default",
  leases: "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease",
};

const REAL_CLOCK = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after: (ms: number, work: () => void) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

async function openSubject(): Promise<KubeSubject> {
  // Alone, so that nobody but the test changes anything: no controller, no kubelet.
  const parts = { controllers: false, scheduler: false, kwok: false };
  const cluster = await openCluster({ parts, tell: () => {} });
  const settings = { enabled: true, kubeconfig: cluster.kubeconfig("product"), context: null };
  const opened = await openTransport(settings, {});
  if (opened.kind !== "ok") throw new Error(`no transport: ${JSON.stringify(opened)}`);
  const ports = { clock: REAL_CLOCK, count: () => {}, userAgent: "navarch/test" };
  const api = openClient(opened.transport, ports);
  return {
    api,
    seed: (plural, object) => seed(cluster, plural, object),
    edit: async (plural, name, patch, { manager, sub }) => {
      await merge(cluster, `${pathOf(plural, name)}${sub === undefined ? "" : `/${sub}`}`, patch, {
        manager,
      });
    },
    pass: (ms) => Bun.sleep(ms),
    close: async () => {
      api.close();
      expect(await cluster.close()).toEqual([]);
    },
  };
}

const pathOf = (plural: string, name: string): string => `${GROUP[plural]}/${plural}/${name}`;

async function merge(
  cluster: Cluster,
  path: string,
  body: Json,
  { manager }: { manager: string },
): Promise<void> {
  await cluster.json(`${path}?fieldManager=${manager}`, {
    method: "PATCH",
    contentType: "application/merge-patch+json",
    body,
  });
}

/** Creation ignores the status and gives a new Node a taint, so both are put right afterwards. */
async function seed(cluster: Cluster, plural: string, object: Json): Promise<void> {
  const { status, ...rest } = object;
  await cluster.json(`${GROUP[plural]}/${plural}?fieldManager=seed`, { body: rest });
  const path = pathOf(plural, String((object["metadata"] as Json)["name"]));
  if (plural === "nodes") {
    const { taints = null } = (object["spec"] ?? {}) as Json;
    await merge(cluster, path, { spec: { taints } }, { manager: "seed" });
  }
  if (status !== undefined) {
    await merge(cluster, `${path}/status`, { status }, { manager: "seed" });
  }
}

if (missing === null) describeKubeApi("a real API server", openSubject);
