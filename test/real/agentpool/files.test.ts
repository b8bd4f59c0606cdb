/**
 * The files of `test/agentpool/` do on a real cluster what they promise: the nodes have room for the
 * pools of the seed, the rogue pod looks like a worker, the policy forbids workers of one pool, and
 * pods of the failing pool fail. The pods are those that the control plane makes of a pool.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { dirname, join } from "node:path";
import { ROOT } from "../../../build/product.ts";
import { podOf } from "../../../reconciler/agentpool/pod-request.ts";
import { readPool } from "../../../reconciler/agentpool/read-pool.ts";
import { POOL_FINALIZER } from "../../../schema/agentpool-resource.ts";
import { navarch } from "../../cli/spawn.ts";
import { until } from "../../fixture/plane/plane.ts";
import { binaryPath, whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster, type Ran } from "../kubernetes/cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: files of AgentPools on a cluster: ${missing}`);

const FILES = join(ROOT, "test/agentpool");
const CRD = join(ROOT, "deploy/guide/agentpool/k8s/crd/agentpool-crd.yaml");
const POOLS = "/apis/velda.io/v1/namespaces/default/agentpools";
const PODS = "/api/v1/namespaces/default/pods";

type Pod = {
  metadata: { name: string; uid: string; labels: object; ownerReferences: object[] };
  spec: { nodeName?: string };
  status: { phase: string };
};

let cluster: Cluster;

async function ok(...args: string[]): Promise<string> {
  const { code, out, err } = await cluster.kubectl(...args);
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${code}\n${out}${err}`);
  return out;
}

/** Asks for a worker of the pool, as the control plane does. */
async function create(name: string, letters: string, ...more: string[]): Promise<Ran> {
  const pool = readPool(await cluster.json(`${POOLS}/${name}`));
  if (pool === null) throw new Error(`pool ${name} cannot be read`);
  expect(pool.problems).toEqual([]);
  const stdin = JSON.stringify(podOf(pool, { name: `${name}-${letters}`, generation: 1 }));
  return cluster.kubectlWith({ user: "admin", stdin }, "create", "-f", "-", ...more);
}

const phaseOf = async (name: string): Promise<string> =>
  (await cluster.json<Pod>(`${PODS}/${name}`)).status.phase;

