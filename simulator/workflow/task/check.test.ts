/** UpdateObj, CheckObj, CheckPod and CheckConfigmap against an API server in memory. */
import { describe, expect, test } from "bun:test";
import { openTaskRun, type TaskRun } from "../../../test/world/task-run.ts";

const JOBS = "/apis/batch/v1/namespaces/default/jobs";
const PODS = "/api/v1/namespaces/default/pods";
const JOB = `apiVersion: batch/v1
kind: Job
metadata: {name: "{{._NAME_}}"}
spec: {parallelism: 2}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{._NAME_}}-settings"}
data: {a: b}
status: old
`;

/** Jobs `job1` … are there, with a configmap each; their pods' names begin with the job's. */
async function submitted(count = 1, podCount = "2"): Promise<TaskRun> {
  const world = openTaskRun();
  world.files.set("job.yml", JOB);
  const pods = { podNameFormat: "^{{._NAME_}}-.", podCount };
  const params = { template: "job.yml", nameFormat: "job{{._ENUM_}}", ...pods };
  expect(await world.perform("RegisterObj", "reg", params)).toBeNull();
  expect(await world.perform("SubmitObj", "jobs", { refTaskId: "reg", count })).toBeNull();
  return world;
}

const about = { refTaskId: "jobs" };
const putPod = (world: TaskRun, name: string, phase: string, node: string | null = null) =>
  world.server.put(`${PODS}/${name}`, {
    spec: node === null ? {} : { nodeName: node },
    status: {
      phase,
      conditions: [
        { type: "Ready", status: "False" },
        ...(node === null
          ? [
              {
                type: "PodScheduled",
                status: "False",
                reason: "Unschedulable",
                message: "0/3 nodes",
              },
            ]
          : []),
      ],
    },
  });
const putNode = (world: TaskRun, name: string, labels: object) =>
  world.server.put(`/api/v1/nodes/${name}`, { metadata: { name, labels } });

/** Runs the task while other things happen at their times. */
async function during<T>(
  world: TaskRun,
  work: Promise<T>,
  events: readonly (readonly [number, () => void])[],
): Promise<T> {
  for (const [ms, happen] of events) world.clock.after(ms, happen);
  return work;
}

describe("UpdateObj", () => {
  test("W26: metadata and spec by merge patch, status through its own path, null deletes", async () => {
    const world = await submitted();
    const state = {
      metadata: { labels: { "nvidia.com/gpu.count": 8 } },
      spec: { parallelism: null, suspend: true },
      status: { phase: "Done" },
    };
    expect(await world.perform("UpdateObj", "u", { ...about, state })).toBeNull();
    expect(world.server.objects.get(`${JOBS}/job1`)).toMatchObject({
      metadata: { labels: { "nvidia.com/gpu.count": "8" } },
      spec: { suspend: true },
      status: { phase: "Done" },
    });
    const patches = world.server.requests.filter(({ verb }) => verb === "patch");
    expect(patches.map(({ path }) => path)).toEqual([`${JOBS}/job1`, `${JOBS}/job1/status`]);
    expect(patches.map(({ query }) => query?.["fieldManager"])).toEqual([
      "navarch-sim-test-update",
      "navarch-sim-test-update",
    ]);
    expect(JSON.stringify(patches[1]?.body)).not.toContain("suspend");
  });

  test("W26: an object that was made again under the name is another one", async () => {
    const world = await submitted();
    world.server.remove(`${JOBS}/job1`);
    world.server.put(`${JOBS}/job1`, { note: "of another" });
    for (const state of [{ spec: { a: 1 } }, { status: { a: 1 } }]) {
      expect(await world.perform("UpdateObj", "u", { ...about, state })).toMatch(
        /^UpdateObj\/u: failed to patch (status of )?jobs job1: uid mismatch$/,
      );
    }
  });

  test("W26: index is the block; a kind without a status subresource is patched as a whole", async () => {
    const world = await submitted();
    const state = { status: "new", data: { a: null, c: "d" } };
    expect(await world.perform("UpdateObj", "u", { ...about, index: 1, state })).toBeNull();
    const patches = world.server.requests.filter(({ verb }) => verb === "patch");
    expect(patches).toMatchObject([{ body: { status: "new", data: { a: null, c: "d" } } }]);
    expect(await world.perform("UpdateObj", "u", { ...about, index: 2, state })).toBe(
      "UpdateObj/u: index 2 is out of range: the template of jobs has 2 blocks, numbered from 0",
    );
  });
});

