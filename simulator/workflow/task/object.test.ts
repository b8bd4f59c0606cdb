/** RegisterObj, SubmitObj and DeleteObj against an API server in memory. */
import { describe, expect, test } from "bun:test";
import { openTaskRun, type TaskRun } from "../../../test/world/task-run.ts";
import { State } from "../state.ts";
import { refused } from "../../../test/world/object-server.ts";

const JOB = `apiVersion: batch/v1
kind: Job
metadata:
  name: "{{._NAME_}}"
  namespace: {{or .namespace "default"}}
  labels: {number: {{._ENUM_}}}
spec: {parallelism: {{.replicas}}}
`;

async function registered(files: Record<string, string>, more: object = {}): Promise<TaskRun> {
  const world = openTaskRun();
  for (const [path, text] of Object.entries(files)) world.files.set(path, text);
  const [template] = Object.keys(files);
  expect(await world.perform("RegisterObj", "reg", { template, ...more })).toBeNull();
  return world;
}

const jobs = (more: object = {}) =>
  registered({ "job.yml": JOB }, { nameFormat: "job{{._ENUM_}}", ...more });

describe("RegisterObj", () => {
  test("W18: each block between lines of --- has its own kind", async () => {
    const text = `# licence\n---\n${JOB}---\napiVersion: "v1" # core\nkind: 'ConfigMap'\nmetadata: {name: a}\n`;
    const world = await registered({ "two.yml": text });
    const { blocks } = world.run.state.registered("reg");
    expect(blocks.map(({ resource, line }) => [resource.resource, line])).toEqual([
      ["jobs", 3],
      ["configmaps", 11],
    ]);
  });

  test("W24: group, version and kind all count, and what is missing is named", async () => {
    const world = openTaskRun();
    const wanted = async (apiVersion: string, kind: string) => {
      world.files.set("t.yml", `apiVersion: ${apiVersion}\nkind: ${kind}\n`);
      return world.perform("RegisterObj", "reg", { template: "t.yml" });
    };
    expect(await wanted("jobset.x-k8s.io/v1alpha2", "JobSet")).toBe(
      "RegisterObj/reg: failed to find resource for jobset.x-k8s.io/v1alpha2, Kind=JobSet: the " +
        "cluster has no API group jobset.x-k8s.io; install the CustomResourceDefinition of kind " +
        "JobSet in group jobset.x-k8s.io",
    );
    expect(await wanted("example.com/v2", "MyObject")).toContain(
      "for example.com/v2, Kind=MyObject: the cluster serves example.com at v1, not at v2",
    );
    expect(await wanted("v1", "Job")).toContain("for /v1, Kind=Job: v1 has no kind Job");
    expect(await wanted("batch/v1", "job")).toContain("did you mean Job?");
    expect(world.server.objects.size).toBe(0);
  });

  test("W24: an aggregated API of another group that is dead does not matter", async () => {
    const world = openTaskRun();
    world.server.fault = ({ path }) =>
      path.includes("metrics.k8s.io") || path === "/apis"
        ? refused(503, "ServiceUnavailable", "no endpoints")
        : null;
    world.files.set("job.yml", JOB);
    expect(await world.perform("RegisterObj", "reg", { template: "job.yml" })).toBeNull();
    world.files.set("m.yml", "apiVersion: metrics.k8s.io/v1beta1\nkind: PodMetrics\n");
    expect(await world.perform("RegisterObj", "m", { template: "m.yml" })).toContain(
      "failed to find resource for metrics.k8s.io/v1beta1, Kind=PodMetrics: context " +
        "deadline exceeded: reading /apis/metrics.k8s.io/v1beta1: no endpoints",
    );
  });

  test("W14: an id is registered once; a server takes the same template again", async () => {
    const world = await jobs();
    const again = () => world.perform("RegisterObj", "reg", { template: "job.yml" });
    expect(await again()).toBe("RegisterObj/reg: SetObjType: duplicate task ID reg");
    const server = openTaskRun({ state: new State({ isServer: true }) });
    const post = async (text: string) => {
      server.files.set("job.yml", text);
      return server.perform("RegisterObj", "reg", { template: "job.yml" });
    };
    expect([await post(JOB), await post(JOB)]).toEqual([null, null]);
    expect(await post(`${JOB}# changed`)).toContain("duplicate task ID reg");
  });
});

