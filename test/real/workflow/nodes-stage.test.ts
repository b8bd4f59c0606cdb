/**
 * The stages that the product ships, as objects of a real API server, played by the real KWOK: what
 * they do to Nodes and pods, and that KWOK's own stages and definition accept them.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../../build/product.ts";
import { formatStages } from "../../../deploy/stage.ts";
import { until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";
import { openRun, type TestRun } from "./run.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: stages on a real KWOK: ${missing}`);

/** KWOK's sources, which a build of the test binaries leaves in Go's cache. */
const SOURCE = join(
  process.env["GOMODCACHE"] ?? join(process.env["GOPATH"] ?? join(homedir(), "go"), "pkg/mod"),
  "sigs.k8s.io/kwok@v0.8.0/kustomize",
);
const hasSource = existsSync(SOURCE);
if (!hasSource) console.error("SKIPPED: KWOK's own definition of Stage: its sources are not here");

const CHAOS = ["init-container-running-failed", "container-running-failed"];
const GUIDE = join(ROOT, "deploy/guide/knavigator");

type Node = {
  metadata: { name: string };
  status: {
    addresses?: { type: string }[];
    conditions: { type: string; status: string; lastHeartbeatTime: string | null }[];
  };
};
type Pod = {
  status: {
    phase: string;
    startTime?: string;
    conditions?: { type: string; status: string }[];
    containerStatuses?: { name: string; state: State }[];
    initContainerStatuses?: { name: string; state: State }[];
  };
};
type State = { terminated?: { exitCode: number; reason: string; message?: string } };

let cluster: Cluster;
let ours: TestRun;
let node = "";

beforeAll(async () => {
  if (missing !== null) return;
  // Controllers would collect the pods of a Job that does not exist.
  const parts = { controllers: false, scheduler: false };
  cluster = await openCluster({ stages: "shipped", parts });
  ours = await openRun(cluster);
  const hung = { type: "KernelDeadlock", status: "True", reason: "Hung", message: "a: b" };
  const nodes = [{ type: "cpu.x86", count: 1, conditions: [hung] }];
  await ours.task("Configure", { nodes, timeout: "30s" });
  const { items } = await cluster.json<{ items: Node[] }>("/api/v1/nodes");
  node = items[0]?.metadata.name ?? "";
}, 300_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await cluster.close()).toEqual([]);
}, 60_000);

const PODS = "/api/v1/namespaces/default/pods";

async function addPod(name: string, metadata: object = {}, spec: object = {}): Promise<void> {
  const containers = [
    { name: "main", image: "registry.test/app:1" },
    { name: "side", image: "registry.test/side:1" },
  ];
  const body = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, ...metadata },
    spec: { nodeName: node, containers, ...spec },
  };
  await cluster.json(PODS, { method: "POST", body });
}

const podAt = (name: string): Promise<Pod> => cluster.json<Pod>(`${PODS}/${name}`);
const reaches = (name: string, phase: string, ms = 15_000): Promise<Pod> =>
  until(`${name} is ${phase}`, ms, async () => {
    const pod = await podAt(name);
    return pod.status.phase === phase ? pod : null;
  });