describe.skipIf(missing !== null)("files of AgentPools on a cluster", () => {
  beforeAll(async () => {
    cluster = await openCluster({ stages: "shipped", productRules: null });
    // It ends every pod after a minute.
    await ok("delete", "stage", "pod-complete");
    await ok("apply", "-f", CRD);
    await ok("wait", "--for=condition=Established", "crd/agentpools.velda.io");
    const nodes = ["sim", "nodes", "apply", "-f", join(FILES, "nodes.yaml")];
    const made = await navarch(nodes, { KUBECONFIG: cluster.kubeconfig() });
    expect([made.code, made.err]).toEqual([0, ""]);
    for (const name of ["seed", "t1.yaml", "twins.yaml", "failing.yaml"]) {
      await ok("apply", "-f", join(FILES, name));
    }
  }, 180_000);
  afterAll(async () => {
    expect(await cluster.close()).toEqual([]);
  }, 30_000);

  test("A2, V16: workers of the seed's pools run on the nodes, and their labels find them", async () => {
    const wanted = ["cpu-pool aaaaa", "cpu-pool bbbbb", "cpu-pool ccccc", "gpu-pool a", "shell a"];
    for (const one of wanted) {
      const [pool = "", letters = ""] = one.split(" ");
      expect(await create(pool, letters)).toMatchObject({ code: 0, err: "" });
    }
    await until("five workers run", 30_000, async () => {
      const path = `${PODS}?labelSelector=group%3Dvelda-agent`;
      const { items } = await cluster.json<{ items: Pod[] }>(path);
      return items.filter(({ status }) => status.phase === "Running").length === 5 ? true : null;
    });
    const gpu = await cluster.json<Pod>(`${PODS}/gpu-pool-a`);
    expect(gpu.spec.nodeName).toContain("dgxa100.80g");
    expect((await ok("-n", "default", "get", "pods", "-l", "navarch.dev/pool")).trim()).toBe("");
  }, 60_000);

  test("A6: the rogue pod has the pool's labels and its owner reference", async () => {
    const ran = Bun.spawnSync([join(FILES, "rogue.sh"), "t1"], {
      env: {
        PATH: `${dirname(binaryPath("kubectl"))}:${process.env["PATH"] ?? ""}`,
        KUBECONFIG: cluster.kubeconfig(),
        HOME: cluster.folder,
      },
    });
    expect([ran.exitCode, ran.stderr.toString()]).toEqual([0, ""]);
    const { uid } = readPool(await cluster.json(`${POOLS}/t1`)) ?? {};
    const { metadata } = await cluster.json<Pod>(`${PODS}/rogue`);
    expect(metadata.labels).toMatchObject({ pool: "t1", "navarch.dev/agentpool": "t1" });
    expect(metadata.ownerReferences).toMatchObject([{ kind: "AgentPool", uid, controller: true }]);
  }, 30_000);

  test("A9: the policy forbids workers of the pool shell, also in a dry run, and no others", async () => {
    const dry = "--dry-run=server";
    await ok("apply", "-f", join(FILES, "deny-pods.yaml"));
    const refused = await until("the policy is in force", 30_000, async () => {
      const ran = await create("shell", "zzzzz", dry);
      return ran.code === 0 ? null : ran.err;
    });
    expect(refused).toContain("denied request: no further workers of the pool shell");
    expect(await create("shell", "zzzzz")).toMatchObject({ code: 1 });
    expect(await create("cpu-pool", "zzzzz", dry)).toMatchObject({ code: 0 });
    await ok("delete", "-f", join(FILES, "deny-pods.yaml"));
    await until("the policy has gone", 30_000, async () =>
      (await create("shell", "zzzzz", dry)).code === 0 ? true : null,
    );
  }, 90_000);

  test("A13: a pod of the failing pool fails by itself, one of another pool does not", async () => {
    expect(await create("failing", "aaaaa")).toMatchObject({ code: 0, err: "" });
    await until("it fails", 20_000, async () =>
      (await phaseOf("failing-aaaaa")) === "Failed" ? true : null,
    );
    expect(await phaseOf("shell-a")).toBe("Running");
  }, 30_000);

  test("V22: a pool that is held waits, and once let go by hand its pods are collected", async () => {
    const ap = ["-n", "default", "agentpool", "shell"];
    const hold = JSON.stringify({ metadata: { finalizers: [POOL_FINALIZER] } });
    await ok("patch", ...ap, "--type", "merge", "-p", hold);
    await ok("delete", ...ap, "--wait=false");
    await Bun.sleep(1_000);
    await ok("get", ...ap);
    expect(await phaseOf("shell-a")).toBe("Running");
    await ok("patch", ...ap, "--type", "merge", "-p", '{"metadata":{"finalizers":null}}');
    // The collector learns of a new definition within half a minute.
    const gone = ["--for=delete", "--timeout=110s", "-n", "default"];
    await ok("wait", ...gone, "agentpool/shell", "pod/shell-a");
    expect(await phaseOf("cpu-pool-aaaaa")).toBe("Running");
  }, 150_000);

  test("V22: to delete the definition is to delete the pools, each as it is held", async () => {
    const hold = JSON.stringify({ metadata: { finalizers: [POOL_FINALIZER] } });
    const ap = ["-n", "default", "agentpool", "cpu-pool"];
    await ok("patch", ...ap, "--type", "merge", "-p", hold);
    await ok("delete", "crd", "agentpools.velda.io", "--wait=false");
    await until("the pools without a hold are gone", 30_000, async () => {
      const { items } = await cluster.json<{ items: unknown[] }>(POOLS);
      return items.length === 1 ? true : null;
    });
    expect(await phaseOf("cpu-pool-aaaaa")).toBe("Running");
    await ok("patch", ...ap, "--type", "merge", "-p", '{"metadata":{"finalizers":null}}');
    await ok("wait", "--for=delete", "crd/agentpools.velda.io", "--timeout=30s");
  }, 90_000);
});