describe("SubmitObj", () => {
  test("W21: _ENUM_ is one counter, fixed for an object; params may be absent", async () => {
    const world = await jobs({ podNameFormat: "{{._NAME_}}-{{._ENUM_}}-.*", podCount: 2 });
    expect(await world.perform("SubmitObj", "a", { refTaskId: "reg", count: 2 })).toBeNull();
    expect(await world.perform("SubmitObj", "b", { refTaskId: "reg" })).toBeNull();
    const held = [...world.server.objects.values()].map(({ metadata }) => metadata);
    expect(held).toMatchObject([
      { name: "job1", labels: { number: "1" } },
      { name: "job2", labels: { number: "2" } },
      { name: "job3", labels: { number: "3" } },
    ]);
    const { podNames, podCount } = world.run.state.submitted("a");
    expect([podNames, podCount]).toEqual([["job1-1-.*", "job2-2-.*"], 4]);
  });

  test("W19: a key without a value prints <no value> and warns with file and key", async () => {
    const world = await jobs();
    const params = { refTaskId: "reg", count: 2 };
    expect(await world.perform("SubmitObj", "a", params)).toBeNull();
    expect(world.said.filter((line) => line.startsWith("warning"))).toEqual([
      'warning: job.yml: the parameter "replicas" has no value, and prints <no value>',
    ]);
    const strict = openTaskRun({ isStrict: true });
    strict.files.set("job.yml", JOB);
    const formed = { template: "job.yml", nameFormat: "job{{._ENUM_}}" };
    await strict.perform("RegisterObj", "reg", formed);
    expect(await strict.perform("SubmitObj", "a", params)).toBe(
      'SubmitObj/a: failed to execute template job.yml: the parameter "replicas" has no value ' +
        "(-strict)",
    );
    expect(strict.server.objects.size).toBe(0);
  });

  test("W20: booleans are those of YAML 1.1, and integers keep their digits", async () => {
    const text = `apiVersion: example.com/v1
kind: MyObject
metadata: {name: a}
spec:
  truths: [yes, On, TRUE, y]
  falses: [no, off, False, n]
  texts: ["yes", 12:30, 2026-07-29, 1_0a]
  numbers: [010, 0o10, 0x10, 1e3, 1_000]
  big: {{.big}}
`;
    const world = await registered({ "big.yml": text });
    let sent = "";
    world.server.fault = ({ verb, body }) => {
      if (verb === "create") sent = JSON.stringify(body);
      return null;
    };
    const params = { big: 9_007_199_254_740_993n };
    expect(await world.perform("SubmitObj", "a", { refTaskId: "reg", params })).toBeNull();
    expect(sent).toContain(
      '"spec":{"truths":[true,true,true,true],"falses":[false,false,false,false],' +
        '"texts":["yes","12:30","2026-07-29","1_0a"],"numbers":[8,8,16,1000,1000],' +
        '"big":9007199254740993}',
    );
  });

  test("W21: _ENUM_ counts also where only a body uses it", async () => {
    const text = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "c{{._ENUM_}}"}\n';
    const world = await registered({ "c.yml": text });
    await world.perform("SubmitObj", "a", { refTaskId: "reg" });
    await world.perform("SubmitObj", "b", { refTaskId: "reg" });
    expect(world.server.paths().map((path) => path.split("/").at(-1))).toEqual(["c1", "c2"]);
  });

  test("W22: podCount is arithmetic, for every object", async () => {
    const world = await jobs({
      podNameFormat: "x",
      podCount: "({{.replicas}} + 1) * 2",
    });
    const params = { replicas: 3 };
    await world.perform("SubmitObj", "a", { refTaskId: "reg", count: 3, params });
    expect(world.run.state.submitted("a").podCount).toBe(24);
  });

  test("W25: whole documents are created, and each is recorded where it is", async () => {
    const text = `apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: other}
data: {a: b}
immutable: true
---
apiVersion: example.com/v1
kind: Queue
metadata: {generateName: q-}
value: 3
status: {phase: New}
`;
    const world = await registered(
      { "two.yml": text },
      { podNameFormat: "{{._NAME_}}", podCount: 1 },
    );
    expect(await world.perform("SubmitObj", "a", { refTaskId: "reg" })).toBeNull();
    const held = Object.fromEntries(world.server.objects);
    const queue = Object.keys(held).find((path) => path.includes("/queues/q-")) ?? "";
    expect(held["/api/v1/namespaces/other/configmaps/settings"]).toMatchObject({
      data: { a: "b" },
      immutable: true,
    });
    expect(held[queue]).toMatchObject({ value: 3, status: { phase: "New" } });
    const { objects, podNames, podNamespaces } = world.run.state.submitted("a");
    expect(objects.map(({ name, namespace, block }) => [name, namespace, block])).toEqual([
      ["settings", "other", 0],
      [queue.split("/").at(-1) ?? "", null, 1],
    ]);
    expect([podNames, podNamespaces]).toEqual([["settings"], ["other"]]);
    expect(world.run.made.all().map(({ uid }) => typeof uid)).toEqual(["string", "string"]);
  });

  test("W25: canExist skips only the object that exists, and records it", async () => {
    const world = await jobs();
    world.server.put("/apis/batch/v1/namespaces/default/jobs/job1", { kind: "Job" });
    const params = { refTaskId: "reg", count: 2, canExist: true };
    expect(await world.perform("SubmitObj", "a", params)).toBeNull();
    expect(world.run.state.submitted("a").objects.map(({ name }) => name)).toEqual([
      "job1",
      "job2",
    ]);
    expect(world.run.made.all().map(({ name }) => name)).toEqual(["job default/job2"]);
  });

  test("W25: a lost answer makes one object, and another's of the same name is not ours", async () => {
    const world = await jobs();
    let lost = 2;
    world.server.fault = ({ verb }) => (verb === "create" && lost-- > 0 ? "after" : null);
    expect(await world.perform("SubmitObj", "a", { refTaskId: "reg" })).toBeNull();
    expect(world.run.made.all()).toMatchObject([{ name: "job default/job1", uid: "uid-101" }]);
    world.server.fault = ({ verb, path }) => {
      if (verb !== "create" || world.server.objects.has(`${path}/job2`)) return null;
      world.server.put(`${path}/job2`, { metadata: { managedFields: [{ manager: "kubectl" }] } });
      return { kind: "lost", message: "connection reset" };
    };
    expect(await world.perform("SubmitObj", "b", { refTaskId: "reg" })).toBe(
      "SubmitObj/b: failed to create resource batch/v1, Resource=jobs job2: " +
        'jobs.batch "job2" already exists',
    );
    expect(world.run.made.all().map(({ name }) => name)).toEqual(["job default/job1"]);
  });

  test("W8: an object whose creation is in doubt stays noted, though a repeat is refused", async () => {
    const world = await jobs();
    const answers = [
      { kind: "lost", message: "connection reset" } as const,
      refused(403, "Forbidden", "exceeded quota"),
    ];
    world.server.fault = ({ verb }) => (verb === "create" ? (answers.shift() ?? null) : null);
    expect(await world.perform("SubmitObj", "a", { refTaskId: "reg" })).toContain("exceeded quota");
    expect(world.run.made.all()).toMatchObject([{ name: "job default/job1", uid: null }]);
  });

  test("an interrupt ends the rendering of many objects", async () => {
    const world = await jobs();
    world.clock.after(0, () => world.stop.abort());
    const many = { refTaskId: "reg", count: 100_000 };
    const startMs = performance.now();
    expect(await world.perform("SubmitObj", "a", many)).toBe("SubmitObj/a: interrupted");
    expect(performance.now() - startMs).toBeLessThan(2_000);
    expect(world.server.objects.size).toBe(0);
  });

  test("W25: an API server that stays away is one line", async () => {
    const world = await jobs();
    world.server.fault = () => ({ kind: "lost", message: "ECONNREFUSED" });
    expect(await world.perform("SubmitObj", "a", { refTaskId: "reg" })).toBe(
      "SubmitObj/a: failed to create resource batch/v1, Resource=jobs job1: " +
        "context deadline exceeded: reading job default/job1: ECONNREFUSED",
    );
  });
});

describe("DeleteObj", () => {
  test("W28: deletes what was recorded, in the background, and nothing else", async () => {
    const world = await jobs();
    await world.perform("SubmitObj", "a", { refTaskId: "reg", count: 3 });
    const folder = "/apis/batch/v1/namespaces/default/jobs";
    world.server.remove(`${folder}/job1`);
    world.server.remove(`${folder}/job2`);
    world.server.put(`${folder}/job2`, { note: "of another" });
    expect(await world.perform("DeleteObj", "d", { refTaskId: "a" })).toBeNull();
    expect(world.server.paths()).toEqual([`${folder}/job2`]);
    expect(world.run.made.all()).toEqual([]);
    const deletion = world.server.requests.find(({ verb }) => verb === "delete");
    expect(deletion?.body).toMatchObject({ propagationPolicy: "Background" });
    expect(await world.perform("DeleteObj", "again", { refTaskId: "a" })).toBeNull();
  });
});