async function kubectl(...args: string[]): Promise<string> {
  const { code, out, err } = await cluster.kubectl(...args);
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${err}`);
  return out;
}

const nodeAt = (name: string): Promise<Node> => cluster.json<Node>(`/api/v1/nodes/${name}`);
const conditionOf = ({ status }: Node, type: string) =>
  status.conditions.find((one) => one.type === type);

describe.skipIf(missing !== null)("stages", () => {
  test("W42: KWOK runs with the flags of the contract", () => {
    const lines = cluster.pids().map((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8"));
    const kwok = lines.find((line) => line.includes("--kubeconfig=kwok.kubeconfig")) ?? "";
    expect(kwok.split("\0")).toEqual(
      expect.arrayContaining([
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-lease-duration-seconds=40",
        "--enable-crds=Stage",
      ]),
    );
  });

  test("W42: a real Node is not touched; a fake one that is not Ready is initialized", async () => {
    const add = (name: string, annotations: object) =>
      cluster.json("/api/v1/nodes", {
        method: "POST",
        body: { apiVersion: "v1", kind: "Node", metadata: { name, annotations } },
      });
    await add("real", {});
    await add("new", { "kwok.x-k8s.io/node": "fake" });
    const made = await until("the new Node is Ready", 15_000, async () => {
      const found = await nodeAt("new");
      return conditionOf(found, "Ready")?.status === "True" ? found : null;
    });
    expect(made.status.addresses?.map(({ type }) => type)).toEqual(["InternalIP", "Hostname"]);
    expect((await nodeAt("real")).status.addresses).toBeUndefined();
  }, 30_000);

  test("W42: a Node that is born Ready has no addresses; heartbeats spare its conditions", async () => {
    expect((await nodeAt(node)).status.addresses).toBeUndefined();
    const delay = { durationMilliseconds: 500, jitterDurationMilliseconds: 600 };
    await kubectl(
      ...["patch", "stage", "node-heartbeat-with-lease", "--type=merge"],
      ...["-p", JSON.stringify({ spec: { delay } })],
    );
    const pressure = [{ type: "MemoryPressure", status: "True", reason: "Patched", message: "" }];
    await kubectl(
      ...["patch", "node", node, "--subresource=status", "--type=strategic"],
      ...["-p", JSON.stringify({ status: { conditions: pressure } })],
    );
    const beaten = await until("a heartbeat", 20_000, async () => {
      const found = await nodeAt(node);
      return conditionOf(found, "MemoryPressure")?.status === "False" ? found : null;
    });
    expect(conditionOf(beaten, "KernelDeadlock")).toMatchObject({ status: "True", reason: "Hung" });
    expect(beaten.status.addresses).toBeUndefined();
  }, 90_000);

  test("W43: a pod runs, and is gone when it is deleted", async () => {
    await addPod("plain", {}, { initContainers: [{ name: "first", image: "registry.test/i:1" }] });
    const { status } = await reaches("plain", "Running");
    expect(status.conditions?.find(({ type }) => type === "Ready")?.status).toBe("True");
    expect(status.initContainerStatuses?.[0]?.state.terminated?.reason).toBe("Completed");
    await cluster.request(`${PODS}/plain`, { method: "DELETE" });
    await until("the pod is gone", 15_000, async () => {
      return (await cluster.request(`${PODS}/plain`)).status === 404 ? true : null;
    });
  }, 60_000);

  test("W43: labels fail a container or an init container, as annotations say", async () => {
    const stage = "pod-container-running-failed.stage.kwok.x-k8s.io";
    const labels = { [stage]: "true" };
    const how = { reason: "OOM: killed", message: 'a "b" # c', "exit-code": "137" };
    const notes = Object.entries({ ...how, "container-name": "side", delay: "1s" });
    const annotations = Object.fromEntries(notes.map(([key, text]) => [`${stage}/${key}`, text]));
    await addPod("hurt", { labels, annotations });
    const [main, side] = (await reaches("hurt", "Failed")).status.containerStatuses ?? [];
    expect(main?.state.terminated).toBeUndefined();
    const terminated = { exitCode: 137, reason: how.reason, message: how.message };
    expect(side?.state.terminated).toMatchObject(terminated);

    const init = "pod-init-container-running-failed.stage.kwok.x-k8s.io";
    const initContainers = [{ name: "first", image: "registry.test/i:1" }];
    await addPod("stillborn", { labels: { [init]: "true" } }, { initContainers });
    const { status } = await reaches("stillborn", "Failed");
    const { terminated: ended } = status.initContainerStatuses?.[0]?.state ?? {};
    expect(ended).toMatchObject({ exitCode: 1, reason: "initContainerError" });
  }, 60_000);

  test("W44: annotations say when a pod completes", async () => {
    const stage = "pod-complete.stage.kwok.x-k8s.io";
    const annotations = { [`${stage}/delay`]: "1s", [`${stage}/jitter-delay`]: "2s" };
    await addPod("short", { annotations });
    const { status } = await reaches("short", "Succeeded");
    const codes = status.containerStatuses?.map(({ state }) => state.terminated?.exitCode);
    expect(codes).toEqual([0, 0]);
  }, 30_000);

  test("W44: without annotations a pod runs for 30 to 60 seconds", async () => {
    const startedMs = performance.now();
    await addPod("long");
    await reaches("long", "Running");
    await reaches("long", "Succeeded", 75_000);
    const seconds = (performance.now() - startedMs) / 1_000;
    expect(seconds).toBeGreaterThan(29);
  }, 120_000);

  test.skipIf(!hasSource)(
    "W44: ours replaces KWOK's own stage of the name",
    async () => {
      const definition = join(SOURCE, "crd/bases/kwok.x-k8s.io_stages.yaml");
      await kubectl("apply", "--server-side", "--force-conflicts", "-f", definition);
      const strict = await cluster.kubectlWith(
        { user: "admin", stdin: formatStages() },
        ...["replace", "--validate=strict", "-f", "-"],
      );
      expect([strict.code, strict.err]).toEqual([0, ""]);
      const folders = { "pod/fast": ["ready", "complete", "delete"], "pod/chaos": CHAOS };
      for (const [folder, names] of Object.entries(folders)) {
        for (const name of names) {
          await kubectl("replace", "-f", join(SOURCE, "stage", folder, `pod-${name}.yaml`));
        }
      }
      const owner = { apiVersion: "batch/v1", kind: "Job", name: "j", uid: "0-0" };
      await addPod("at-once", { ownerReferences: [owner] });
      await reaches("at-once", "Succeeded");
      await kubectl("apply", "-f", join(GUIDE, "charts/overrides/kwok/pod-complete.yml"));
      await addPod("later", { ownerReferences: [owner] });
      await reaches("later", "Running");
      await Bun.sleep(5_000);
      expect((await podAt("later")).status.phase).toBe("Running");
    },
    60_000,
  );
});
