/**
 * Drains on a real API server: our plan beside `kubectl drain --dry-run=server` for the same pods,
 * every answer to an eviction that a server without kubelets and controllers can be made to give,
 * and one whole drain with a budget in it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { KubeAnswer, KubeApi } from "../../../reconciler/kubernetes/api.ts";
import { openClient } from "../../../reconciler/kubernetes/client.ts";
import { openTransport } from "../../../reconciler/kubernetes/connect.ts";
import type { DrainPlan, PlanRequest } from "../../../reconciler/core/kubernetes/drain-plan.ts";
import { deletePod, evictPod } from "../../../reconciler/kubernetes/drain-request.ts";
import type { DesiredDrain } from "../../../reconciler/core/kubernetes/desired-drain.ts";
import { Drainers } from "../../../reconciler/kubernetes/drainer.ts";
import { judgeEviction } from "../../../reconciler/kubernetes/eviction.ts";
import type { EvictionVerdict } from "../../../reconciler/kubernetes/eviction.ts";
import type { KubePod } from "../../../reconciler/core/kubernetes/object.ts";
import { readPod } from "../../../reconciler/kubernetes/read-pod.ts";
import type { Clock } from "../../../reconciler/core/clock.ts";
import type { NodeId } from "../../../schema/id.ts";
import { cleanEnv, until } from "../../fixture/plane/plane.ts";
import { binaryPath, whyNoCluster } from "./binary.ts";
import { openCluster } from "./cluster.ts";
import type { Cluster } from "./cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: drains on a real API server: ${missing}`);
const IS_CI = process.env["CI"] === "true";

test("a Kubernetes API server is here to drain on", () => {
  if (IS_CI) expect(missing).toBeNull();
});

const ROOM = join(import.meta.dir, "../../navarch");
const NODE = "k8s-worker-1";

const clock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

async function connect(cluster: Cluster): Promise<KubeApi> {
  const settings = { enabled: true, kubeconfig: cluster.kubeconfig("product"), context: null };
  const opened = await openTransport(settings, {});
  if (opened.kind !== "ok") throw new Error(`no transport: ${JSON.stringify(opened)}`);
  return openClient(opened.transport, { clock, userAgent: "navarch-test", count: () => undefined });
}

function open(api: KubeApi, pods: () => readonly KubePod[] = () => []): Drainers {
  return new Drainers({
    api,
    pods: {
      byNode: (name) => pods().filter(({ node }) => node === name),
      ageMs: () => 0,
      synced: () => true,
    },
    clock,
    random: Math.random,
    log: () => undefined,
    wakeUp: () => undefined,
    tell: () => undefined,
    tellPod: () => undefined,
    room: () => 400,
  });
}

const WISH: PlanRequest = {
  force: false,
  ignoreDaemonsets: true,
  deleteEmptydirData: true,
  mode: "evict",
};

/** `name\tverdict`, sorted, as both sides print it. */
const lines = (plan: DrainPlan): string[] =>
  plan.map(({ name, verdict }) => `${name}\t${verdict}`).sort();