describe("CheckObj", () => {
  const state = { status: { active: 2 }, metadata: { annotations: { gone: null } } };

  test("W27: one look without a time-out", async () => {
    const world = await submitted(2);
    world.server.put(`${JOBS}/job1`, { status: { active: 2 } });
    world.server.put(`${JOBS}/job2`, { status: { active: "2" } });
    expect(await world.perform("CheckObj", "c", { ...about, state })).toBe(
      "CheckObj/c: failed to validate jobs [job2]: state mismatch in jobs job2: " +
        'status.active: expected 2, found "2"',
    );
    world.server.put(`${JOBS}/job2`, { status: { active: 2 } });
    expect(await world.perform("CheckObj", "c", { ...about, state })).toBeNull();
    world.server.remove(`${JOBS}/job1`);
    expect(await world.perform("CheckObj", "c", { ...about, state })).toContain(
      "jobs [job1]: state mismatch in jobs job1: it does not exist",
    );
  });

  test("W27: watches, through a closed stream, an expired version and an absent server", async () => {
    for (const end of [
      { kind: "ended" },
      { kind: "expired" },
      { kind: "lost", message: "reset" },
      { kind: "refused", status: 503, message: "busy", retryAfterMs: 500 },
    ] as const) {
      const world = await submitted(2);
      const work = world.perform("CheckObj", "c", { ...about, state, timeout: "30s" });
      const lost = { kind: "lost", message: "ECONNREFUSED" } as const;
      const result = await during(world, work, [
        [1_000, () => world.server.put(`${JOBS}/job1`, { status: { active: 2 } })],
        // It has had the state, which is what counts.
        [1_500, () => world.server.put(`${JOBS}/job1`, { status: { active: 0 } })],
        [2_000, () => (world.server.fault = () => lost)],
        [2_001, () => world.server.cut(end)],
        [4_000, () => world.server.put(`${JOBS}/job2`, { status: { active: 2 } })],
        [5_000, () => (world.server.fault = () => null)],
      ]);
      expect([end.kind, result]).toEqual([end.kind, null]);
    }
  });

  test("W27: the time-out names what is missing, and is kept", async () => {
    const world = await submitted(2);
    const startMs = world.clock.monoMs();
    const result = await world.perform("CheckObj", "c", { ...about, state, timeout: "2s" });
    expect(result).toBe(
      "CheckObj/c: context deadline exceeded: failed to validate jobs [job1 job2]: " +
        "state mismatch in jobs job1: status: expected a map, found nothing",
    );
    expect(world.clock.monoMs() - startMs).toBeWithin(2_000, 2_101);
  });

  test("W27: many namespaces are watched as one, and only their objects count", async () => {
    const world = openTaskRun();
    const text = 'apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: "n{{._ENUM_}}"}\n';
    world.files.set("s.yml", text);
    const pods = { podNameFormat: "^p$", podCount: 1 };
    await world.perform("RegisterObj", "r", { template: "s.yml", nameFormat: "a", ...pods });
    await world.perform("SubmitObj", "s", { refTaskId: "r", count: 20 });
    const place = (at: number) => `/api/v1/namespaces/n${at}`;
    world.server.put("/api/v1/namespaces/other/pods/p", { status: { phase: "Running" } });
    for (let at = 1; at <= 20; at += 1) {
      world.server.put(`${place(at)}/secrets/a`, { data: { key: "c2VjcmV0" } });
      if (at > 1) world.server.put(`${place(at)}/pods/p`, { status: { phase: "Running" } });
    }
    const check = (params: object) => ({ refTaskId: "s", timeout: "2s", ...params });
    const state = { data: { key: "other" } };
    const result = await world.perform("CheckObj", "c", check({ state }));
    expect(result).toContain("state mismatch in secrets a: it differs; values of secrets are not");
    expect(result).not.toContain("c2VjcmV0");
    const lists = world.server.requests.filter(({ verb }) => verb === "list");
    expect([...new Set(lists.map(({ path }) => path))]).toEqual(["/api/v1/secrets"]);
    expect(await world.perform("CheckPod", "p", check({ status: "Running" }))).toContain(
      "19 of 20 pods reached Running; 1 pod does not exist",
    );
  });

  test("an interrupt ends it at once", async () => {
    const world = await submitted();
    const work = world.perform("CheckObj", "c", { ...about, state, timeout: "30s" });
    expect(await during(world, work, [[700, () => world.stop.abort()]])).toBe(
      "CheckObj/c: interrupted",
    );
    expect(world.clock.monoMs()).toBeLessThan(2_000);
  });
});

