/**
 * S56: `navarch slurm scale` on a real API server, whose StatefulSet controller makes the pods, and
 * a real slurmctld, whose nodes have the pods' names. Judged by scontrol, squeue and the object.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Ran } from "../../fixture/machine/command.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { Guide } from "./guide.ts";
import { Kubelet } from "./kubelet.ts";
import { missesSlurm } from "./package.ts";

const noCluster = await whyNoCluster();
if (noCluster !== null) console.error(`SKIPPED: pods of Slurm on a real API server: ${noCluster}`);
const isMissing = (await missesSlurm("navarch slurm scale")) || noCluster !== null;
setDefaultTimeout(240_000);
const SOON_MS = 60_000;

const [C0, C1, C2] = ["slurm-compute-0", "slurm-compute-1", "slurm-compute-2"];
const SET = `apiVersion: v1
kind: Namespace
metadata: { name: slurm }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: slurm-compute, namespace: slurm }
spec:
  serviceName: slurm-compute
  replicas: 3
  podManagementPolicy: Parallel
  selector: { matchLabels: { app: slurm-compute } }
  template:
    metadata: { labels: { app: slurm-compute } }
    spec: { containers: [{ name: slurmd, image: slurm-base }] }
`;

test("a Kubernetes API server is here to scale Slurm's pods on", () => {
  if (process.env["CI"] === "true") expect(noCluster).toBeNull();
});

describe.skipIf(isMissing)("navarch slurm scale", () => {
  let cluster: Cluster;
  let slurm: SlurmCluster;
  let guide: Guide;
  let kubelet: Kubelet;
  beforeAll(async () => {
    await buildStale();
    const opening = openCluster({ productRules: null });
    const nodes = [C0, C1, C2];
    [cluster, slurm] = await Promise.all([opening, openSlurm({ nodes, isStarted: false })]);
    kubelet = new Kubelet(cluster, slurm, nodes);
    guide = new Guide(cluster.kubeconfig());
    writeFileSync(join(guide.folder, "set.yaml"), SET);
    await guide.must("kubectl apply -f set.yaml");
    await untilPods(3);
    for (const name of nodes) await free(name);
  });
  afterAll(async () => {
    guide?.close();
    await kubelet?.stop();
    await slurm?.close();
    if (!isMissing) expect(await cluster.close()).toEqual([]);
  });

  const scale = (to: number, more = "--limit 60s"): Promise<Ran> => {
    const line = `./bin/navarch slurm scale --replicas ${to} --exec local ${more}`;
    return guide.sh(line, { SLURM_CONF: slurm.conf });
  };
  const replicas = async (): Promise<number> => {
    const path = "jsonpath={.spec.replicas}";
    return Number(await guide.must(`kubectl -n slurm get statefulset slurm-compute -o ${path}`));
  };
  const pods = async (): Promise<string[]> => {
    const listed = await guide.must("kubectl -n slurm get pods -o name");
    return listed.split("\n").filter(Boolean).sort();
  };
  const untilPods = (count: number) =>
    until(`${count} pods`, SOON_MS, async () => ((await pods()).length === count ? true : null));
  const job = async (node: string, script: string): Promise<string> => {
    const id = await slurm.sbatch(["-w", node, "--gres=gpu:1"], script);
    await slurm.waitJob(id, "RUNNING");
    return id;
  };
  /** sinfo may call a free node mixed for long. */
  const free = (name: string) =>
    until(`${name} is free`, SOON_MS, async () => {
      const { State: state } = (await slurm.node(name)) ?? {};
      if (state === "IDLE") return true;
      throw new Error(state);
    });
  const states = () => Promise.all([C0, C1, C2].map((name) => slurm.state(name)));

  test("S56: no pod is given up before its job has ended, nor one below it", async () => {
    const long = await job(C1, "sleep 25");
    const ran = scale(1);
    await slurm.waitState(C1, "draining");
    await until("the free pod above it goes first", SOON_MS, async () =>
      (await replicas()) === 2 ? true : null,
    );
    while ((await slurm.job(long)) === "RUNNING") {
      expect(await replicas()).toBe(2);
      await Bun.sleep(300);
    }
    const { code, stderr } = await ran;
    expect([code, await replicas()]).toEqual([0, 1]);
    expect(stderr).toContain(`${C1}: job ${long}`);
    expect(await slurm.job(long)).toBe("COMPLETED");
    expect(kubelet.wrong).toEqual([]);
    await untilPods(1);
    expect(await pods()).toEqual([`pod/${C0}`]);
    await free(C0);
    // Their slurmd went with the pods, which slurmctld marks by a star once it notices.
    for (const state of (await states()).slice(1)) expect(state).toStartWith("drained");
    expect((await slurm.node(C1))?.["Reason"]).toStartWith("slurm-scale: slurm-compute to 1");
  });

  test("S56: more replicas release what this command drained", async () => {
    const ran = await scale(3);
    expect([ran.code, await replicas()]).toEqual([0, 3]);
    await untilPods(3);
    for (const name of [C1, C2]) await free(name);
    expect((await scale(3)).code).toBe(0);
  });

  test("S56: a highest pod that is busy keeps those below it, and is waited for", async () => {
    const long = await job(C2, "sleep 600");
    const ran = await scale(1, "--limit 5s");
    expect([ran.code, await replicas()]).toEqual([7, 3]);
    expect(ran.stderr).toContain(`${C2}: job ${long}`);
    expect([await slurm.job(long), ...(await states()).slice(1)]).toEqual([
      ...["RUNNING", "drained", "draining"],
    ]);
    // With the present number nothing is wanted any more.
    expect((await scale(3)).code).toBe(0);
    await free(C1);
    expect(await slurm.job(long)).toBe("RUNNING");
    await slurm.must("scancel", long);
    await free(C2);
  });

  test("S56: a command that is killed goes on where it was", async () => {
    const long = await job(C2, "sleep 12");
    const child = Bun.spawn(["timeout", "-s", "KILL", "4", "sh", "-c", line(2)], {
      cwd: guide.folder,
      env: { ...process.env, KUBECONFIG: cluster.kubeconfig(), SLURM_CONF: slurm.conf },
      stdio: ["ignore", "ignore", "ignore"],
    });
    await child.exited;
    await slurm.waitState(C2, "draining");
    expect([await slurm.job(long), await replicas()]).toEqual(["RUNNING", 3]);
    const again = await scale(2);
    expect([again.code, await replicas(), await slurm.job(long)]).toEqual([0, 2, "COMPLETED"]);
    expect((await scale(3)).code).toBe(0);
    await untilPods(3);
    await free(C2);
  });
  const line = (to: number) => {
    const command = `./bin/navarch slurm scale --replicas ${to} --exec local`;
    return `PATH=${guide.folder}/.tools:$PATH exec ${command}`;
  };

  test("S56: another party's replicas stay, and the drains are lifted", async () => {
    const long = await job(C2, "sleep 600");
    const ran = scale(1);
    await slurm.waitState(C2, "draining");
    await guide.must("kubectl -n slurm scale statefulset slurm-compute --replicas=4");
    const { code, stderr } = await ran;
    expect([code, await replicas()]).toEqual([6, 4]);
    expect(stderr).toContain("has 4 replicas now, which another party set");
    await free(C1);
    expect(await slurm.job(long)).toBe("RUNNING");
    await slurm.must("scancel", long);
    await guide.must("kubectl -n slurm scale statefulset slurm-compute --replicas=3");
    await free(C2);
  });

  test("S56: what others drained is neither given up nor written over", async () => {
    await slurm.scontrol("update", `nodename=${C1}`, "state=drain", "reason=maint by alice");
    const ran = await scale(1, "--limit 5s");
    expect([ran.code, await replicas()]).toEqual([6, 3]);
    const why = `${C1} cannot be given up: others hold it in Slurm (maint by alice`;
    expect(ran.stderr).toContain(why);
    expect((await slurm.node(C1))?.["Reason"]).toStartWith("maint by alice");
    await free(C2);
    await slurm.scontrol("update", `nodename=${C1}`, "state=undrain");
  });

  test("S56: without Slurm's word nothing is lowered", async () => {
    await slurm.stopController();
    const ran = await scale(1, "--limit 5s");
    expect([ran.code, await replicas()]).toEqual([1, 3]);
    await slurm.startController();
    await free(C2);
    const narrowed = { SLURM_CONF: slurm.conf, SQUEUE_USERS: "alice", SQUEUE_STATES: "PENDING" };
    const long = await job(C2, "sleep 600");
    const argv = "./bin/navarch slurm scale --replicas 2 --exec local --limit 4s";
    const blind = await guide.sh(argv, narrowed);
    expect([blind.code, await replicas(), await slurm.job(long)]).toEqual([7, 3, "RUNNING"]);
    await slurm.must("scancel", long);
    expect(kubelet.wrong).toEqual([]);
  });
});
