/**
 * Workflows by HTTP against a real API server: the compiled `navarch sim -port`, and the compiled
 * control plane with `navarch sim submit` (A13 of the workflow contract).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditRecord } from "../../../schema/audit.ts";
import type { WorkflowRunView } from "../../../schema/workflow.ts";
import { ROOT } from "../../../build/product.ts";
import { buildStale, cleanEnv, NAVARCH, Plane, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: workflows by HTTP on a real API server: ${missing}`);

let cluster: Cluster;
const folder = mkdtempSync(join(tmpdir(), "navarch-server-"));
const running: Bun.Subprocess[] = [];

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster({ stages: "shipped" });
}, 300_000);
afterAll(async () => {
  for (const child of running) child.kill(9);
  rmSync(folder, { recursive: true, force: true });
  if (missing === null) expect(await cluster.close()).toEqual([]);
}, 60_000);

const PRESETS = `name: presets
tasks:
- id: c
  type: Configure
  params:
    nodes:
    - {type: dgxa100.40g, count: 1}
    - {type: dgxh100.80g, count: 1, labels: {nvidia.com/gpu.count: 8}}
    namespaces: [{name: rehearsal, op: create}]
    timeout: 1m
`;
const JOB = `apiVersion: batch/v1
kind: Job
metadata: {name: "{{._NAME_}}", namespace: default}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      nodeSelector: {none: such}
      containers: [{name: c, image: none}]
`;
const neverScheduled = (template: string): string => `name: never
tasks:
- {id: r, type: RegisterObj, params: {template: ${template}, nameFormat: "never{{._ENUM_}}", podNameFormat: "{{._NAME_}}-.*", podCount: 1}}
- {id: s, type: SubmitObj, params: {refTaskId: r, count: 1}}
- {id: k, type: CheckPod, params: {refTaskId: s, status: Running, timeout: 2s}}
`;
const sleep = (time: string): string =>
  `name: nap\ntasks: [{id: a, type: Sleep, params: {timeout: ${time}}}]\n`;

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function freePort(): number {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  const { port } = server;
  server.stop(true);
  return port;
}

function start(...args: string[]) {
  const child = Bun.spawn([NAVARCH, ...args], {
    env: cleanEnv({ KUBECONFIG: cluster.kubeconfig() }),
    // A13 is run from the repository.
    cwd: ROOT,
    stdout: "pipe",
    stderr: "pipe",
  });
  running.push(child);
  return child;
}

async function serve(...args: string[]) {
  const port = freePort();
  const child = start("sim", "-port", String(port), ...args);
  const url = `http://127.0.0.1:${port}/workflow`;
  await until("the server listens", 10_000, async () => (await fetch(url)).status === 405 || null);
  const post = async (body: string, init: RequestInit = {}) => {
    const answer = await fetch(url, { method: "POST", body, ...init });
    return { status: answer.status, text: await answer.text() };
  };
  const end = async (): Promise<number> => {
    child.kill("SIGTERM");
    return child.exited;
  };
  return { child, url, post, end };
}

type Names = { items: { metadata: { name: string } }[] };
const namesAt = async (path: string): Promise<string[]> =>
  (await cluster.json<Names>(path)).items.map(({ metadata }) => metadata.name).sort();
const nodes = (): Promise<string[]> => namesAt("/api/v1/nodes?labelSelector=type%3Dkwok");

describe.skipIf(missing !== null)("navarch sim -port", () => {
  test("W52: A13, and a repeated post changes nothing", async () => {
    const { post, url, end } = await serve();
    expect(await post(PRESETS)).toEqual({ status: 200, text: "" });
    const before = await nodes();
    expect(before).toHaveLength(2);
    expect((await fetch(url)).status).toBe(405);
    expect(await post("a: [")).toMatchObject({
      status: 400,
      text: expect.stringMatching(/^Invalid YAML format\n/),
    });
    expect(await post("name: x")).toEqual({ status: 400, text: "test x has no tasks\n" });
    const never = await Bun.file(join(ROOT, "test/workflows/never-scheduled.yml")).text();
    const failed = await post(never);
    expect(failed).toMatchObject({ status: 500 });
    expect(failed.text).toContain("CheckPod/running: context deadline exceeded");
    const template = write("job.yml", JOB);
    expect((await post(neverScheduled(template))).text).toContain("deadline exceeded");
    // The same file again: its template is known, its job is another one.
    expect((await post(neverScheduled(template))).text).toContain("context deadline exceeded");
    expect(await namesAt("/apis/batch/v1/namespaces/default/jobs")).toHaveLength(2);
    write("job.yml", JOB.replace("none: such", "none: other"));
    expect(await post(neverScheduled(template))).toEqual({
      status: 500,
      text: "RegisterObj/r: SetObjType: duplicate task ID r\n",
    });
    expect(await post(PRESETS)).toEqual({ status: 200, text: "" });
    expect(await nodes()).toEqual(before);
    expect(await end()).toBe(143);
    expect(await nodes()).toEqual(before);
  }, 120_000);

  test("W9, W52: with -cleanup a signal removes all posts' objects, once, and nothing else", async () => {
    const { post, end, child } = await serve("-cleanup");
    const added = `name: more
tasks: [{id: m, type: Configure, params: {timeout: 1m, nodes: [{type: dgxa100.80g, count: 2}], namespaces: [{name: added, op: create}, {name: rehearsal, op: create}]}}]
`;
    expect((await post(added)).status).toBe(200);
    expect(await nodes()).toHaveLength(2);
    const waiting = post(sleep("1h"));
    await Bun.sleep(300);
    expect(await end()).toBe(143);
    expect(await waiting).toEqual({
      status: 500,
      text: "cancelled by the end of this process: Sleep/a: interrupted\n",
    });
    expect(await nodes()).toEqual([]);
    const spaces = await cluster.json<{
      items: { metadata: { name: string; deletionTimestamp?: string } }[];
    }>("/api/v1/namespaces");
    const living = spaces.items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const names = living.map(({ metadata }) => metadata.name);
    expect([names.includes("added"), names.includes("rehearsal")]).toEqual([false, true]);
    const said = await new Response(child.stderr).text();
    expect(said.match(/^Cleanup: .* removed in/gm)).toHaveLength(1);
  }, 120_000);

  test("W53: submit posts files in order and stops at the first that fails", async () => {
    const { url, end } = await serve();
    const good = write("good.yml", sleep("1ms"));
    const bad = write(
      "bad.yml",
      `name: bad
tasks: [{id: r, type: RegisterObj, params: {template: none.yml}}]`,
    );
    const submit = async (...files: string[]) => {
      const child = start("sim", "submit", "-address", url, "-workflow", files.join(","));
      const [out, err] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      return { code: await child.exited, out, err };
    };
    expect(await submit(good, good)).toMatchObject({ code: 0, err: "" });
    const failed = await submit(good, bad, good);
    expect(failed.code).toBe(1);
    expect(failed.out).toBe("Starting workflow nap\nStarting workflow bad\n");
    expect(failed.err).toStartWith(`error: ${bad}: 500 Internal Server Error: RegisterObj/r: `);
    expect(await end()).toBe(143);
  }, 60_000);
});

describe.skipIf(missing !== null)("workflows of the control plane", () => {
  const config = (): string => `
server: { address: "127.0.0.1:0" }
simulation: { enabled: true }
kubernetes: { enabled: true, kubeconfig: ${cluster.kubeconfig()} }
`;

  async function open(more = "") {
    const plane = new Plane(`${config()}${more}`);
    await plane.start();
    const get = async <T>(path: string): Promise<T> => {
      const headers = { Authorization: `Bearer ${plane.adminToken}` };
      return (await fetch(`${plane.url}${path}`, { headers })).json() as Promise<T>;
    };
    const audit = async (id: string) =>
      (await get<AuditRecord[]>(`/api/admin/audit?object=workflow/${id}`)).reverse();
    const submit = (file: string, ...more: string[]) =>
      start("sim", "submit", "-state", plane.state, "-workflow", file, ...more);
    const list = async () => {
      const { workflows } = await get<{ workflows: { id: string }[] }>("/v1/workflows");
      return Promise.all(workflows.map(({ id }) => get<WorkflowRunView>(`/v1/workflows/${id}`)));
    };
    return { plane, get, audit, submit, list };
  }

  test("W54: submit shows the output live, templates travel along, cleanup removes all", async () => {
    const { plane, submit, list, audit } = await open();
    const before = await nodes();
    write("job.yml", JOB);
    const file = write(
      "plane.yml",
      `name: plane
tasks:
- {id: n, type: Configure, params: {timeout: 1m, nodes: [{type: dgxh100.80g, count: 3}]}}
- {id: r, type: RegisterObj, params: {template: job.yml, nameFormat: "plane{{._ENUM_}}"}}
- {id: s, type: SubmitObj, params: {refTaskId: r, count: 2}}
- {id: z, type: Sleep, params: {timeout: 1s}}
`,
    );
    const child = submit(file, "-cleanup");
    const err = await new Response(child.stderr).text();
    expect([await child.exited, err.includes("Task Sleep/z completed in")]).toEqual([0, true]);
    expect(err).toMatch(/^Cleanup: \d+ objects? removed in/m);
    expect(await nodes()).toEqual(before);
    const [run] = await list();
    expect(run).toMatchObject({ name: "plane", state: "passed", cleanup: true });
    expect(run?.tasks.map(({ state }) => state)).toEqual(["passed", "passed", "passed", "passed"]);
    const rows = await audit(run?.id ?? "");
    expect(rows.map(({ verb, result }) => `${verb} ${result}`).sort()).toEqual([
      "end ok",
      "start ok",
      "submit ok",
    ]);
    await plane.stop();
  }, 120_000);

  test("W54: fleet tasks reach the control plane that runs them", async () => {
    const { plane, submit, get } = await open(`
providers:
  fake: { gpu_count: 8, boot_delay: 100ms }
pools:
  - name: gpus
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 2, max_nodes: 3 }
`);
    const file = write(
      "hurt.yml",
      `name: hurt
tasks:
- {id: up, type: CheckFleet, params: {pool: gpus, healthy: 2, cordoned: 0, timeout: 60s}}
- {id: hurt, type: InjectFault, params: {pool: gpus, pick: 1, fault: {xid: 79}}}
- {id: seen, type: CheckFleet, params: {pool: gpus, cordoned: 1, timeout: 60s}}
- {id: read, type: CheckMetric, params: {name: navarch_pool_desired_nodes, labels: {pool: gpus}, op: "==", value: 2}}
`,
    );
    const child = submit(file);
    const err = await new Response(child.stderr).text();
    expect([await child.exited, err]).toEqual([0, expect.stringContaining("CheckMetric/read")]);
    const rows = await get<AuditRecord[]>("/api/admin/audit?verb=inject");
    expect(rows).toMatchObject([{ actor: "token:workflow", kind: "node", result: "ok" }]);
    // Its agents would outlive it, as machines do.
    await plane.destroy();
  }, 180_000);

  test("W54: the end of the control plane cancels its run, and cleans up before it goes", async () => {
    const { plane, submit, list, get, audit } = await open();
    const file = write(
      "ended.yml",
      `name: ended
tasks:
- {id: n, type: Configure, params: {timeout: 1m, nodes: [{type: dgxa100.40g, count: 4}]}}
- {id: z, type: Sleep, params: {timeout: 1h}}
`,
    );
    const child = submit(file, "-cleanup");
    const run = await until("the run sleeps", 30_000, async () => {
      const [one] = await list();
      return one?.tasks[1]?.state === "running" ? one : null;
    });
    expect(await nodes()).toHaveLength(4);
    expect(await plane.stop(40_000)).toBe(0);
    expect(await nodes()).toEqual([]);
    await plane.start();
    expect(await child.exited).toBe(1);
    const view = await get<WorkflowRunView>(`/v1/workflows/${run.id}`);
    expect(view).toMatchObject({ state: "cancelled", name: "ended" });
    expect((await audit(run.id)).map(({ verb }) => verb).sort()).toEqual([
      "end",
      "start",
      "submit",
    ]);
    await plane.stop();
  }, 120_000);

  test("W54: a run that dies with the control plane is lost, and its objects say whose they are", async () => {
    const { plane, submit, list, get, audit } = await open();
    const before = await nodes();
    const file = write(
      "lost.yml",
      `name: lost
tasks:
- {id: n, type: Configure, params: {timeout: 1m, nodes: [{type: dgxa100.40g, count: 5}]}}
- {id: z, type: Sleep, params: {timeout: 1h}}
`,
    );
    const child = submit(file);
    const run = await until("the run sleeps", 30_000, async () => {
      const [one] = await list();
      return one?.tasks[1]?.state === "running" ? one : null;
    });
    await plane.kill();
    await plane.start();
    expect(await child.exited).toBe(1);
    expect(await new Response(child.stderr).text()).toContain(
      "lost: the control plane that ran it",
    );
    const view = await get<WorkflowRunView>(`/v1/workflows/${run.id}`);
    expect(view).toMatchObject({ state: "lost", name: "lost", started_at: expect.any(String) });
    expect((await audit(run.id)).map(({ verb }) => verb).sort()).toEqual(["start", "submit"]);
    const made = (await nodes()).filter((name) => !before.includes(name));
    expect(made.length).toBeGreaterThan(0);
    for (const name of made) {
      const { metadata } = await cluster.json<{
        metadata: { managedFields: { manager: string }[] };
      }>(`/api/v1/nodes/${name}`);
      expect(metadata.managedFields.map(({ manager }) => manager)).toContain(run.field_manager);
    }
    await plane.stop();
  }, 120_000);
});
