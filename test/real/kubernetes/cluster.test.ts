/**
 * The whole throw-away cluster: every part does its work, state survives the API server, and
 * nothing is left when it is closed or when its owner dies.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { cleanEnv, until } from "../../fixture/plane/plane.ts";
import { CLUSTER_BINARIES, findBinary, whyNoCluster, withoutAddresses } from "./binary.ts";
import type { Cluster } from "./cluster.ts";
import { openCluster } from "./cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: a real Kubernetes cluster: ${missing}`);
const IS_CI = process.env["CI"] === "true";

test("the programs of a Kubernetes control plane are here", () => {
  if (IS_CI) expect(missing).toBeNull();
  else expect(CLUSTER_BINARIES.every((name) => findBinary(name) !== null)).toBe(missing === null);
});

test("withoutAddresses() keeps what a build says and not where it asked", () => {
  const said = [
    'go: example.com/x@v1.2.3: Get "https://proxy.example.test/x/@v/v1.2.3.mod": dial tcp 10.0.0.1:443: refused',
    "lookup proxy.example.test on 10.0.0.2:53: no such host",
    "main.go:3:5: undefined: frob",
  ];
  const clean = said.map(withoutAddresses).join("\n");
  expect(clean).not.toMatch(/proxy|10\.0\.0/);
  expect(clean).toContain("example.com/x@v1.2.3");
  expect(clean).toContain("main.go:3:5: undefined: frob");
});

const DEPLOYMENT = JSON.stringify({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "train" },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: "train" } },
    template: {
      metadata: { labels: { app: "train" } },
      spec: {
        containers: [
          {
            name: "main",
            image: "example.test/train",
            resources: { limits: { "nvidia.com/gpu": "8" } },
          },
        ],
      },
    },
  },
});

type Node = {
  spec: { unschedulable?: boolean };
  status: { conditions: { type: string; status: string }[]; allocatable: Record<string, string> };
};
type PodList = {
  items: {
    metadata: { name: string; deletionTimestamp?: string };
    spec: { nodeName?: string };
    status: { phase: string };
  }[];
};

describe.skipIf(missing !== null)("a real Kubernetes cluster", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    // The node controller notices a dead kubelet within seconds, not within its usual minute.
    const controllers = ["--node-monitor-grace-period=4s", "--node-monitor-period=500ms"];
    const kwok = ["--node-lease-duration-seconds=4"];
    cluster = await openCluster({ flags: { controllers, kwok } });
  }, 180_000);
  afterAll(async () => {
    const pids = cluster.pids();
    expect(pids).toHaveLength(5);
    expect(await cluster.close()).toEqual([]);
    expect(existsSync(cluster.folder)).toBe(false);
    expect(pids.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
  }, 30_000);

  async function runningOn(): Promise<string> {
    return until("the deployment's pod runs", 30_000, async () => {
      const { items } = await cluster.json<PodList>(
        "/api/v1/namespaces/default/pods?labelSelector=app%3Dtrain",
      );
      const live = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      const pod = live.find(({ status }) => status.phase === "Running");
      return live.length === 1 ? (pod?.spec.nodeName ?? null) : null;
    });
  }

  test("a node that has not reported becomes Ready through KWOK", async () => {
    const made = await cluster.addNodes(2);
    expect(made.map(({ metadata }) => metadata.name)).toEqual(["gpu-0", "gpu-1"]);
    const path = "/api/v1/nodes/gpu-0";
    await cluster.json(`${path}/status`, {
      method: "PATCH",
      contentType: "application/strategic-merge-patch+json",
      body: { status: { conditions: [{ type: "Ready", status: "Unknown" }] } },
    });
    const node = await until("Ready", 20_000, async () => {
      const read = await cluster.json<Node>(path);
      const ready = read.status.conditions.find(({ type }) => type === "Ready");
      return ready?.status === "True" ? read : null;
    });
    expect(node.status.allocatable["nvidia.com/gpu"]).toBe("8");
    await until("its lease", 20_000, async () => {
      const lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/gpu-0";
      return (await cluster.request(lease)).ok ? true : null;
    });
  }, 45_000);

  test("a deployment's pod is scheduled and runs; a drain by kubectl moves it", async () => {
    const how = { user: "human", stdin: DEPLOYMENT } as const;
    expect(await cluster.kubectlWith(how, "apply", "-f", "-")).toMatchObject({ code: 0 });
    const first = await runningOn();
    const drained = await cluster.kubectlAs("human", "drain", first, "--ignore-daemonsets");
    expect(drained).toMatchObject({ code: 0 });
    expect(drained.out).toContain(`node/${first} drained`);
    expect(await runningOn()).not.toBe(first);
    expect((await cluster.json<Node>(`/api/v1/nodes/${first}`)).spec.unschedulable).toBe(true);
    const evictions = cluster
      .audit()
      .filter(({ objectRef }) => objectRef?.subresource === "eviction");
    expect(
      evictions.map(({ user, responseStatus }) => [user.username, responseStatus?.code]),
    ).toEqual([["human@example.test", 201]]);
    expect(await cluster.kubectl("uncordon", first)).toMatchObject({ code: 0 });
  }, 60_000);

  test("a silenced node is lost to the cluster until it comes back", async () => {
    await cluster.addNodes(1, { name: () => "mute" });
    await cluster.addPods(1, { name: () => "there", node: () => "mute", graceS: 1 });
    const lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/mute";
    await until("its lease", 20_000, async () => ((await cluster.request(lease)).ok ? true : null));
    const becomes = (wanted: string): Promise<true> =>
      until(`Ready is ${wanted}`, 20_000, async () => {
        const { status } = await cluster.json<Node>("/api/v1/nodes/mute");
        const ready = status.conditions.find(({ type }) => type === "Ready");
        return ready?.status === wanted ? true : null;
      });
    // A node that was never Ready is given a minute to start.
    await becomes("True");
    await cluster.silence("mute");
    await becomes("Unknown");
    await cluster.kubectl("delete", "pod", "there", "--wait=false");
    await becomes("Unknown");
    const pod = "/api/v1/namespaces/default/pods/there";
    expect((await cluster.request(pod)).status).toBe(200);
    await cluster.revive("mute");
    await becomes("True");
    await until("the pod ends", 20_000, async () =>
      (await cluster.request(pod)).status === 404 ? true : null,
    );
    await cluster.json("/api/v1/nodes/mute", { method: "DELETE" });
  }, 60_000);

  test("each user is who the server thinks, with the rights that it should have", async () => {
    const who = async (user: "admin" | "human" | "product"): Promise<string> => {
      const ran = await cluster.kubectlAs(
        user,
        "auth",
        "whoami",
        "-o",
        "jsonpath={.status.userInfo.username}",
      );
      return ran.out;
    };
    expect(await Promise.all([who("admin"), who("human"), who("product")])).toEqual([
      "admin",
      "human@example.test",
      "system:serviceaccount:navarch-system:navarch",
    ]);
    const status = async (path: string): Promise<number> =>
      (await cluster.request(path, { as: "product" })).status;
    expect(await status("/api/v1/nodes")).toBe(200);
    expect(await status("/api/v1/namespaces/default/secrets")).toBe(403);
    const body = { metadata: { name: "ghost" } };
    const created = await cluster.request("/api/v1/nodes", { as: "product", body });
    expect(created.status).toBe(403);
    const token = await cluster.token(600);
    const headers = { Authorization: `Bearer ${token}` };
    expect((await cluster.request("/api/v1/nodes", { as: "product", headers })).status).toBe(200);
  }, 30_000);

  test("the API server comes back on the same port with everything in it", async () => {
    const names = async (): Promise<string> =>
      (await cluster.kubectl("get", "nodes", "-o", "name")).out;
    const { metadata } = await cluster.json<{ metadata: { resourceVersion: string } }>(
      "/api/v1/nodes?limit=1",
    );
    await cluster.addNodes(1, { name: () => "late" });
    const before = await names();
    expect(before).toContain("node/late");
    await cluster.stopApiserver();
    expect(
      await cluster.request("/readyz").then(
        (answer) => answer.status,
        () => "lost",
      ),
    ).toBe("lost");
    await cluster.compactEtcd();
    await cluster.startApiserver();
    expect(await names()).toBe(before);
    // What lies before the compaction and before the new server's cache is gone for a watch.
    const query = `watch=true&resourceVersion=${metadata.resourceVersion}&timeoutSeconds=2`;
    const gone = await cluster.request(`/api/v1/nodes?${query}`);
    expect([gone.status, await gone.text()]).toEqual([200, expect.stringContaining("Expired")]);
  }, 120_000);

  test("a second cluster with fewer parts is another one", async () => {
    const parts = { controllers: false, scheduler: false, kwok: false };
    const flags = { apiserver: ["--max-requests-inflight=7"] };
    const other = await openCluster({ parts, flags });
    try {
      expect(other.url).not.toBe(cluster.url);
      expect(other.pids()).toHaveLength(2);
      await other.addNodes(50);
      const { items } = await other.json<{ items: { spec: object }[] }>("/api/v1/nodes");
      // Nobody is there who would take the taint of a new node away, so there is none.
      expect(items.filter(({ spec }) => "taints" in spec)).toEqual([]);
      await other.addPods(1, { node: () => "gpu-0" });
      await other.markRunning("default", "pod-0");
      expect((await other.kubectl("get", "pods")).out).toMatch(/pod-0 .*Running/);
      expect(readFileSync(other.kubeconfig("product"), "utf8")).toContain(other.url);
    } finally {
      expect(await other.close()).toEqual([]);
    }
  }, 60_000);

  test("nothing is left of a cluster whose owner was killed", async () => {
    const script = `import { openCluster } from ${JSON.stringify(`${import.meta.dir}/cluster.ts`)};
      const parts = { controllers: false, scheduler: false, kwok: false };
      const cluster = await openCluster({ parts, productRules: null });
      console.log(JSON.stringify([cluster.folder, ...cluster.pids()]));
      await new Promise(() => setInterval(() => undefined, 1_000));`;
    const owner = Bun.spawn([process.execPath, "-e", script], {
      env: cleanEnv(),
      stdio: ["ignore", "pipe", "ignore"],
    });
    const reader = owner.stdout.getReader();
    const { value } = await reader.read();
    const [folder, ...pids] = JSON.parse(new TextDecoder().decode(value)) as [string, ...number[]];
    expect([existsSync(folder), pids.length]).toEqual([true, 2]);
    owner.kill("SIGKILL");
    await owner.exited;
    await until("all gone", 10_000, () => {
      return existsSync(folder) || pids.some((pid) => existsSync(`/proc/${pid}`)) ? null : true;
    });
  }, 60_000);
});