async function kubectlPlan(cluster: Cluster, node: string, ...flags: string[]): Promise<string[]> {
  const child = Bun.spawn([join(ROOM, "kubectl-drain-plan.sh"), node, ...flags], {
    env: cleanEnv({
      HOME: cluster.folder,
      KUBECONFIG: cluster.kubeconfig("admin"),
      KUBECTL: binaryPath("kubectl"),
    }),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`kubectl-drain-plan.sh: ${err}`);
  return out.trimEnd().split("\n").sort();
}

async function ourPlan(drainers: Drainers, change: Partial<PlanRequest>): Promise<string[]> {
  const answer = await drainers.plan(NODE, { ...WISH, ...change });
  if (answer.kind !== "ok") throw new Error(answer.message);
  return lines(answer.plan);
}

type Owner = { apiVersion: string; kind: string; name: string; uid: string; controller: boolean };
type Made = { metadata: { name: string; uid: string } };

describe.skipIf(missing !== null)("on an API server alone", () => {
  let cluster: Cluster;
  let api: KubeApi;
  beforeAll(async () => {
    // Without a garbage collector a pod may name an owner that does not exist.
    cluster = await openCluster({ parts: { controllers: false, scheduler: false, kwok: false } });
    await cluster.addNodes(1, { name: () => NODE });
    api = await connect(cluster);
  }, 180_000);
  afterAll(async () => {
    api.close();
    expect(await cluster.close()).toEqual([]);
  }, 30_000);

  async function pod(name: string, how: PodShape = {}): Promise<string> {
    const { namespace = "default", phase = "Running", isReady = true } = how;
    const path = `/api/v1/namespaces/${namespace}/pods`;
    const made = await cluster.json<Made>(path, {
      method: "POST",
      body: {
        metadata: {
          name,
          labels: how.labels ?? {},
          annotations: how.annotations ?? {},
          ...(how.owner === undefined ? {} : { ownerReferences: [how.owner] }),
        },
        spec: {
          nodeName: NODE,
          containers: [{ name: "main", image: "example.test/nothing" }],
          ...(how.emptyDir === true ? { volumes: [{ name: "v", emptyDir: {} }] } : {}),
        },
      },
    });
    const conditions = [{ type: "Ready", status: isReady ? "True" : "False" }];
    if (phase !== "Pending") {
      await cluster.json(`${path}/${name}/status`, {
        method: "PATCH",
        contentType: "application/strategic-merge-patch+json",
        body: { status: { phase, conditions } },
      });
    }
    return made.metadata.uid;
  }

  async function remove(name: string, namespace = "default"): Promise<void> {
    await cluster.request(`/api/v1/namespaces/${namespace}/pods/${name}`, {
      method: "DELETE",
      body: { gracePeriodSeconds: 0 },
    });
  }

  async function budget(name: string, labels: object, status: object | null): Promise<void> {
    const path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    await cluster.request(`${path}/${name}`, { method: "DELETE" });
    await cluster.json(path, {
      method: "POST",
      body: { metadata: { name }, spec: { minAvailable: 1, selector: { matchLabels: labels } } },
    });
    if (status === null) return;
    await cluster.json(`${path}/${name}/status`, {
      method: "PATCH",
      contentType: "application/merge-patch+json",
      body: { status: { observedGeneration: 1, expectedPods: 3, ...status } },
    });
  }

  async function evict(name: string, uid: string, namespace = "default"): Promise<KubeAnswer> {
    return api.call(evictPod({ namespace, name, uid }, -1, null));
  }

  const judged = async (name: string, uid: string, namespace?: string): Promise<EvictionVerdict> =>
    judgeEviction(await evict(name, uid, namespace), uid);

  test("the plan is kubectl's, pod for pod", async () => {
    const agent = await cluster.json<Made>("/apis/apps/v1/namespaces/default/daemonsets", {
      method: "POST",
      body: {
        metadata: { name: "agent" },
        spec: {
          selector: { matchLabels: { app: "agent" } },
          template: {
            metadata: { labels: { app: "agent" } },
            spec: { containers: [{ name: "main", image: "example.test/nothing" }] },
          },
        },
      },
    });
    const daemon: Owner = {
      apiVersion: "apps/v1",
      kind: "DaemonSet",
      name: "agent",
      uid: agent.metadata.uid,
      controller: true,
    };
    const lost: Owner = { ...daemon, name: "lost", uid: "00000000-0000-4000-8000-000000000001" };
    const job: Owner = { ...lost, apiVersion: "batch/v1", kind: "Job", name: "train" };
    const mirror = { "kubernetes.io/config.mirror": "8c7f" };
    const shapes: PodShape[] = [];
    for (const owner of [undefined, daemon, lost, job, { ...job, controller: false }]) {
      const named = owner === undefined ? {} : { owner };
      shapes.push({ ...named }, { ...named, emptyDir: true }, { ...named, annotations: mirror });
      shapes.push({ ...named, phase: "Pending" }, { ...named, phase: "Failed" });
      shapes.push({ ...named, phase: "Succeeded", emptyDir: true });
    }
    for (const [i, shape] of shapes.entries()) await pod(`p${i}`, shape);
    const drainers = open(api);
    // kubectl holds itself back to a few requests a second, so these are the sets that matter.
    const sets: Partial<PlanRequest>[] = [{}, { force: true }, { deleteEmptydirData: false }];
    for (const set of sets) {
      const { force, deleteEmptydirData } = { ...WISH, ...set };
      const ours = await ourPlan(drainers, set);
      const flags = [`--force=${force}`, `--delete-emptydir-data=${deleteEmptydirData}`];
      expect(ours).toEqual(await kubectlPlan(cluster, NODE, ...flags));
      expect(ours).toHaveLength(shapes.length);
      const verdicts = new Set(ours.map((line) => line.split("\t")[1]));
      const all = force ? ["evict", "keep"] : ["blocked", "evict", "keep"];
      expect([...verdicts].sort()).toEqual(all);
    }
    for (let i = 0; i < shapes.length; i++) await remove(`p${i}`);
  }, 60_000);

  test("an eviction begins, and is done when it is asked again", async () => {
    const uid = await pod("a");
    expect(await judged("a", uid)).toEqual({ kind: "begun" });
    expect(await judged("a", uid)).toEqual({ kind: "begun" });
    await remove("a");
    expect(await judged("a", uid)).toEqual({ kind: "gone" });
    expect(await judged("a", uid, "nowhere")).toMatchObject({ kind: "unknown" });
  });

  test("another pod of the name is another pod, for a deletion too", async () => {
    const old = await pod("a");
    await remove("a");
    await pod("a");
    expect(await judged("a", old)).toEqual({ kind: "otherPod" });
    const answer = await api.call(
      deletePod({ namespace: "default", name: "a", uid: old }, 1, null),
    );
    expect(judgeEviction(answer, old)).toEqual({ kind: "otherPod" });
    await remove("a");
  });

  test("an eviction of another pod that needs no budget is held until we give up", async () => {
    const old = await pod("a", { phase: "Pending" });
    await remove("a");
    await pod("a", { phase: "Pending" });
    const startedMs = performance.now();
    expect(await judged("a", old)).toMatchObject({ kind: "unknown" });
    expect(performance.now() - startedMs).toBeGreaterThan(6_500);
    expect(performance.now() - startedMs).toBeLessThan(9_000);
    await remove("a");
  }, 30_000);

  test("each state of a budget is told apart", async () => {
    const labels = { app: "web" };
    const uid = await pod("w", { labels });
    const status = (disruptionsAllowed: number, currentHealthy: number, more: object = {}) => {
      return { disruptionsAllowed, currentHealthy, desiredHealthy: 3, ...more };
    };
    await budget("web", labels, status(0, 3));
    expect(await judged("w", uid)).toEqual({
      kind: "budget",
      message: "The disruption budget web needs 3 healthy pods and has 3 currently",
      budget: "web",
      needs: 3,
      has: 3,
      retryMs: 5_000,
    });
    await budget("web", labels, status(0, 5));
    expect(await judged("w", uid)).toMatchObject({ kind: "budget", budget: "web", needs: null });
    const failed = {
      type: "DisruptionAllowed",
      status: "False",
      reason: "SyncFailed",
      message: "no",
      lastTransitionTime: "2026-01-01T00:00:00Z",
    };
    await budget("web", labels, status(0, 5, { conditions: [failed] }));
    expect(await judged("w", uid)).toMatchObject({ kind: "budget", budget: "web", needs: null });
    await budget("web", labels, null);
    expect(await judged("w", uid)).toMatchObject({
      kind: "budget",
      budget: "web",
      retryMs: 10_000,
    });
    const many = Array.from({ length: 2_001 }, (_, i) => [`p${i}`, "2026-01-01T00:00:00Z"]);
    await budget("web", labels, status(1, 4, { disruptedPods: Object.fromEntries(many) }));
    expect(await judged("w", uid)).toMatchObject({ kind: "controllerBehind", budget: "web" });
    await budget("web", labels, status(1, 4));
    await budget("web-too", labels, status(1, 4));
    expect(await judged("w", uid)).toMatchObject({ kind: "severalBudgets" });
    await cluster.request("/apis/policy/v1/namespaces/default/poddisruptionbudgets/web-too", {
      method: "DELETE",
    });
    expect(await judged("w", uid)).toEqual({ kind: "begun" });
    await remove("w");
  });

  test("a namespace that ends is told from a missing permission", async () => {
    await cluster.json("/api/v1/namespaces", {
      method: "POST",
      body: { metadata: { name: "end" } },
    });
    const uid = await pod("d", { namespace: "end" });
    await cluster.json("/api/v1/namespaces/end", { method: "DELETE" });
    expect(await judged("d", uid, "end")).toMatchObject({ kind: "namespaceTerminating" });
    const path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/navarch-test";
    const role = await cluster.json<{ rules: { resources: string[] }[] }>(path);
    const rules = role.rules.filter(({ resources }) => !resources.includes("pods/eviction"));
    await cluster.json(path, {
      method: "PUT",
      body: { ...role, metadata: { name: "navarch-test" }, rules },
    });
    const other = await pod("e");
    await until("the permission is gone", 10_000, async () =>
      (await judged("e", other)).kind === "begun" ? null : true,
    );
    expect(await judged("e", other)).toMatchObject({ kind: "forbidden" });
  });
});

type PodShape = {
  namespace?: string;
  phase?: "Pending" | "Running" | "Succeeded" | "Failed";
  isReady?: boolean;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  emptyDir?: boolean;
  owner?: Owner;
};

describe.skipIf(missing !== null)("on a whole cluster", () => {
  let cluster: Cluster;
  let api: KubeApi;
  beforeAll(async () => {
    cluster = await openCluster();
    await cluster.addNodes(2, { name: (i) => `k8s-worker-${i + 1}` });
    const applied = await cluster.kubectl("apply", "-f", join(ROOM, "drain-pods.yaml"));
    expect(applied.err).toBe("");
    api = await connect(cluster);
  }, 180_000);
  afterAll(async () => {
    api.close();
    expect(await cluster.close()).toEqual([]);
  }, 30_000);

  type List = { items: unknown[] };
  async function pods(): Promise<KubePod[]> {
    const { items } = await cluster.json<List>("/api/v1/pods");
    return items.flatMap((item) => readPod(item) ?? []);
  }
  const running = (all: KubePod[], node: string): KubePod[] =>
    all.filter((one) => one.node === node && one.phase === "Running" && one.deletionAt === null);

  test("the guide's pods leave as kubectl says, and its budget holds", async () => {
    await until("the pods run", 60_000, async () =>
      running(await pods(), NODE).length === 6 ? true : null,
    );
    let seen: KubePod[] = [];
    const drainers = open(api, () => seen);
    const ours = await ourPlan(drainers, {});
    expect(ours).toEqual(await kubectlPlan(cluster, NODE));
    expect(ours.filter((line) => line.endsWith("evict"))).toHaveLength(4);
    expect((await cluster.kubectl("cordon", NODE)).code).toBe(0);
    const node = await cluster.json<Made>(`/api/v1/nodes/${NODE}`);
    const desired: DesiredDrain = {
      ...WISH,
      node: "n1" as NodeId,
      pool: null,
      name: NODE,
      uid: node.metadata.uid,
      why: "",
      since: Date.now(),
      deadlineAt: Date.now() + 30 * 60_000,
      gracePeriodMs: 300_000,
      deleteAtDeadline: true,
      ordered: false,
      unreachable: false,
      paused: null,
    };
    let fewest = 2;
    await until("the node is empty", 60_000, async () => {
      seen = await pods();
      const guarded = seen.filter(
        ({ name, phase }) => name.startsWith("behind") && phase === "Running",
      );
      fewest = Math.min(fewest, guarded.filter(({ deletionAt }) => deletionAt === null).length);
      drainers.tend([desired]);
      return drainers.left(desired.node).kind === "empty" ? true : null;
    });
    // A look may miss the moment in which one of the two is on its way.
    expect(fewest).toBeGreaterThanOrEqual(1);
    const left = (await pods()).filter((one) => one.node === NODE);
    expect(left.map(({ name }) => name.replace(/-[a-z0-9]+$/, "")).sort()).toEqual([
      "ds-agent",
      "mirror",
    ]);
    const evictions = cluster
      .audit()
      .filter(({ objectRef }) => objectRef?.subresource === "eviction")
      .filter(
        ({ responseStatus, user }) =>
          responseStatus?.code === 201 && user.username.includes("navarch"),
      )
      .map(({ objectRef }) => objectRef?.name);
    expect(new Set(evictions).size).toBe(evictions.length);
    expect(evictions).toHaveLength(4);
  }, 120_000);
});
