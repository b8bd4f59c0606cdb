/**
 * The server in memory passes the contract of the port; below are the parts that only it has:
 * kubelets and controllers in virtual time, people, faults, and the journal.
 */
import { describe, expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { describeKubeApi } from "../../test/port/kube-api.contract.ts";
import { PATCH } from "./api.ts";
import type { KubeAnswer, KubeRequest, WatchEnd, WatchEvent } from "./api.ts";
import { NO_FAULT } from "../../simulator/cluster/fault.ts";
import { openFakeKube } from "../../simulator/cluster/fake.ts";
import type { FakeKube } from "../../simulator/cluster/fake.ts";
import { readNode } from "./read-node.ts";
import { readPod } from "./read-pod.ts";

describeKubeApi("the server in memory is an API server", async () => {
  const clock = new VirtualClock();
  const fake = openFakeKube({ clock });
  return {
    api: fake,
    seed: async (plural, object) => {
      fake.seed(plural, object);
    },
    edit: async (plural, name, patch, how) => {
      fake.person.edit(plural, plural === "nodes" ? "" : "default", name, patch, how);
    },
    pass: (ms) => clock.pass(ms),
    close: async () => fake.close(),
  };
});

const NODES = "/api/v1/nodes";
const PODS = "/api/v1/namespaces/default/pods";

function open(random?: () => number) {
  const clock = new VirtualClock();
  const fake = openFakeKube({ clock, ...(random === undefined ? {} : { random }) });
  const call = (
    verb: KubeRequest["verb"],
    path: string,
    more: Partial<KubeRequest> = {},
  ): Promise<KubeAnswer> => fake.call({ verb, path, timeoutMs: 10_000, lane: "read", ...more });
  return { clock, fake, call };
}

const uidOf = (object: Record<string, unknown> | undefined): string =>
  String((object?.["metadata"] as Record<string, unknown> | undefined)?.["uid"]);

function seedPod(fake: FakeKube, name: string, spec: object = {}, metadata: object = {}): string {
  const whole = { containers: [{ name: "c", image: "i" }], nodeName: "n1", ...spec };
  return uidOf(fake.seed("pods", { metadata: { name, ...metadata }, spec: whole }));
}

const evict = (name: string, uid: string): Partial<KubeRequest> & { path: string } => ({
  path: `${PODS}/${name}/eviction`,
  body: {
    apiVersion: "policy/v1",
    kind: "Eviction",
    metadata: { name },
    deleteOptions: { preconditions: { uid } },
  },
});

/** The value of a promise that is settled by now. */
async function settled<T>(promise: Promise<T>): Promise<T | "pending"> {
  for (let i = 0; i < 5; i++) await Promise.resolve();
  return Promise.race([promise, Promise.resolve("pending" as const)]);
}

describe("kubelets", () => {
  test.each([
    ["a program that heeds the signal", undefined, 30, 1_000],
    ["one that takes its time", 12_000, 30, 12_000],
    ["one that never ends by itself", Number.POSITIVE_INFINITY, 30, 30_000],
    ["a grace shorter than the program", 12_000, 3, 3_000],
  ])("%s", async (_what, stopMs, terminationGracePeriodSeconds, goneMs) => {
    const { clock, fake, call } = open();
    const uid = seedPod(fake, "p", { terminationGracePeriodSeconds });
    if (stopMs !== undefined) fake.cluster.setStopMs("default", "p", stopMs);
    const request = evict("p", uid);
    expect((await call("create", request.path, request)).kind).toBe("ok");
    await clock.pass(goneMs - 1);
    expect(fake.get("pods", "default", "p")).toBeDefined();
    await clock.pass(1);
    expect(fake.get("pods", "default", "p")).toBeUndefined();
    expect(fake.journal.map(({ verb, by, manager }) => [verb, by, manager])).toEqual([
      ["evict", "api", "navarch"],
      ["delete", "api", "navarch"],
      ["delete", "cluster", "kubelet"],
    ]);
  });

  test("deletionTimestamp is the end of the grace", async () => {
    const { clock, fake, call } = open();
    seedPod(fake, "p", { terminationGracePeriodSeconds: 90 });
    await call("delete", `${PODS}/p`);
    const pod = readPod(fake.get("pods", "default", "p"));
    expect(pod?.deletionAt).toBe(clock.wallMs() + 90_000);
  });

  test("a kubelet that is down ends nothing until it is back", async () => {
    const { clock, fake, call } = open();
    seedPod(fake, "p");
    fake.cluster.setKubelet("n1", false);
    await call("delete", `${PODS}/p`);
    await clock.pass(3_600_000);
    expect(fake.get("pods", "default", "p")).toBeDefined();
    fake.cluster.setKubelet("n1", true);
    await clock.pass(1_000);
    expect(fake.get("pods", "default", "p")).toBeUndefined();
  });

  test("a finalizer outlasts the kubelet", async () => {
    const { clock, fake, call } = open();
    seedPod(fake, "p", {}, { finalizers: ["example.com/save"] });
    await call("delete", `${PODS}/p`);
    await clock.pass(3_600_000);
    expect(readPod(fake.get("pods", "default", "p"))?.finalizers).toEqual(["example.com/save"]);
    fake.person.edit("pods", "default", "p", { metadata: { finalizers: null } });
    expect(fake.get("pods", "default", "p")).toBeUndefined();
  });

  test("a shortened grace is kept", async () => {
    const { clock, fake, call } = open();
    seedPod(fake, "p", { terminationGracePeriodSeconds: 600 });
    fake.cluster.setStopMs("default", "p", Number.POSITIVE_INFINITY);
    await call("delete", `${PODS}/p`);
    await clock.pass(10_000);
    await call("delete", `${PODS}/p`, { body: { gracePeriodSeconds: 5 } });
    await clock.pass(5_000);
    expect(fake.get("pods", "default", "p")).toBeUndefined();
  });

  test("the pods of a node that is gone are collected, and those of one that came back are not", async () => {
    const { clock, fake } = open();
    for (const name of ["n1", "n2"]) fake.seed("nodes", { metadata: { name } });
    seedPod(fake, "a");
    seedPod(fake, "b", { nodeName: "n2" });
    fake.person.remove("nodes", "", "n1");
    fake.person.recreate("n2");
    await clock.pass(60_000);
    expect(fake.list("pods").map((pod) => readPod(pod)?.name)).toEqual(["b"]);
  });

  test("a node that is out of service gives up its pods and volumes", async () => {
    const { clock, fake } = open();
    fake.seed("nodes", { metadata: { name: "n1" } });
    fake.seed("volumeattachments", { metadata: { name: "v" }, spec: { nodeName: "n1" } });
    seedPod(fake, "a");
    fake.cluster.setKubelet("n1", false);
    const key = "node.kubernetes.io/out-of-service";
    fake.person.taint("n1", { key, value: "nodeshutdown", effect: "NoExecute" });
    await clock.pass(20_000);
    expect([fake.list("pods"), fake.list("volumeattachments")]).toEqual([[], []]);
  });
});

describe("disruption budgets under their controller", () => {
  function openApp(spec: object, expected: number) {
    const world = open();
    const selector = { matchLabels: { app: "a" } };
    const uids = Array.from({ length: expected }, (_, i) =>
      seedPod(world.fake, `p${i}`, {}, { labels: { app: "a" } }),
    );
    world.fake.seed("poddisruptionbudgets", {
      metadata: { name: "b" },
      spec: { ...spec, selector },
    });
    world.fake.cluster.manage("default", "b", expected);
    const ask = (i: number, uid = uids[i] ?? "") => {
      const request = evict(`p${i}`, uid);
      return world.call("create", request.path, request);
    };
    const status = () => world.fake.get("poddisruptionbudgets", "default", "b")?.["status"];
    return { ...world, ask, uids, status };
  }

  test("one goes, the next waits for a replacement", async () => {
    const { fake, ask, clock, status } = openApp({ minAvailable: 2 }, 3);
    expect(status()).toMatchObject({ disruptionsAllowed: 1, currentHealthy: 3 });
    expect((await ask(0)).kind).toBe("ok");
    expect(await ask(1)).toMatchObject({
      status: 429,
      causes: [{ message: "The disruption budget b needs 2 healthy pods and has 2 currently" }],
    });
    await clock.pass(1_000);
    expect((await ask(1)).kind).toBe("refused");
    seedPod(fake, "new", { nodeName: "n2" }, { labels: { app: "a" } });
    expect((await ask(1)).kind).toBe("ok");
  });

  test.each([
    [{ maxUnavailable: 1 }, 4, 3],
    [{ maxUnavailable: "25%" }, 5, 3],
    [{ minAvailable: "50%" }, 5, 3],
    [{ minAvailable: 5 }, 5, 5],
  ])("%j of %j wants %j", (spec, expected, desiredHealthy) => {
    expect(openApp(spec, expected).status()).toMatchObject({ desiredHealthy });
  });

  test("a disruption that came to nothing is given back after two minutes", async () => {
    const { ask, clock, status } = openApp({ minAvailable: 2 }, 3);
    expect(await ask(0, "another")).toMatchObject({ kind: "refused", status: 409 });
    expect(status()).toMatchObject({
      disruptionsAllowed: 0,
      disruptedPods: { p0: expect.any(String) },
    });
    await clock.pass(121_000);
    expect(status()).toMatchObject({ disruptionsAllowed: 1 });
    expect(status()).not.toHaveProperty("disruptedPods");
  });

  test("a change of the spec is looked at at once", async () => {
    const { fake, status } = openApp({ minAvailable: 3 }, 3);
    fake.person.edit("poddisruptionbudgets", "default", "b", { spec: { minAvailable: 1 } });
    expect(status()).toMatchObject({ disruptionsAllowed: 2, observedGeneration: 2 });
  });
});

describe("evictions", () => {
  test("are counted by UID, asked and granted", async () => {
    const { fake, call } = open();
    const uid = seedPod(fake, "p");
    for (const [name, of] of [
      ["p", uid],
      ["p", uid],
      ["p", "stale"],
      ["gone", "stale"],
    ] as const) {
      const request = evict(name, of);
      void call("create", request.path, request);
    }
    await Promise.resolve();
    expect([...fake.evictions]).toEqual([
      [uid, { asked: 2, granted: 2 }],
      ["stale", { asked: 2, granted: 0 }],
    ]);
    expect(fake.asked.get("create pods/eviction")).toBe(4);
  });

  test("of a pending pod under another UID are held for ten seconds", async () => {
    const { fake, call, clock } = open();
    fake.seed("pods", { metadata: { name: "p" }, spec: {}, status: { phase: "Pending" } });
    const request = evict("p", "stale");
    const short = call("create", request.path, { ...request, timeoutMs: 7_000 });
    const long = call("create", request.path, { ...request, timeoutMs: 20_000 });
    await clock.pass(7_000);
    expect(await settled(short)).toMatchObject({ kind: "lost" });
    expect(await settled(long)).toBe("pending");
    await clock.pass(3_000);
    expect(await settled(long)).toMatchObject({ kind: "refused", status: 409 });
  });

  test("in a namespace that ends are refused with the cause", async () => {
    const { fake, call } = open();
    const uid = seedPod(fake, "p");
    fake.terminating.add("default");
    const request = evict("p", uid);
    expect(await call("create", request.path, request)).toMatchObject({
      kind: "refused",
      status: 403,
      causes: [{ reason: "NamespaceTerminating" }],
    });
  });

  test.each([
    [{ disruptionsAllowed: -1 }, "pdb disruptions allowed is negative"],
    [
      {
        disruptionsAllowed: 1,
        disruptedPods: Object.fromEntries(Array.from({ length: 2_001 }, (_, i) => [`p${i}`, ""])),
      },
      "DisruptedPods map too big",
    ],
  ])("stop at a budget whose controller is behind: %#", async (status, told) => {
    const { fake, call } = open();
    const uid = seedPod(fake, "p", {}, { labels: { app: "a" } });
    fake.seed("poddisruptionbudgets", {
      metadata: { name: "b" },
      spec: { selector: { matchLabels: { app: "a" } } },
      status: { observedGeneration: 1, ...status },
    });
    const request = evict("p", uid);
    const answer = await call("create", request.path, request);
    expect(answer).toMatchObject({ status: 403, causes: [{ reason: "DisruptionBudget" }] });
    expect(answer).toHaveProperty("message", expect.stringContaining(told));
  });
});

describe("people", () => {
  const read = (fake: FakeKube, name = "n1") => readNode(fake.get("nodes", "", name));

  test("cordon, uncordon, annotate, label and taint as kubectl does", () => {
    const { fake } = open();
    fake.seed("nodes", { metadata: { name: "n1" } });
    const { person } = fake;
    person.cordon("n1");
    person.cordon("n1");
    expect(read(fake)).toMatchObject({ unschedulable: true, others: ["kubectl"] });
    expect(fake.journal).toHaveLength(1);
    expect(fake.journal).toMatchObject([{ verb: "patch", resource: "nodes", by: "person" }]);
    person.uncordon("n1");
    person.annotate("nodes", "", "n1", { "navarch.dev/hold": "true" });
    person.label("nodes", "", "n1", { pool: "a" });
    const key = "navarch.dev/draining";
    person.taint("n1", { key, effect: "NoSchedule" });
    person.taint("n1", { key, value: "x", effect: "NoSchedule" });
    const taints = [{ key, value: "x", effect: "NoSchedule" }];
    const annotations = { "navarch.dev/hold": "true" };
    expect(read(fake)).toMatchObject({ unschedulable: false, others: [], annotations, taints });
    person.untaint("n1", key);
    person.annotate("nodes", "", "n1", { "navarch.dev/hold": null });
    expect(read(fake)).toMatchObject({ annotations: {}, taints: [] });
    expect(read(fake)?.labels).toMatchObject({ pool: "a" });
  });

  test("recreate a node: another object under the same name, without what was on it", () => {
    const { fake } = open();
    const spec = { providerID: "aws:///a/i-1", taints: [{ key: "a", effect: "NoSchedule" }] };
    const old = uidOf(fake.seed("nodes", { metadata: { name: "n1" }, spec }));
    fake.person.cordon("n1");
    const uid = uidOf(fake.person.recreate("n1"));
    expect(uid).not.toBe(old);
    const expected = { uid, unschedulable: false, taints: [], providerId: "aws:///a/i-1" };
    expect(read(fake)).toMatchObject(expected);
    expect(fake.journal.map(({ verb, uid: of }) => [verb, of])).toEqual([
      ["patch", old],
      ["delete", old],
      ["create", uid],
    ]);
  });

  test("wipe ownership, and throw where there is nothing", () => {
    const { fake } = open();
    fake.seed("nodes", { metadata: { name: "n1" } });
    fake.person.cordon("n1");
    fake.person.wipeManagedFields("n1");
    expect(read(fake)).toMatchObject({ unschedulable: true, own: false, others: ["unknown"] });
    expect(() => fake.person.cordon("n2")).toThrow("no nodes /n2");
  });
});

describe("faults", () => {
  const label = { contentType: PATCH.merge, body: { metadata: { labels: { x: "1" } } } };
  const isDone = (fake: FakeKube): boolean =>
    readNode(fake.get("nodes", "", "n1"))?.labels["x"] === "1";
  function openOne(random?: () => number) {
    const world = open(random);
    world.fake.seed("nodes", { metadata: { name: "n1" } });
    return { ...world, write: () => world.call("patch", `${NODES}/n1`, label) };
  }

  test("a server that is down loses calls and watches at once", async () => {
    const { fake, write } = openOne();
    const options = { signal: new AbortController().signal, silenceMs: 60_000 };
    const watch = fake.watch(NODES, {}, () => {}, options);
    fake.setFault({ down: true });
    expect(await settled(write())).toMatchObject({ kind: "lost" });
    expect(await settled(watch)).toMatchObject({ kind: "lost" });
    expect(await settled(fake.watch(NODES, {}, () => {}, options))).toMatchObject({ kind: "lost" });
    expect(isDone(fake)).toBe(false);
    fake.setFault(NO_FAULT);
    expect((await write()).kind).toBe("ok");
  });

  test("one that hangs answers nothing and does nothing", async () => {
    const { fake, clock, write } = openOne();
    fake.setFault({ hang: true });
    const answer = write();
    await clock.pass(9_999);
    expect(await settled(answer)).toBe("pending");
    await clock.pass(1);
    expect(await settled(answer)).toMatchObject({ kind: "lost" });
    expect(isDone(fake)).toBe(false);
  });

  test("a slow one does the work after its caller has gone", async () => {
    const { fake, clock, write } = openOne();
    fake.setFault({ latencyMs: 15_000 });
    const answer = write();
    await clock.pass(10_000);
    expect(await settled(answer)).toMatchObject({ kind: "lost" });
    expect(isDone(fake)).toBe(false);
    await clock.pass(5_000);
    expect(isDone(fake)).toBe(true);
  });

  test("a lost answer is of work that was done", async () => {
    const { fake, write } = openOne();
    fake.setFault({ lostAnswers: 1 });
    expect((await write()).kind).toBe("lost");
    expect(isDone(fake)).toBe(true);
  });

  test.each([
    [401, { reason: "Unauthorized", retryAfterMs: null }],
    [429, { reason: "", retryAfterMs: 1_000 }],
    [500, { reason: "InternalError" }],
    [503, { reason: "ServiceUnavailable" }],
    [504, { reason: "Timeout" }],
  ] as const)("a storm of %j", async (status, expected) => {
    const { fake, write } = openOne();
    fake.setFault({ storms: [{ status, probability: 1, done: 0 }] });
    expect(await write()).toMatchObject({ kind: "refused", status, causes: [], ...expected });
    expect(isDone(fake)).toBe(false);
    const options = { signal: new AbortController().signal, silenceMs: 1_000 };
    expect(await fake.watch(NODES, {}, () => {}, options)).toMatchObject({ status });
  });

  test("a storm hits its share, in the same order for the same draws", async () => {
    const count = async () => {
      const { fake, write } = openOne();
      fake.setFault({ storms: [{ status: 500, probability: 0.3 }] });
      const kinds = [];
      for (let i = 0; i < 200; i++) kinds.push((await write()).kind);
      return kinds;
    };
    const kinds = await count();
    expect(kinds).toEqual(await count());
    const share = kinds.filter((kind) => kind === "refused").length / kinds.length;
    expect(share).toBeWithin(0.2, 0.4);
  });

  test("a storm may be for some calls only, and a 504 may have been done", async () => {
    const { fake, write, call } = openOne(() => 0.4);
    fake.setFault({
      storms: [{ status: 504, probability: 1 }],
      concerns: ({ verb }) => verb === "patch",
    });
    expect((await call("get", `${NODES}/n1`)).kind).toBe("ok");
    expect(await write()).toMatchObject({ kind: "refused", status: 504 });
    expect(isDone(fake)).toBe(true);
  });

  test("what the account may not do is refused in the server's words", async () => {
    const { fake, call, write } = openOne();
    for (const what of ["patch nodes", "watch nodes", "create pods/eviction", "list pods"]) {
      fake.denied.add(what);
    }
    const user = 'User "system:serviceaccount:navarch:navarch"';
    const told = [
      await write(),
      await call("create", `${PODS}/p/eviction`, { body: {} }),
      await call("list", "/api/v1/pods"),
    ].map((answer) => (answer.kind === "refused" ? answer.message : answer.kind));
    expect(told).toEqual([
      `nodes "n1" is forbidden: ${user} cannot patch resource "nodes" in API group "" at the cluster scope`,
      `pods "p" is forbidden: ${user} cannot create resource "pods/eviction" in API group "" in the namespace "default"`,
      `pods is forbidden: ${user} cannot list resource "pods" in API group "" at the cluster scope`,
    ]);
    const options = { signal: new AbortController().signal, silenceMs: 1_000 };
    const watch = await fake.watch(NODES, {}, () => {}, options);
    expect(watch).toMatchObject({ kind: "refused", status: 403 });
  });

  test("a closed one answers nobody", async () => {
    const { fake, write } = openOne();
    const options = { signal: new AbortController().signal, silenceMs: 60_000 };
    const watch = fake.watch(NODES, {}, () => {}, options);
    fake.close();
    expect(await watch).toEqual({ kind: "ended" });
    expect((await write()).kind).toBe("lost");
  });
});

describe("watches", () => {
  function listen(fake: FakeKube, query: Record<string, string> = {}, silenceMs = 120_000) {
    const types: string[] = [];
    const take = ({ type }: WatchEvent): void => void types.push(type);
    const stop = new AbortController();
    const ended = fake.watch(NODES, query, take, { signal: stop.signal, silenceMs });
    return { types, ended, stop };
  }
  const add = (fake: FakeKube, name: string) => fake.seed("nodes", { metadata: { name } });

  test("never tell anything within the call that changed it", async () => {
    const { fake } = open();
    const { types } = listen(fake);
    add(fake, "n1");
    expect(types).toEqual([]);
    await Promise.resolve();
    expect(types).toEqual(["ADDED"]);
  });

  test("bring a bookmark each minute, which keeps silence away", async () => {
    const { fake, clock } = open();
    const { types, ended } = listen(fake, { allowWatchBookmarks: "true" }, 61_000);
    await clock.pass(600_000);
    expect(types).toEqual(Array.from({ length: 10 }, () => "BOOKMARK"));
    expect(await settled(ended)).toBe("pending");
  });

  test("end after their time, half an hour unless told", async () => {
    const { fake, clock } = open();
    const { ended } = listen(fake, {}, 10_000_000);
    await clock.pass(1_800_000);
    expect(await settled(ended)).toEqual({ kind: "ended" });
    expect(fake.watching).toBe(0);
  });

  test("that are frozen are silent, and catch up if they live", async () => {
    const { fake, clock } = open();
    const query = { allowWatchBookmarks: "true" };
    const [patient, hasty] = [listen(fake, query, 600_000), listen(fake, query, 90_000)];
    fake.setFault({ frozenWatch: true });
    add(fake, "n1");
    await clock.pass(100_000);
    expect(await settled(hasty.ended)).toMatchObject({ kind: "lost" });
    expect([...patient.types, ...hasty.types]).toEqual([]);
    fake.setFault({ frozenWatch: false });
    await clock.pass(0);
    expect(patient.types).toEqual(["ADDED", "BOOKMARK"]);
  });

  test("that lag tell everything later and in order", async () => {
    const { fake, clock } = open();
    const { types } = listen(fake);
    fake.setFault({ watchLagMs: 500 });
    add(fake, "n1");
    fake.person.remove("nodes", "", "n1");
    await clock.pass(499);
    expect(types).toEqual([]);
    await clock.pass(1);
    expect(types).toEqual(["ADDED", "DELETED"]);
  });

  test("expire where the past is compacted, in both ways", async () => {
    const { fake, call } = open();
    for (const name of ["n1", "n2", "n3"]) add(fake, name);
    const page = await call("list", NODES, { query: { limit: "1" } });
    if (page.kind !== "ok") throw new Error("no list");
    const { metadata } = page.body as { metadata: { resourceVersion: string; continue: string } };
    const live = listen(fake);
    add(fake, "n4");
    fake.compact();
    const old = listen(fake, { resourceVersion: metadata.resourceVersion });
    expect(await old.ended).toEqual({ kind: "expired" });
    const rest = await call("list", NODES, { query: { limit: "1", continue: metadata.continue } });
    expect(rest).toMatchObject({ kind: "refused", status: 410, reason: "Expired" });
    // A watch that is open goes on, until the server ends it.
    expect(await settled(live.ended)).toBe("pending");
    fake.endWatches({ kind: "expired" });
    expect(await live.ended).toEqual({ kind: "expired" });
  });

  test("leave nothing behind when they are aborted", async () => {
    const { fake, clock } = open();
    const { types, ended, stop } = listen(fake, { allowWatchBookmarks: "true" });
    stop.abort();
    const end: WatchEnd = await ended;
    expect(end).toEqual({ kind: "ended" });
    add(fake, "n1");
    await clock.pass(1);
    expect(types).toEqual([]);
    expect(clock.nextMs()).toBeNull();
  });
});

test("a version of the future is too large for a list", async () => {
  const { call } = open();
  const answer = await call("list", NODES, { query: { resourceVersion: "99999" } });
  expect(answer).toMatchObject({ kind: "refused", status: 504, reason: "Timeout" });
});

test("what was answered is never changed afterwards", async () => {
  const { fake, call } = open();
  fake.seed("nodes", { metadata: { name: "n1" } });
  const answer = await call("get", `${NODES}/n1`);
  const before = structuredClone(answer);
  fake.person.cordon("n1");
  fake.person.taint("n1", { key: "a", effect: "NoSchedule" });
  fake.person.label("nodes", "", "n1", { a: "b" });
  expect(answer).toEqual(before);
});

test("a journal entry tells who wrote what and when", async () => {
  const { fake, call, clock } = open();
  const uid = uidOf(fake.seed("nodes", { metadata: { name: "n1" } }));
  await clock.pass(5_000);
  const body = {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "n1", uid },
    spec: { unschedulable: true },
  };
  const query = { fieldManager: "navarch-cordon", force: "true" };
  for (let i = 0; i < 2; i++) {
    await call("patch", `${NODES}/n1`, { contentType: PATCH.apply, query, body });
  }
  // The second had no effect.
  expect(fake.journal).toEqual([
    {
      at: clock.wallMs(),
      verb: "patch",
      resource: "nodes",
      namespace: "",
      name: "n1",
      uid,
      manager: "navarch-cordon",
      by: "api",
      version: readNode(fake.get("nodes", "", "n1"))?.resourceVersion ?? "",
    },
  ]);
});
