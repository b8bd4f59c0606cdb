/**
 * Tasks that submit, update and check objects, on a real API server with controllers, scheduler and
 * KWOK: what the server holds afterwards, and what an outage of it does to a wait.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";
import { startSim } from "./process.ts";
import { openRun, type TestRun } from "./run.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: objects of workflows on a cluster: ${missing}`);

const WORKFLOWS = join(import.meta.dir, "../../workflows");
const read = (name: string): string => readFileSync(join(WORKFLOWS, name), "utf8");

type Held = {
  metadata: { name: string; labels?: Record<string, string>; managedFields?: object[] };
  spec?: Record<string, unknown>;
  status?: { phase?: string };
};
type List = { items: Held[] };

describe.skipIf(missing !== null)("objects of workflows", () => {
  let cluster: Cluster;

  async function open(): Promise<TestRun> {
    const ground = await openRun(cluster, { manager: `navarch-sim-${crypto.randomUUID()}` });
    ground.run.readText = async (path) => (path.includes("\n") ? path : read(path));
    return ground;
  }

  /** Registers, under the id `r`, the template with these names; pods have the object's name. */
  const register = (ground: TestRun, template: string, nameFormat: string) => {
    const pods = { podNameFormat: "^{{._NAME_}}$", podCount: 1 };
    return ground.task("RegisterObj", { template, nameFormat, ...pods }, "r");
  };

  beforeAll(async () => {
    cluster = await openCluster();
    await cluster.kubectl("apply", "-f", join(WORKFLOWS, "crd/myobject.yml"));
    await cluster.kubectl("wait", "--for=condition=Established", "crd/myobjects.example.com");
    await cluster.addNodes(2, { labels: { type: "kwok", side: "left" } });
  }, 180_000);
  afterAll(() => cluster?.close(), 30_000);

  test("A5: a custom kind is created whole, patched with its status, and checked", async () => {
    const sim = startSim(cluster, ["-workflow", join(WORKFLOWS, "custom-resource.yml"), "-v", "4"]);
    const { code, err } = await sim.ended();
    expect({ code, err: code === 0 ? "" : err }).toEqual({ code: 0, err: "" });
    const path = "/apis/example.com/v1/namespaces/test/myobjects";
    const { items } = await cluster.json<List>(path);
    expect(items.map(({ metadata }) => metadata.name)).toEqual(["job1", "job2", "job3", "job4"]);
    for (const { spec, status } of items) {
      expect(spec?.["template"]).toEqual({
        metadata: {
          annotations: { orgName: "newTeam" },
          labels: { priority: "high", a: "1", b: "yes" },
        },
      });
      expect(status).toEqual({ phase: "Done" });
    }
  }, 60_000);

  test("A7: the time-out is kept, and names the pods and the scheduler's reason", async () => {
    const startMs = performance.now();
    const sim = startSim(cluster, ["-workflow", join(WORKFLOWS, "never-scheduled.yml"), "-v", "4"]);
    await sim.until("Starting task CheckPod/running");
    const checkMs = performance.now();
    const { code, last } = await sim.ended();
    const [tookMs, wholeMs] = [performance.now() - checkMs, performance.now() - startMs];
    console.error(
      `never-scheduled: ${Math.round(wholeMs)} ms, of which the check ${Math.round(tookMs)}`,
    );
    expect(code).toBe(1);
    expect(last).toContain("CheckPod/running: context deadline exceeded: 0 of 2 pods reached");
    expect(last).toContain("pod never-1 is Pending (Unschedulable: 0/2 nodes are available");
    expect(tookMs).toBeWithin(1_900, 3_500);
  }, 60_000);

  test("W20: integers keep their digits, and unknown fields are shown", async () => {
    const ground = await open();
    await register(ground, "template/myobject.yml", "big-{{._ENUM_}}");
    const params = { instance: "x", serial: 9_007_199_254_740_993n };
    await ground.task("SubmitObj", { refTaskId: "r", params }, "s");
    const path = "/apis/example.com/v1/namespaces/default/myobjects/big-1";
    expect(await (await cluster.request(path)).text()).toContain('"serial":9007199254740993');
    const typo =
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "{{._NAME_}}"}\ndatta: {a: b}\n';
    await ground.task("RegisterObj", { template: typo, nameFormat: "typo" }, "t");
    await ground.task("SubmitObj", { refTaskId: "t" }, "u");
    expect(ground.lines).toContain('detail: configmap default/typo: unknown field "datta"');
  }, 30_000);

  test("W24: an API service that is down does not matter", async () => {
    const service = {
      apiVersion: "apiregistration.k8s.io/v1",
      kind: "APIService",
      metadata: { name: "v1beta1.dead.example.com" },
      spec: {
        group: "dead.example.com",
        version: "v1beta1",
        groupPriorityMinimum: 100,
        versionPriority: 100,
        insecureSkipTLSVerify: true,
        service: { name: "none", namespace: "default" },
      },
    };
    const path = "/apis/apiregistration.k8s.io/v1/apiservices";
    await cluster.json(path, { method: "POST", body: service });
    const ground = await open();
    await register(ground, "apiVersion: batch/v1\nkind: Job\n", "x");
    expect(ground.run.state.registered("r").blocks[0]?.resource.resource).toBe("jobs");
    const gone = ground.task(
      "RegisterObj",
      { template: "apiVersion: gone.io/v1\nkind: Gone\n" },
      "g",
    );
    await expect(gone).rejects.toThrow(
      "failed to find resource for gone.io/v1, Kind=Gone: the cluster has no API group gone.io; " +
        "install the CustomResourceDefinition of kind Gone in group gone.io",
    );
    await cluster.request(`${path}/v1beta1.dead.example.com`, { method: "DELETE" });
  }, 60_000);

  test("W28: DeleteObj deletes by UID, and what another made under the name stays", async () => {
    const ground = await open();
    await register(ground, "template/myobject.yml", "del-{{._ENUM_}}");
    await ground.task("SubmitObj", { refTaskId: "r", count: 2, params: { instance: "x" } }, "s");
    const folder = "/apis/example.com/v1/namespaces/default/myobjects";
    await cluster.request(`${folder}/del-1`, { method: "DELETE" });
    const other = { apiVersion: "example.com/v1", kind: "MyObject", metadata: { name: "del-1" } };
    await cluster.json(folder, { method: "POST", body: other });
    const state = { spec: { taken: true } };
    await expect(ground.task("UpdateObj", { refTaskId: "s", state })).rejects.toThrow(
      "failed to patch",
    );
    await ground.task("DeleteObj", { refTaskId: "s" });
    const { items } = await cluster.json<List>(folder);
    const left = items.filter(({ metadata }) => metadata.name.startsWith("del-"));
    expect(left.map(({ metadata, spec }) => [metadata.name, spec])).toEqual([["del-1", undefined]]);
    expect(ground.run.made.all()).toEqual([]);
  }, 30_000);

  test("W29: pods are waited for through an outage and a compaction of the API server", async () => {
    const ground = await open();
    await register(ground, "template/pod.yml", "late-{{._ENUM_}}");
    const params = { type: "later" };
    await ground.task("SubmitObj", { refTaskId: "r", count: 2, params }, "s");
    const nodeLabels = { side: "right", number: 8 };
    const about = { refTaskId: "s", status: "Running", nodeLabels, timeout: "60s" };
    const waiting = ground.task("CheckPod", about);
    await until("pods are seen", 20_000, async () => {
      return ground.lines.includes("detail: Matched pod late-2") ? true : null;
    });
    await cluster.stopApiserver();
    await cluster.compactEtcd();
    await Bun.sleep(3_000);
    await cluster.startApiserver();
    const labels = { type: "later", side: "right", number: "8" };
    await cluster.addNodes(1, { name: () => "later", labels });
    await waiting;
    // A pod on another node than the labels ask for ends it at once.
    const wrong = ground.task("CheckPod", { ...about, nodeLabels: { side: "left" } });
    await expect(wrong).rejects.toThrow(
      /^pod 'late-\d' was scheduled on node '.*' without label 'side=left'$/,
    );
    await ground.task("CheckPod", { refTaskId: "s", nodeLabels: { side: "right" } });
  }, 120_000);

  test("W27: an object is waited for through an outage", async () => {
    const ground = await open();
    await register(ground, "template/myobject.yml", "wait-{{._ENUM_}}");
    await ground.task("SubmitObj", { refTaskId: "r", count: 3, params: { instance: "x" } }, "s");
    const state = { status: { phase: "Done", gone: null } };
    const waiting = ground.task("CheckObj", { refTaskId: "s", state, timeout: "60s" });
    await Bun.sleep(500);
    await cluster.stopApiserver();
    await Bun.sleep(2_000);
    await cluster.startApiserver();
    await ground.task("UpdateObj", { refTaskId: "s", state: { status: { phase: "Done" } } });
    const doneMs = performance.now();
    await waiting;
    expect(performance.now() - doneMs).toBeLessThan(5_000);
  }, 120_000);
});