describe("CheckPod", () => {
  const running = { ...about, status: "Running" };

  test("W29: one look: every pod has the phase, and the count is right", async () => {
    const world = await submitted(2, "1");
    putPod(world, "job1-a", "Running", "n1");
    putPod(world, "other-job1-a", "Failed");
    expect(await world.perform("CheckPod", "p", running)).toBe(
      "CheckPod/p: verified 1 pods, expected 2",
    );
    putPod(world, "job2-a", "Pending");
    expect(await world.perform("CheckPod", "p", running)).toBe(
      "CheckPod/p: pod job2-a, status Pending, expected Running",
    );
    putPod(world, "job2-a", "Running", "n1");
    expect(await world.perform("CheckPod", "p", running)).toBeNull();
  });

  test("W29: nodeLabels alone check where pods run, without a phase (X10)", async () => {
    const world = await submitted();
    const placed = { ...about, nodeLabels: { "nvidia.com/gpu.count": 8 } };
    putNode(world, "n1", { "nvidia.com/gpu.count": "8" });
    putNode(world, "n2", { "nvidia.com/gpu.count": "4" });
    putPod(world, "job1-a", "Running", "n1");
    putPod(world, "job1-b", "Running", "n1");
    expect(await world.perform("CheckPod", "p", placed)).toBeNull();
    expect(await world.perform("CheckPod", "p", { ...placed, timeout: "5s" })).toBeNull();
    putPod(world, "job1-b", "Running", "n2");
    const wrong =
      "CheckPod/p: pod 'job1-b' was scheduled on node 'n2' without label 'nvidia.com/gpu.count=8'";
    expect(await world.perform("CheckPod", "p", placed)).toBe(wrong);
    expect(await world.perform("CheckPod", "p", { ...placed, timeout: "5s" })).toBe(wrong);
    putPod(world, "job1-b", "Running", "n3");
    expect(await world.perform("CheckPod", "p", placed)).toContain(
      "failed to get node 'n3' for pod 'job1-b'",
    );
  });

  test("W29: watches until podCount distinct pods have come so far", async () => {
    const world = await submitted();
    const work = world.perform("CheckPod", "p", { ...running, timeout: "20s" });
    const result = await during(world, work, [
      [1_000, () => putPod(world, "job1-a", "Running", "n1")],
      [1_100, () => putPod(world, "job1-a", "Succeeded", "n1")],
      [1_200, () => world.server.cut({ kind: "expired" })],
      [2_000, () => putPod(world, "job1-a", "Running", "n1")],
      [9_000, () => putPod(world, "job1-b", "Running", "n1")],
    ]);
    expect(result).toBeNull();
    expect(world.clock.monoMs()).toBeWithin(9_000, 9_300);
  });

  test("W29: the time-out names the pods, their phase and the scheduler's reason", async () => {
    const world = await submitted(2);
    putPod(world, "job1-a", "Running", "n1");
    putPod(world, "job1-b", "Pending");
    putPod(world, "job2-a", "Failed", "n1");
    const foreign = { spec: { schedulerName: "volcano" }, status: { phase: "Pending" } };
    world.server.put(`${PODS}/job2-b`, foreign);
    expect(await world.perform("CheckPod", "p", { ...running, timeout: "2s" })).toBe(
      "CheckPod/p: context deadline exceeded: 1 of 4 pods reached Running; " +
        "pod job1-b is Pending (Unschedulable: 0/3 nodes); pod job2-a is Failed; " +
        "pod job2-b is Pending (scheduler volcano has not placed it)",
    );
  });

  test("W29: no pod at all is enough where none is expected", async () => {
    const world = await submitted(1, "0");
    const startMs = world.clock.monoMs();
    expect(await world.perform("CheckPod", "p", { ...running, timeout: "20s" })).toBeNull();
    expect(world.clock.monoMs() - startMs).toBeLessThan(1_000);
  });

  test("W29: many objects and pods take linear time, and hostile patterns too", async () => {
    const world = await submitted(1, "1");
    const names = Array.from({ length: 1_000 }, (_, at) => `^job${at}-(a+)+$`);
    const submission = { ...world.run.state.submitted("jobs"), podNames: names, podCount: 5_000 };
    world.run.state.submit("many", submission);
    for (let at = 0; at < 5_000; at += 1) {
      putPod(world, `job${at % 1_000}-${"a".repeat(40)}b${at}`, "Running");
    }
    const startMs = performance.now();
    const result = await world.perform("CheckPod", "p", { refTaskId: "many", status: "Running" });
    expect(result).toBe("CheckPod/p: verified 0 pods, expected 5000");
    expect(performance.now() - startMs).toBeLessThan(10_000);
  });
});

describe("CheckConfigmap", () => {
  test("W30: equal compares the number of keys too", async () => {
    const world = openTaskRun();
    world.server.put("/api/v1/namespaces/ns/configmaps/n", { data: { a: "1", b: "two" } });
    const check = (op: string, data: object) =>
      world.perform("CheckConfigmap", "c", { name: "n", namespace: "ns", op, data });
    expect(await check("subset", { a: 1 })).toBeNull();
    expect(await check("equal", { a: 1, b: "two" })).toBeNull();
    expect(await check("equal", { a: 1 })).toBe(
      "CheckConfigmap/c: configmap ns/n has 2 items; expected 1",
    );
    expect(await check("subset", { c: 1 })).toBe(
      'CheckConfigmap/c: configmap ns/n does not have key "c"',
    );
    expect(await check("subset", { b: 2 })).toBe(
      'CheckConfigmap/c: configmap ns/n does not match value for key "b"',
    );
  });
});
