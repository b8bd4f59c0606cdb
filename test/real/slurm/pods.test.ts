/**
 * S56: the compiled control plane sizes a StatefulSet by the jobs of a real slurmctld. The API
 * server and the StatefulSet's controller are real; kubelets are played here: a pod is its slurmd,
 * which boots with the pod and dies with it. At each end of a pod scontrol and squeue are asked
 * what it held.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { EventView, PermissionsView } from "../../../schema/api.ts";
import type { SlurmClusterView } from "../../../schema/slurm-view.ts";
import { buildStale, cleanEnv, NAVARCH, Plane, until } from "../../fixture/plane/plane.ts";
import { PRODUCT } from "../kubernetes/access.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { Kubelet } from "./kubelet.ts";
import { missesSlurm } from "./package.ts";

const noCluster = await whyNoCluster();
if (noCluster !== null) console.error(`SKIPPED: Slurm's pods by demand: ${noCluster}`);
const isMissing = (await missesSlurm("Slurm's pods by demand")) || noCluster !== null;
setDefaultTimeout(240_000);

const LATE_MS = 90_000;
const NAMES = [0, 1, 2].map((index) => `slurm-compute-${index}`);
const [, C1 = "", C2 = ""] = NAMES;
const ROLE = join(import.meta.dir, "../../../deploy/overlay/slurm-pods/slurm-pods.yaml");
const SET = `apiVersion: v1
kind: Namespace
metadata: { name: slurm }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: slurm-compute, namespace: slurm }
spec:
  serviceName: slurm-compute
  replicas: 1
  podManagementPolicy: Parallel
  selector: { matchLabels: { app: slurm-compute } }
  template:
    metadata: { labels: { app: slurm-compute } }
    spec: { containers: [{ name: slurmd, image: slurm-base }] }
`;

test("a Kubernetes API server is here to size Slurm's pods on", () => {
  if (process.env["CI"] === "true") expect(noCluster).toBeNull();
});

describe.skipIf(isMissing)("a StatefulSet of Slurm's nodes", () => {
  let cluster: Cluster;
  let slurm: SlurmCluster;
  let plane: Plane;
  let kubelet: Kubelet;

  beforeAll(async () => {
    await buildStale();
    [cluster, slurm] = await Promise.all([
      openCluster(),
      openSlurm({ nodes: NAMES, isStarted: false }),
    ]);
    const applied = await cluster.kubectlWith({ user: "admin", stdin: SET }, "apply", "-f", "-");
    expect(applied.code).toBe(0);
    kubelet = new Kubelet(cluster, slurm, NAMES);
    plane = new Plane(`
slurm:
  enabled: true
  conf: ${slurm.conf}
  command_dir: ${slurm.commandDir}
  poll_interval: 2s
  pods:
    stateful_set: slurm-compute
    partition: ${await partition()}
    min_replicas: 1
    max_replicas: 3
    scale_down_after: 10s
kubernetes: { enabled: true, kubeconfig: ${cluster.kubeconfig("product")} }
providers: { fake: {} }
pools: []
`);
    await plane.start();
    await until("the first pod is up", LATE_MS, async () => {
      return (await slurm.state(NAMES[0] ?? "")) === "idle" || null;
    });
  });
  afterAll(async () => {
    await plane?.destroy();
    await kubelet?.stop();
    await slurm?.close();
    if (!isMissing) expect(await cluster.close()).toEqual([]);
  }, 60_000);

  const partition = async (): Promise<string> =>
    (await slurm.sinfo("-h", "-o", "%R")).trim().split("\n")[0] ?? "";
  const replicas = async (): Promise<number> => {
    const path = "/apis/apps/v1/namespaces/slurm/statefulsets/slurm-compute";
    const set = (await (await cluster.request(path)).json()) as { spec: { replicas: number } };
    return set.spec.replicas;
  };
  const untilReplicas = (count: number, limitMs = LATE_MS) =>
    until(`${count} replicas`, limitMs, async () => {
      const now = await replicas();
      if (now === count) return true;
      throw new Error(`${now}: ${JSON.stringify((await view()).pods)}`);
    });
  const view = () => plane.get<SlurmClusterView>("/slurm");
  const job = (seconds: number, ...words: string[]) =>
    slurm.sbatch(["--gres=gpu:8", ...words], `sleep ${seconds}`);

  test("S56: without the right it says so and changes nothing", async () => {
    const pods = await until("the right is missed", LATE_MS, async () => {
      const seen = (await view()).pods;
      return seen?.state === "failed" ? seen : null;
    });
    expect(pods.why).toContain("may not get statefulsets.apps in namespace slurm");
    const { missing } = await plane.get<PermissionsView>("/kubernetes/permissions");
    const rules = missing.filter((rule) => rule.includes("statefulsets"));
    expect(rules.map((rule) => rule.split(" ")[0])).toEqual(["get", "patch"]);
    const doctor = await navarch("doctor", "slurm");
    expect(doctor).toContain("deploy/overlay/slurm-pods");
    expect(await replicas()).toBe(1);
    const { namespace, name } = PRODUCT;
    const stdin = readFileSync(ROLE, "utf8").replaceAll(
      "name: navarch-control-plane\n  namespace: navarch\n",
      `name: ${name}\n  namespace: ${namespace}\n`,
    );
    const done = await cluster.kubectlWith({ user: "admin", stdin }, "apply", "-f", "-");
    expect(done).toMatchObject({ code: 0, err: "" });
  });

  async function navarch(...words: readonly string[]): Promise<string> {
    const child = Bun.spawn([NAVARCH, ...words, `--server=${plane.url}`], {
      env: cleanEnv({ NAVARCH_AUTH_TOKEN: plane.adminToken }),
    });
    return new Response(child.stdout).text();
  }

  let long = "";
  test("S56: pending jobs grow it, and the free highest pod goes while others work", async () => {
    const ids = [await job(5), await job(5), await job(5)];
    await untilReplicas(3);
    // It waits for its node behind one of them, so the node never counts as free.
    long = await job(45, "-w", C1);
    for (const id of ids) await slurm.waitJob(id, "COMPLETED", LATE_MS);
    await slurm.waitJob(long, "RUNNING");
    await untilReplicas(2);
    expect(await slurm.job(long)).toBe("RUNNING");
    await slurm.waitState(C1, "draining", LATE_MS);
  });

  test("S56: killed while it waits for a job, it goes on, and releases what is needed", async () => {
    await plane.kill();
    expect([await replicas(), await slurm.job(long)]).toEqual([2, "RUNNING"]);
    await plane.start();
    const wide = await job(5, "-N", "3");
    await untilReplicas(3);
    await slurm.waitJob(wide, "COMPLETED", 2 * LATE_MS);
    expect(await slurm.job(long)).toBe("COMPLETED");
    expect(kubelet.boots.filter((name) => name === C2)).toHaveLength(2);
    await untilReplicas(1);
    await until("both pods are ended", LATE_MS, () => kubelet.ends.length === 3 || null);
    expect([kubelet.wrong, kubelet.ends.toSorted()]).toEqual([[], [C1, C2, C2]]);
    const events = await plane.events("&kind=slurm.pods");
    const told = (events as EventView[]).map(({ message }) => message);
    expect(told).toContain("slurm-compute: 2 → 3 replicas: 1 with work, 3 more for pending jobs");
    const page = await (await plane.fetch("/metrics")).text();
    expect(page).toContain("navarch_slurm_pods_needed 1\n");
  });
});
