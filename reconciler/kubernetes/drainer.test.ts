/**
 * Drains against the API server in memory, in virtual time: a second passes between two words of
 * the reconciler. Asserted is what the cluster ended up with.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NodeId } from "../../schema/id.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import type { DrainSight } from "../core/fleet.ts";
import type { KubeAnswer, KubeRequest } from "./api.ts";
import { DRAIN_RULE } from "../core/kubernetes/drain-plan.ts";
import type { DrainEvent, PodEvent } from "./drain-sight.ts";
import type { DesiredDrain } from "../core/kubernetes/desired-drain.ts";
import { judgeEviction } from "./eviction.ts";
import { Drainers } from "./drainer.ts";
import { openFakeKube } from "../../simulator/cluster/fake.ts";
import type { FakeKube } from "../../simulator/cluster/fake.ts";
import { notWanted } from "./limiter.ts";
import { readPod } from "./read-pod.ts";

const SECOND = 1_000;
const MINUTE = 60_000;

type PodSpec = {
  node?: string;
  owner?: { kind: string; name: string } | null;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  graceS?: number;
  spec?: Record<string, unknown>;
  status?: Record<string, unknown>;
  uid?: string;
};

type Pod = {
  metadata: {
    name: string;
    uid: string;
    deletionTimestamp?: string;
    deletionGracePeriodSeconds?: number;
    ownerReferences?: { uid: string }[];
  };
  spec: { nodeName: string };
};

class Stage {
  readonly clock = new VirtualClock(Date.UTC(2026, 10, 21));
  readonly kube: FakeKube;
  readonly events: DrainEvent[] = [];
  readonly podEvents: PodEvent[] = [];
  readonly requests: KubeRequest[] = [];
  readonly answers: KubeAnswer[] = [];
  readonly wanted = new Map<string, DesiredDrain>();
  hints = 0;
  /** What the watch says of itself. */
  watch = { ageMs: 0, synced: true };
  drainers: Drainers;
  /** What the write limit would have room for. */
  room = 400;
  /** Whether what waits for its turn is still wanted when that comes. */
  isWanted = true;
  /** How long a write waits for its turn. */
  turnMs = 0;

  /** `kubernetes.slinky` is not false. */
  slinky = true;

  private process = { isAlive: true };
  /** Pods whose eviction was on its way when a process died: the next one cannot know of it. */
  private readonly unheard = new Set<string>();
  private readonly underWay = new Set<string>();

  constructor(random: () => number = () => 0.5) {
    this.kube = openFakeKube({ clock: this.clock, random });
    this.drainers = this.restart(random);
  }

  /** A new process: nothing is remembered. */
  restart(random: () => number = () => 0.5): Drainers {
    const { kube, clock } = this;
    // What the old process had sent goes on; what it would have sent next, nobody sends.
    this.process.isAlive = false;
    for (const uid of this.underWay) this.unheard.add(uid);
    const process = { isAlive: true };
    this.process = process;
    this.drainers = new Drainers({
      api: {
        watch: (...given) => kube.watch(...given),
        close: () => kube.close(),
        call: async (request) => {
          if (!process.isAlive) return { kind: "lost", message: "the process is dead" };
          if (!this.isWanted && request.lane === "evict") return notWanted();
          this.requests.push(request);
          if (this.turnMs > 0 && request.lane === "evict")
            await new Promise<void>((done) => void clock.after(this.turnMs, done));
          // As the limiter asks when the turn comes.
          if (request.isWanted?.() === false) return notWanted();
          const uid = /"uid":"([^"]+)"/.exec(JSON.stringify(request.body ?? ""))?.[1] ?? "";
          if (request.lane === "evict") this.underWay.add(uid);
          const answer = await kube.call(request);
          this.underWay.delete(uid);
          this.answers.push(answer);
          return answer;
        },
      },
      pods: {
        byNode: (node) =>
          kube.list("pods").flatMap((object) => {
            const pod = readPod(object);
            return pod?.node === node ? [pod] : [];
          }),
        ageMs: () => this.watch.ageMs,
        synced: () => this.watch.synced,
      },
      clock,
      random,
      log: () => undefined,
      slinky: this.slinky,
      wakeUp: () => this.hints++,
      tell: (event) => this.events.push(event),
      tellPod: (event) => this.podEvents.push(event),
      room: () => this.room,
    });
    return this.drainers;
  }

  pod(name: string, spec: PodSpec = {}): string {
    const { node = "n1", owner = { kind: "ReplicaSet", name: "web" }, graceS = 30 } = spec;
    const reference = {
      apiVersion: owner?.kind === "Job" ? "batch/v1" : "apps/v1",
      controller: true,
      uid: `u-${owner?.name}`,
      ...owner,
    };
    const made = this.kube.seed("pods", {
      metadata: {
        name,
        namespace: "ns",
        ...(spec.uid === undefined ? {} : { uid: spec.uid }),
        labels: spec.labels ?? {},
        annotations: spec.annotations ?? {},
        ...(spec.finalizers === undefined ? {} : { finalizers: spec.finalizers }),
        ...(owner === null ? {} : { ownerReferences: [reference] }),
      },
      spec: { nodeName: node, terminationGracePeriodSeconds: graceS, ...spec.spec },
      ...(spec.status === undefined ? {} : { status: spec.status }),
    });
    return (made as Pod).metadata.uid;
  }

  pods(node = "n1"): Pod[] {
    return (this.kube.list("pods") as Pod[]).filter(({ spec }) => spec.nodeName === node);
  }

  names(node = "n1"): string[] {
    return this.pods(node)
      .map(({ metadata }) => metadata.name)
      .sort();
  }

  budget(name: string, labels: Record<string, string>, minAvailable: number, expected: number) {
    this.kube.seed("poddisruptionbudgets", {
      metadata: { name, namespace: "ns" },
      spec: { minAvailable, selector: { matchLabels: labels } },
    });
    this.kube.cluster.manage("ns", name, expected);
  }

  desired(node = "n1", change: Partial<DesiredDrain> = {}): DesiredDrain {
    const desired: DesiredDrain = {
      node: node as NodeId,
      pool: null,
      name: node,
      uid: `u-${node}`,
      why: "xid 79 on gpu 3",
      since: this.clock.wallMs(),
      deadlineAt: 0,
      gracePeriodMs: -1,
      force: false,
      ignoreDaemonsets: true,
      deleteEmptydirData: true,
      mode: "evict",
      deleteAtDeadline: false,
      ordered: false,
      unreachable: false,
      paused: null,
      ...this.wanted.get(node),
      ...change,
    };
    this.wanted.set(node, desired);
    return desired;
  }

  /** Seconds pass; the reconciler speaks in each, `each` looks after each. */
  async tick(seconds: number, each: () => void = () => undefined): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      this.drainers.tend([...this.wanted.values()]);
      await this.clock.pass(SECOND);
      each();
    }
  }

  left(node = "n1"): DrainSight {
    return this.drainers.left(node as NodeId);
  }

  message(node = "n1"): string {
    const left = this.left(node);
    return "message" in left ? left.message : left.kind;
  }

  /** Seconds until the node is empty. */
  async untilEmpty(secondsMax: number, node = "n1", each?: () => void): Promise<number> {
    for (let i = 1; i <= secondsMax; i++) {
      await this.tick(1, each);
      if (this.left(node).kind === "empty") return i;
    }
    throw new Error(`not empty after ${secondsMax} s: ${this.message(node)}`);
  }

  /** What the product did to pods: `evict web-1`. */
  steps(): string[] {
    return this.kube.journal
      .filter(({ by, resource }) => by === "api" && resource.startsWith("pods"))
      .filter(({ verb }, i, all) => verb !== "delete" || all[i - 1]?.verb !== "evict")
      .map(({ verb, name }) => `${verb} ${name}`);
  }

  /** Requests about pods that ask something of them. */
  asks(): KubeRequest[] {
    return this.requests.filter(({ lane }) => lane === "evict");
  }

  /** What has to hold in every story. */
  check(): void {
    for (const [uid, { granted }] of this.kube.evictions)
      // To evict a pod that is leaving spends no budget and changes nothing.
      expect(granted).toBeLessThanOrEqual(this.unheard.has(uid) ? 2 : 1);
    for (const request of this.asks()) {
      const body = JSON.stringify(request.body);
      expect(body).toContain('"preconditions":{"uid":"');
      expect(body).not.toContain('"gracePeriodSeconds":0');
      expect(request.timeoutMs).toBeLessThanOrEqual(7_000);
    }
  }
}

const graces = (stage: Stage): (number | undefined)[] =>
  stage.asks().map(({ body }) => {
    const { deleteOptions, ...rest } = body as {
      deleteOptions?: { gracePeriodSeconds?: number };
      gracePeriodSeconds?: number;
    };
    return (deleteOptions ?? rest).gracePeriodSeconds;
  });

describe("Drainers", () => {
  test("tend() empties a node as kubectl drain does", async () => {
    const stage = new Stage();
    stage.kube.seed("daemonsets", { metadata: { name: "agent", namespace: "ns" } });
    stage.pod("web");
    stage.pod("scratch", { spec: { volumes: [{ name: "s", emptyDir: {} }] } });
    stage.pod("done", { owner: null, status: { phase: "Succeeded" } });
    stage.pod("ds", { owner: { kind: "DaemonSet", name: "agent" } });
    stage.pod("mirror", { owner: null, annotations: { "kubernetes.io/config.mirror": "x" } });
    stage.pod("elsewhere", { node: "n2" });
    const since = stage.desired("n1", { gracePeriodMs: 300_000 }).since;
    const seconds = await stage.untilEmpty(30);
    expect(seconds).toBeLessThan(10);
    expect(stage.names()).toEqual(["ds", "mirror"]);
    expect(stage.names("n2")).toEqual(["elsewhere"]);
    expect(stage.steps().sort()).toEqual(["evict done", "evict scratch", "evict web"]);
    expect(graces(stage)).toEqual([300, 300, 300]);
    const left = stage.left();
    if (left.kind !== "empty") throw new Error(left.kind);
    expect(left.seenAt).toBeGreaterThanOrEqual(since + 5 * SECOND);
    expect(left.seenAt).toBeLessThanOrEqual(stage.clock.wallMs());
    expect(stage.hints).toBeGreaterThan(0);
    stage.check();
  });

  test("left() is never empty before it was watched for a while, and twice", async () => {
    const stage = new Stage();
    stage.desired();
    expect(stage.left().kind).toBe("dark");
    await stage.tick(5, () => expect(stage.left().kind).not.toBe("empty"));
    const before = stage.requests.length;
    await stage.untilEmpty(5);
    const lists = stage.requests.filter(({ path }) => path === "/api/v1/pods");
    expect(lists.length - before).toBe(2);
    for (const { query } of lists) expect(query?.["resourceVersion"]).toBeUndefined();
  });

  test("left() takes an empty node for busy again when a pod was bound late", async () => {
    const stage = new Stage();
    stage.desired();
    await stage.untilEmpty(10);
    stage.pod("late");
    await stage.tick(3);
    expect(stage.left().kind).toBe("busy");
    await stage.untilEmpty(10);
    expect(stage.steps()).toEqual(["evict late"]);
  });

  test("only two empty lists in a row prove that nothing is left", async () => {
    const stage = new Stage();
    const lists = (): number => stage.requests.filter(({ path }) => path === "/api/v1/pods").length;
    stage.desired();
    // The first list comes too soon after the cordon to count; the second one is the first of two.
    for (let i = 0; i < 20 && lists() < 2; i++) await stage.tick(1);
    expect(stage.message()).toBe("no pod that must leave was seen; looking once more");
    stage.pod("late");
    for (let i = 0; i < 20 && !stage.message().startsWith("1 pod"); i++) await stage.tick(1);
    expect(stage.message()).toStartWith("1 pod");
    await stage.untilEmpty(30);
    // One list has the late pod; the two that prove the node empty come after it.
    expect(lists()).toBe(5);
  });

  test("no pod is evicted before each draining node was listed once", async () => {
    const stage = new Stage();
    stage.pod("a");
    stage.pod("b", { node: "n2" });
    stage.kube.setFault({
      storms: [{ status: 500, probability: 1 }],
      concerns: ({ path, query }) =>
        path === "/api/v1/pods" && JSON.stringify(query ?? {}).includes("n2"),
    });
    stage.desired();
    stage.desired("n2");
    await stage.tick(10);
    expect(stage.asks()).toEqual([]);
    stage.kube.setFault({ storms: [] });
    await stage.untilEmpty(30);
    await stage.untilEmpty(30, "n2");
    expect(stage.steps().sort()).toEqual(["evict a", "evict b"]);
  });

  test("an eviction that waits for its turn is not sent once its drain is cancelled", async () => {
    const stage = new Stage();
    stage.pod("a");
    stage.pod("b", { node: "n2" });
    stage.turnMs = 3 * SECOND;
    stage.desired();
    stage.desired("n2");
    for (let i = 0; i < 20 && stage.asks().length < 2; i++) await stage.tick(1);
    expect(stage.asks()).toHaveLength(2);
    expect(stage.steps()).toEqual([]);
    stage.wanted.delete("n1");
    await stage.tick(10);
    expect(stage.steps()).toEqual(["evict b"]);
    expect(stage.names()).toEqual(["a"]);
  });

  test("a restart in the middle repeats nothing", async () => {
    const stage = new Stage();
    for (let i = 0; i < 6; i++) {
      stage.pod(`web-${i}`, { labels: { app: "web" } });
      stage.kube.cluster.setStopMs("ns", `web-${i}`, 20 * SECOND);
    }
    stage.budget("web", { app: "web" }, 3, 6);
    stage.desired();
    for (let i = 0; i < 6; i++) {
      await stage.tick(2);
      stage.restart();
    }
    expect(stage.steps()).toHaveLength(3);
    await stage.tick(20);
    expect(stage.names()).toHaveLength(3);
    expect(stage.message()).toBe(
      "3 pods waiting for PodDisruptionBudget ns/web (needs 3 healthy, has 3)",
    );
    for (const { asked } of stage.kube.evictions.values()) expect(asked).toBeLessThan(12);
    stage.check();
  });

  test("whom a budget has refused for long is asked as soon as it opens", async () => {
    const stage = new Stage();
    for (const name of ["a", "b", "c"]) stage.pod(name, { labels: { app: "web" } });
    stage.pod("d", { labels: { app: "other" } });
    stage.budget("web", { app: "web" }, 3, 3);
    stage.budget("other", { app: "other" }, 1, 1);
    stage.desired();
    await stage.tick(300);
    expect(stage.names()).toEqual(["a", "b", "c", "d"]);
    const asked = stage.asks().length;
    const hints = stage.hints;
    stage.kube.person.edit("poddisruptionbudgets", "ns", "web", { spec: { minAvailable: 1 } });
    stage.kube.cluster.manage("ns", "web", 3);
    await stage.tick(4);
    expect(stage.steps().filter((step) => step.startsWith("evict "))).toHaveLength(2);
    // The third and the one of the other budget wait for their own time.
    expect(stage.asks().length - asked).toBeLessThanOrEqual(3);
    expect(stage.hints).toBeGreaterThan(hints);
    stage.check();
  });

  test("nobody looks at budgets where none holds anybody up, nor after the last drain", async () => {
    const stage = new Stage();
    const watched = (): boolean => stage.requests.some(({ path }) => path.includes("budgets"));
    stage.pod("a");
    stage.desired();
    await stage.untilEmpty(60);
    expect(watched()).toBe(false);
    stage.pod("b", { labels: { app: "b" } });
    stage.budget("b", { app: "b" }, 1, 1);
    await stage.tick(30);
    expect(watched()).toBe(true);
    stage.wanted.clear();
    await stage.tick(1);
    stage.requests.length = 0;
    await stage.tick(600);
    expect(stage.requests).toEqual([]);
  });

  test("a server that is away for ten minutes makes the node dark, and then it goes on", async () => {
    const stage = new Stage();
    stage.pod("a");
    stage.pod("b", { labels: { app: "b" } });
    stage.budget("b", { app: "b" }, 1, 1);
    stage.desired();
    await stage.tick(3);
    expect(stage.steps()).toEqual(["evict a"]);
    stage.kube.setFault({ down: true });
    await stage.tick(20);
    await stage.tick(580, () => expect(stage.left().kind).toBe("dark"));
    // The copy of the budgets is asked for as the copies of pods and nodes are.
    const copies = stage.requests.filter(({ path }) => path.endsWith("/poddisruptionbudgets"));
    expect(copies.length).toBeLessThan(100);
    expect(stage.requests.length - copies.length).toBeLessThan(60);
    stage.kube.setFault({ down: false });
    stage.kube.person.edit("poddisruptionbudgets", "ns", "b", { spec: { minAvailable: 0 } });
    stage.kube.cluster.manage("ns", "b", 1);
    await stage.untilEmpty(70);
    stage.check();
  });

  test("a watch that is silent for two bookmarks makes the node dark, and nobody is asked", async () => {
    const stage = new Stage();
    stage.watch.ageMs = 101 * SECOND;
    stage.pod("a");
    stage.desired();
    await stage.tick(10);
    expect(stage.message()).toBe("the watch on pods has been silent for 101 s");
    expect(stage.asks()).toEqual([]);
    stage.watch = { ageMs: 0, synced: false };
    await stage.tick(10);
    expect(stage.left().kind).toBe("dark");
    expect(stage.asks()).toEqual([]);
    stage.watch = { ageMs: 0, synced: true };
    await stage.untilEmpty(20);
  });

  test("a storm of 429 slows everything and ends nothing", async () => {
    const stage = new Stage();
    for (let i = 0; i < 30; i++) stage.pod(`p-${i}`);
    stage.desired();
    stage.kube.setFault({
      storms: [{ status: 429, probability: 1, retryAfterMs: 10 * SECOND }],
      concerns: ({ lane }) => lane === "evict",
    });
    await stage.tick(60);
    // One round of twenty at once, and one each time that the server's pause is over.
    expect(stage.asks().length).toBeLessThanOrEqual(20 * 7);
    expect(stage.message()).toContain("waiting because the server is short of room");
    expect(stage.names()).toHaveLength(30);
    stage.kube.setFault({ storms: [] });
    await stage.untilEmpty(60);
    stage.check();
  });

  test("an answer that was lost is read up before the pod is asked again", async () => {
    const stage = new Stage();
    const uid = stage.pod("a", { graceS: 60 });
    stage.kube.cluster.setStopMs("ns", "a", 30 * SECOND);
    stage.desired();
    stage.kube.setFault({ lostAnswers: 1, concerns: ({ lane }) => lane === "evict" });
    await stage.tick(25);
    expect(stage.asks()).toHaveLength(1);
    expect(stage.kube.evictions.get(uid)).toEqual({ asked: 1, granted: 1 });
    expect(stage.message()).toBe("1 pod terminating");
    await stage.untilEmpty(30);
    stage.check();
  });

  test("a request that hangs is not repeated while the server may still do it", async () => {
    const stage = new Stage();
    stage.pod("a");
    stage.desired();
    stage.kube.setFault({ hang: true, concerns: ({ lane }) => lane === "evict" });
    await stage.tick(14);
    expect(stage.asks()).toHaveLength(1);
    stage.kube.setFault({ hang: false });
    await stage.untilEmpty(30);
    expect(stage.asks()).toHaveLength(2);
    stage.check();
  });

  test("another pod of the same name is left to its own node", async () => {
    const stage = new Stage();
    stage.pod("web-0");
    stage.kube.cluster.setStopMs("ns", "web-0", 0);
    stage.desired();
    // Between the eviction's start and its arrival the pod is replaced by one on another node.
    stage.kube.setFault({ latencyMs: 2 * SECOND });
    await stage.tick(3);
    expect(stage.asks()).toHaveLength(1);
    stage.kube.person.remove("pods", "ns", "web-0");
    await stage.clock.pass(1);
    stage.pod("web-0", { node: "n2", uid: "u-other" });
    await stage.untilEmpty(30);
    expect(stage.answers.filter(({ kind }) => kind === "refused")).toMatchObject([{ status: 409 }]);
    expect(stage.names("n2")).toEqual(["web-0"]);
    expect(stage.kube.evictions.get("u-other")).toBeUndefined();
    expect(stage.asks()).toHaveLength(1);
  });

  test("several budgets over one pod are named at once, and end with the deadline", async () => {
    const stage = new Stage();
    const uid = stage.pod("a", { labels: { app: "a" } });
    stage.budget("one", { app: "a" }, 0, 1);
    stage.budget("two", { app: "a" }, 0, 1);
    const now = stage.clock.wallMs();
    stage.desired("n1", { deadlineAt: now + 2 * MINUTE, deleteAtDeadline: true });
    await stage.tick(80);
    expect(stage.message()).toContain("covered by more than one PodDisruptionBudget");
    expect(stage.events).toMatchObject([
      { reason: "DrainSeveralBudgets", pod: { uid, name: "a" } },
    ]);
    await stage.untilEmpty(60);
    expect(stage.steps()).toEqual(["delete a"]);
    expect(stage.events.map(({ reason }) => reason)).toContain("DrainDeadline");
  });

  test("two budgets that block are two events, and a pod that joins is in the next text", async () => {
    const stage = new Stage();
    for (const app of ["a", "b"]) {
      stage.pod(`${app}-0`, { labels: { app } });
      stage.budget(app, { app }, 2, 2);
    }
    stage.pod("free");
    stage.desired();
    await stage.tick(20);
    const of = (key: string) => stage.events.filter((event) => event.key === key);
    expect([of("ns/a").length, of("ns/b").length]).toEqual([1, 1]);
    expect(stage.podEvents.filter(({ reason }) => reason === "Evicted")).toMatchObject([
      { pod: { namespace: "ns", name: "free" }, name: "n1" },
    ]);
    stage.pod("a-1", { labels: { app: "a" } });
    await stage.tick(40);
    const [first, ...later] = of("ns/a").map(({ isNew }) => isNew);
    expect([first, new Set(later)]).toEqual([true, new Set([false])]);
    expect(of("ns/a").at(-1)?.message).toStartWith("2 pods waiting");
    const blocked = stage.podEvents.filter(({ reason }) => reason === "EvictionBlocked");
    expect([...new Set(blocked.map(({ pod }) => pod.name))].sort()).toEqual(["a-0", "a-1", "b-0"]);
  });

  test("a finalizer that holds a pod is reported and not touched", async () => {
    const stage = new Stage();
    stage.pod("a", { finalizers: ["example.test/hold"], graceS: 10 });
    stage.pod("b");
    stage.desired();
    await stage.tick(30);
    expect(stage.message()).toBe("1 pod terminating with finalizer example.test/hold");
    await stage.tick(60);
    expect(stage.message()).toBe("1 pod stuck in deletion: finalizer example.test/hold (ns/a)");
    expect(stage.events).toMatchObject([{ reason: "DrainStuck" }]);
    await stage.tick(60);
    expect(stage.events).toHaveLength(1);
    stage.kube.person.edit("pods", "ns", "a", { metadata: { finalizers: null } });
    await stage.untilEmpty(30);
    expect(stage.asks()).toHaveLength(2);
    stage.check();
  });

  test("a budget that never frees is waited for until the deadline less the pod's own grace", async () => {
    const stage = new Stage();
    for (const name of ["a", "b"]) stage.pod(name, { labels: { app: "web" }, graceS: 90 });
    for (const name of ["a", "b"]) stage.kube.cluster.setStopMs("ns", name, 10 * MINUTE);
    stage.budget("web", { app: "web" }, 2, 2);
    const deadlineAt = stage.clock.wallMs() + 10 * MINUTE;
    stage.desired("n1", { deadlineAt, deleteAtDeadline: true, gracePeriodMs: 300_000 });
    await stage.tick(505, () => {
      expect(stage.names()).toEqual(["a", "b"]);
      if (stage.left().kind === "busy")
        expect(stage.message()).toContain("2 pods waiting for PodDisruptionBudget ns/web (needs 2");
    });
    expect(stage.steps()).toEqual([]);
    expect(stage.asks().length).toBeLessThan(2 * 30);
    await stage.tick(10);
    expect(stage.steps()).toEqual(["delete a", "delete b"]);
    expect(graces(stage).slice(-2)).toEqual([90, 90]);
    await stage.tick(100);
    expect(stage.names()).toEqual([]);
    expect(stage.left().kind).toBe("empty");
    expect(stage.events.filter(({ isNew }) => isNew).map(({ reason }) => reason)).toEqual([
      "DrainWaitsForBudget",
      "DrainDeadline",
      "DrainDeadline",
    ]);
    // Each pod's owner reads it on the pod.
    for (const name of ["a", "b"]) {
      const own = stage.podEvents.filter(({ pod }) => pod.name === name);
      expect(own.map(({ reason }) => reason)).toEqual(["EvictionBlocked", "DeletedPastBudget"]);
      expect(own[0]?.message).toContain("waiting for PodDisruptionBudget ns/web (needs 2");
      expect(own[1]?.message).toContain("xid 79 on gpu 3");
    }
    stage.check();
  });

  describe("S49: a pod of Slinky's NodeSet", () => {
    const owner = { apiVersion: "slinky.slurm.net/v1beta1", kind: "NodeSet", name: "gpu" };
    const statusOf = (...states: string[]) => ({
      phase: "Running",
      conditions: states.map((one) => ({ type: `SlurmNodeState${one}`, status: "True" })),
    });

    test("is neither evicted nor deleted at the deadline, and others leave", async () => {
      const stage = new Stage();
      stage.pod("slurm", { owner, status: statusOf("Mixed") });
      stage.pod("web-1");
      const deadlineAt = stage.clock.wallMs() + 4 * MINUTE;
      stage.desired("n1", { deadlineAt, deleteAtDeadline: true });
      await stage.tick(60);
      expect(stage.message()).toContain("Slurm runs jobs in it");
      await stage.tick(300);
      expect(stage.steps()).toEqual(["evict web-1"]);
      // Its owner is not told of a deletion that never comes.
      expect(stage.podEvents.map(({ pod }) => pod.name)).toEqual(["web-1"]);
    });

    test("holds the drain until Slurm has drained it", async () => {
      const stage = new Stage();
      stage.pod("slurm", { owner, status: statusOf("Idle") });
      stage.desired();
      await stage.tick(60);
      expect(stage.message()).toContain("Slurm has not drained it yet");
      const status = statusOf("Idle", "Drain");
      stage.kube.person.edit("pods", "ns", "slurm", { status }, { sub: "status" });
      await stage.untilEmpty(30);
      expect([stage.steps(), stage.names()]).toEqual([[], ["slurm"]]);
    });

    test("proves nothing until what the operator shows is younger than the cordon", async () => {
      const stage = new Stage();
      stage.pod("slurm", { owner, status: statusOf("Idle", "Drain") });
      stage.desired();
      await stage.tick(59);
      expect(stage.left().kind).toBe("busy");
      await stage.untilEmpty(10);
    });

    test("is a pod as others are with kubernetes.slinky: false", async () => {
      const stage = new Stage();
      stage.slinky = false;
      stage.restart();
      stage.pod("slurm", { owner, status: statusOf("Mixed") });
      stage.desired();
      await stage.untilEmpty(90);
      expect(stage.steps()).toEqual(["evict slurm"]);
    });
  });

  describe("tells what its deadline does, before and after", () => {
    const clockOf = (at: number): string => `${new Date(at).toISOString().slice(11, 19)} UTC`;
    const own = (stage: Stage, name: string) =>
      stage.podEvents.filter(({ pod }) => pod.name === name);

    test("a pod without a controller: when it is deleted, what keeps it, and the true reason", async () => {
      const stage = new Stage();
      for (const name of ["bare-0", "bare-1"]) stage.pod(name, { owner: null, graceS: 30 });
      const deadlineAt = stage.clock.wallMs() + 4 * MINUTE;
      const at = clockOf(deadlineAt - 30_000);
      stage.desired("n1", { deadlineAt, deleteAtDeadline: true });
      await stage.tick(20);
      expect(stage.events.map(({ reason, message }) => [reason, message])).toEqual([
        [
          "DrainBlocked",
          "2 pods not evicted: they have no controller that would recreate them " +
            `(ns/bare-0, ns/bare-1). Deleted at ${at} unless they end before; ` +
            "navarch.dev/hold=true on the Node keeps them",
        ],
      ]);
      expect(own(stage, "bare-0").map(({ reason, message }) => [reason, message])).toEqual([
        [
          "EvictionBlocked",
          "Node n1 is being drained; this pod is not evicted: it has no controller that would " +
            `recreate it. Deleted at ${at} unless it ends before: save its work, or set ` +
            "navarch.dev/hold=true on Node n1",
        ],
      ]);
      await stage.untilEmpty(300);
      expect(own(stage, "bare-0").at(-1)).toMatchObject({
        reason: "DeletedAtDeadline",
        message:
          `deleted because the drain of Node n1 ends at ${clockOf(deadlineAt)} and it was not ` +
          "evicted before: it has no controller that would recreate it. " +
          "Node n1 is being drained: xid 79 on gpu 3",
      });
      const deleted = stage.events.filter(({ reason }) => reason === "DrainDeadline");
      expect(deleted.map(({ message }) => message.split(" because ")[0])).toEqual([
        "ns/bare-0 is deleted",
        "ns/bare-1 is deleted",
      ]);
      for (const { message } of [...stage.events, ...stage.podEvents]) {
        expect(message).not.toContain("budget");
        expect(message).not.toContain("is may not");
      }
    });

    test("a pod behind a budget: the budget is named in both", async () => {
      const stage = new Stage();
      stage.pod("web-0", { labels: { app: "web" } });
      stage.budget("web", { app: "web" }, 1, 1);
      const deadlineAt = stage.clock.wallMs() + 4 * MINUTE;
      stage.desired("n1", { deadlineAt, deleteAtDeadline: true });
      await stage.tick(20);
      expect(stage.events[0]?.message).toBe(
        "1 pod waiting for PodDisruptionBudget ns/web (needs 1 healthy, has 1). Deleted at " +
          `${clockOf(deadlineAt - 30_000)} unless it ends before; ` +
          "navarch.dev/hold=true on the Node keeps it",
      );
      await stage.untilEmpty(300);
      const last = own(stage, "web-0").at(-1);
      expect(last?.reason).toBe("DeletedPastBudget");
      expect(last?.message).toContain(
        "and PodDisruptionBudget ns/web did not allow its eviction before",
      );
    });

    test("a pod that may finish is told too, though nothing is in its way", async () => {
      const stage = new Stage();
      stage.pod("train", { annotations: { [DRAIN_RULE]: "wait-completed" } });
      const deadlineAt = stage.clock.wallMs() + 4 * MINUTE;
      stage.desired("n1", { deadlineAt, deleteAtDeadline: true });
      await stage.tick(20);
      expect(stage.events).toEqual([]);
      expect(own(stage, "train")).toMatchObject([{ reason: "EvictionBlocked" }]);
      expect(own(stage, "train")[0]?.message).toContain(
        "this pod is left alone for now: it says navarch.dev/drain: wait-completed. Deleted at " +
          clockOf(deadlineAt - 30_000),
      );
      await stage.untilEmpty(300);
      expect(own(stage, "train").at(-1)?.reason).toBe("DeletedAtDeadline");
    });

    test("no hold is offered against a person's order, no instant where none is certain", async () => {
      const stage = new Stage();
      stage.pod("bare", { owner: null });
      const deadlineAt = stage.clock.wallMs() + 20 * MINUTE;
      stage.desired("n1", { deadlineAt, deleteAtDeadline: true, ordered: true });
      await stage.tick(20);
      expect(stage.events.at(-1)?.message).toEndWith(" unless it ends before");
      stage.desired("n1", { paused: "the fleet is frozen" });
      await stage.tick(20);
      expect(stage.events.at(-1)?.message).toEndWith("(ns/bare)");
      stage.desired("n1", { paused: null, deleteAtDeadline: false });
      await stage.tick(20);
      expect(stage.events.at(-1)?.message).toEndWith(
        `. At ${clockOf(deadlineAt)} the drain stops and waits for a person`,
      );
      // One that begins on one day and ends on another says the date.
      stage.desired("n1", { deleteAtDeadline: true, deadlineAt: deadlineAt + 86_400_000 });
      await stage.tick(20);
      const date = new Date(deadlineAt + 86_400_000).toISOString().slice(0, 10);
      expect(stage.events.at(-1)?.message).toContain(`Deleted at ${date} `);
    });
  });

  test("a drain that is held at its deadline deletes nothing", async () => {
    const stage = new Stage();
    stage.pod("a", { labels: { app: "web" } });
    stage.budget("web", { app: "web" }, 1, 1);
    stage.desired("n1", { deadlineAt: stage.clock.wallMs() + MINUTE });
    await stage.tick(120);
    expect(stage.names()).toEqual(["a"]);
    expect(stage.steps()).toEqual([]);
  });

  test("a deadline that passed while nobody looked gives one grace period more", async () => {
    const stage = new Stage();
    stage.pod("a", { owner: null, graceS: 600 });
    const now = stage.clock.wallMs();
    const past = { since: now - 10 * MINUTE, deadlineAt: now - MINUTE };
    stage.desired("n1", { ...past, gracePeriodMs: 30 * SECOND, deleteAtDeadline: true });
    await stage.untilEmpty(60);
    const [graceS = 0] = graces(stage);
    expect(graceS).toBeGreaterThan(20);
    expect(graceS).toBeLessThanOrEqual(30);
    stage.check();
  });

  test("a node without a kubelet is done when all were told", async () => {
    const stage = new Stage();
    stage.kube.cluster.setKubelet("n1", false);
    stage.pod("a", {
      spec: { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "v" } }] },
    });
    stage.pod("db-0", { owner: { kind: "StatefulSet", name: "db" } });
    stage.kube.seed("volumeattachments", {
      metadata: { name: "va" },
      spec: { nodeName: "n1", attacher: "x", source: { persistentVolumeName: "pv" } },
    });
    stage.desired("n1", { unreachable: true, gracePeriodMs: 300_000 });
    expect(await stage.untilEmpty(20)).toBeLessThan(12);
    expect(stage.names()).toEqual(["a", "db-0"]);
    expect(graces(stage)).toEqual([1, 1]);
    stage.check();
  });

  test("of one StatefulSet one pod at a time leaves, over all nodes", async () => {
    const stage = new Stage();
    for (let i = 0; i < 6; i++) {
      stage.pod(`db-${i}`, { node: `n${i % 2}`, owner: { kind: "StatefulSet", name: "db" } });
      stage.kube.cluster.setStopMs("ns", `db-${i}`, 5 * SECOND);
    }
    stage.pod("web", { node: "n0" });
    stage.desired("n0");
    stage.desired("n1");
    const leaving = (): number =>
      stage.kube
        .list("pods")
        .filter(
          (pod) =>
            (pod as Pod).metadata.deletionTimestamp !== undefined &&
            JSON.stringify(pod).includes("u-db"),
        ).length;
    let most = 0;
    const look = (): void => {
      most = Math.max(most, leaving());
      // A new process has to find out who is on the way before it asks the next one.
      if (stage.clock.monoMs() === 12 * SECOND) stage.restart();
    };
    await stage.untilEmpty(120, "n0", look);
    await stage.untilEmpty(60, "n1", look);
    expect(most).toBe(1);
    expect(stage.steps().length).toBe(7);
    stage.check();
  });

  test("what is critical leaves after the rest is gone", async () => {
    const stage = new Stage();
    stage.pod("dns", { spec: { priorityClassName: "system-cluster-critical" } });
    stage.pod("web");
    stage.kube.cluster.setStopMs("ns", "web", 15 * SECOND);
    stage.desired();
    await stage.tick(10);
    expect(stage.steps()).toEqual(["evict web"]);
    await stage.untilEmpty(60);
    expect(stage.steps()).toEqual(["evict web", "evict dns"]);
  });

  test("nothing is asked while paused, and what leaves is followed", async () => {
    const stage = new Stage();
    stage.pod("a");
    stage.pod("b", { labels: { app: "b" } });
    stage.budget("b", { app: "b" }, 1, 1);
    stage.desired();
    await stage.tick(2);
    const before = stage.asks().length;
    stage.desired("n1", { paused: "the fleet is frozen" });
    stage.kube.person.edit("poddisruptionbudgets", "ns", "b", { spec: { minAvailable: 0 } });
    stage.kube.cluster.manage("ns", "b", 1);
    await stage.tick(120);
    expect(stage.asks().length).toBe(before);
    expect(stage.names()).toEqual(["b"]);
    expect(stage.message()).toStartWith("paused: the fleet is frozen; 1 pod");
    stage.desired("n1", { paused: null });
    await stage.untilEmpty(40);
    stage.check();
  });

  test("nothing is asked past a deadline either while paused", async () => {
    const stage = new Stage();
    stage.pod("a", { owner: null });
    const deadlineAt = stage.clock.wallMs() + 10 * SECOND;
    stage.desired("n1", { deadlineAt, deleteAtDeadline: true, paused: "no" });
    await stage.tick(60);
    expect(stage.asks()).toEqual([]);
  });

  test("a deadline that passed in a pause leaves a minute, half of it for evictions", async () => {
    const stage = new Stage();
    stage.pod("a", { labels: { app: "a" } });
    stage.budget("a", { app: "a" }, 1, 1);
    stage.kube.person.edit("poddisruptionbudgets", "ns", "a", { spec: { minAvailable: 1 } });
    stage.kube.cluster.manage("ns", "a", 1);
    const deadlineAt = stage.clock.wallMs() + 180 * SECOND;
    const desired = { deadlineAt, deleteAtDeadline: true, gracePeriodMs: 20 * SECOND };
    stage.desired("n1", { ...desired, paused: "navarch.dev/hold is set" });
    await stage.tick(600);
    stage.desired("n1", { ...desired, paused: null });
    await stage.tick(28);
    expect(stage.steps()).toEqual([]);
    expect(stage.events.at(-1)?.message).toContain("Deleted at");
    await stage.tick(10);
    expect(stage.steps()).toEqual(["delete a"]);
  });

  test("a process that was paused asks nothing before it hears from the reconciler", async () => {
    const stage = new Stage();
    for (let i = 0; i < 40; i++) stage.pod(`p-${i}`);
    stage.desired();
    stage.kube.setFault({ latencyMs: 3 * SECOND });
    await stage.tick(5);
    // Twenty are on the line, and their answers come a second after the process wakes up.
    const asked = stage.asks().length;
    expect(asked).toBe(20);
    stage.clock.sleepThrough(10 * MINUTE);
    await stage.clock.pass(MINUTE);
    expect(stage.asks().length).toBe(asked);
    expect(stage.requests.filter(({ verb }) => verb === "list").length).toBeLessThan(4);
    stage.kube.setFault({ latencyMs: 0 });
    await stage.untilEmpty(60);
    stage.check();
  });

  test("five seconds after the last word nobody is asked any more", async () => {
    const stage = new Stage();
    for (let i = 0; i < 40; i++) stage.pod(`p-${i}`);
    stage.desired();
    stage.kube.setFault({ latencyMs: 3 * SECOND });
    stage.drainers.tend([...stage.wanted.values()]);
    await stage.clock.pass(MINUTE);
    expect(stage.asks()).toHaveLength(20);
    expect(stage.names()).toHaveLength(20);
  });

  test("a drain that is no longer wanted asks nobody any more", async () => {
    const stage = new Stage();
    stage.pod("a", { labels: { app: "a" } });
    stage.budget("a", { app: "a" }, 1, 1);
    stage.desired();
    await stage.tick(3);
    const desired = stage.desired();
    stage.wanted.clear();
    const asked = stage.asks().length;
    await stage.tick(60);
    expect(stage.asks().length).toBe(asked);
    expect(stage.left().kind).toBe("dark");
    stage.kube.person.edit("poddisruptionbudgets", "ns", "a", { spec: { minAvailable: 0 } });
    stage.kube.cluster.manage("ns", "a", 1);
    stage.desired("n1", { ...desired, since: stage.clock.wallMs() });
    await stage.untilEmpty(30);
    stage.check();
  });

  test("mode wait asks nobody until the deadline", async () => {
    const stage = new Stage();
    stage.pod("train", { owner: { kind: "Job", name: "train" } });
    stage.pod("done", { owner: null, status: { phase: "Succeeded" } });
    const deadlineAt = stage.clock.wallMs() + 10 * MINUTE;
    stage.desired("n1", { mode: "wait", deadlineAt, deleteAtDeadline: true });
    await stage.tick(560);
    expect(stage.asks()).toEqual([]);
    expect(stage.message()).toContain(
      "1 pod left alone for now: the drain waits until its deadline",
    );
    await stage.untilEmpty(60);
    expect(stage.steps()).toEqual(["delete train"]);
    expect(stage.names()).toEqual(["done"]);
  });

  test("blocked pods are named, and the rest leaves", async () => {
    const stage = new Stage();
    stage.pod("bare", { owner: null });
    stage.pod("lost", { owner: { kind: "DaemonSet", name: "gone" } });
    stage.pod("busy", { annotations: { [DRAIN_RULE]: "wait-completed" } });
    stage.pod("web");
    stage.desired();
    await stage.tick(20);
    expect(stage.steps()).toEqual(["evict web"]);
    expect(stage.message()).toBe(
      "1 pod not evicted: it has no controller that would recreate it (ns/bare); " +
        "1 pod not evicted: its DaemonSet ns/gone does not exist (ns/lost); " +
        "1 pod left alone for now: it says navarch.dev/drain: wait-completed (ns/busy)",
    );
    expect(stage.left()).toMatchObject({ kind: "busy", remaining: 3 });
    expect(stage.events.map(({ reason, pod }) => `${reason} ${pod?.name}`)).toEqual([
      "DrainBlocked bare",
      "DrainBlocked lost",
    ]);
    stage.desired("n1", { force: true });
    await stage.tick(20);
    expect(stage.names()).toEqual(["busy"]);
  });

  test("a pod that comes back is left in the end", async () => {
    const stage = new Stage();
    const anywhere = { spec: { tolerations: [{ operator: "Exists" }] } };
    stage.pod("agent-0", anywhere);
    stage.desired();
    let count = 0;
    await stage.untilEmpty(120, "n1", () => {
      if (stage.names().length === 0) stage.pod(`agent-${++count}`, anywhere);
    });
    expect(count).toBe(1);
    expect(stage.names()).toEqual(["agent-1"]);
  });

  test("a controller that binds its pods itself is given up after a few", async () => {
    const stage = new Stage();
    stage.pod("own-0");
    stage.desired();
    let count = 0;
    await stage.untilEmpty(300, "n1", () => {
      if (stage.names().length === 0) stage.pod(`own-${++count}`);
    });
    expect(count).toBe(4);
    expect(stage.steps()).toHaveLength(4);
  });

  test("volumes are waited for, unless a pod that stays has them", async () => {
    const stage = new Stage();
    stage.pod("web");
    stage.kube.seed("volumeattachments", {
      metadata: { name: "va" },
      spec: { nodeName: "n1", attacher: "x", source: { persistentVolumeName: "pv-7" } },
    });
    stage.desired();
    await stage.tick(60);
    expect(stage.message()).toBe("no pod is left; 1 volume still attached (pv-7)");
    expect(stage.requests.filter(({ path }) => path.includes("attach")).length).toBeLessThan(8);
    stage.kube.person.remove("volumeattachments", "", "va");
    await stage.untilEmpty(30);
  });

  test("without a permission the rest goes on, and it is told", async () => {
    const stage = new Stage();
    stage.kube.denied
      .add("create pods/eviction")
      .add("list volumeattachments")
      .add("get daemonsets");
    stage.pod("web");
    stage.pod("ds", { owner: { kind: "DaemonSet", name: "agent" } });
    stage.desired();
    await stage.tick(120);
    expect(stage.asks().length).toBeLessThan(10);
    expect(stage.message()).toContain("1 pod refused by the server: pods");
    expect(stage.events.map(({ reason }) => reason)).toEqual(["DrainRefused"]);
    stage.kube.denied.clear();
    stage.kube.seed("daemonsets", { metadata: { name: "agent", namespace: "ns" } });
    await stage.untilEmpty(360);
    expect(stage.names()).toEqual(["ds"]);
  });

  test("a server that starts refuses everybody, and is asked again soon", async () => {
    const stage = new Stage();
    stage.kube.denied.add("create pods/eviction");
    stage.pod("web");
    stage.desired();
    await stage.tick(3);
    expect(stage.message()).toContain("1 pod refused by the server: pods");
    stage.kube.denied.clear();
    await stage.untilEmpty(25);
    expect(stage.steps()).toHaveLength(1);
  });

  test("a namespace that ends takes its pods along", async () => {
    const stage = new Stage();
    stage.pod("web");
    stage.kube.terminating.add("ns");
    stage.desired();
    await stage.tick(10);
    expect(stage.message()).toBe("1 pod waiting for the deletion of namespace ns");
    stage.kube.person.remove("pods", "ns", "web");
    await stage.untilEmpty(20);
  });

  test("DaemonSets that cannot be read decide nothing", async () => {
    const stage = new Stage();
    stage.pod("ds", { owner: { kind: "DaemonSet", name: "agent" } });
    stage.kube.setFault({
      down: false,
      hang: true,
      concerns: ({ path }) => path.includes("daemonsets"),
    });
    stage.desired("n1", { force: true });
    await stage.tick(30);
    expect(stage.left().kind).toBe("dark");
    expect(stage.asks()).toEqual([]);
    stage.kube.seed("daemonsets", { metadata: { name: "agent", namespace: "ns" } });
    stage.kube.setFault({ hang: false });
    await stage.untilEmpty(30);
    expect(stage.names()).toEqual(["ds"]);
  });

  test("plan() says what a drain would do, and does nothing", async () => {
    const stage = new Stage();
    stage.kube.seed("daemonsets", { metadata: { name: "agent", namespace: "ns" } });
    stage.pod("web");
    stage.pod("bare", { owner: null });
    stage.pod("ds", { owner: { kind: "DaemonSet", name: "agent" } });
    const answer = await stage.drainers.plan("n1", stage.desired());
    if (answer.kind !== "ok") throw new Error(answer.message);
    expect(answer.plan.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual([
      "bare blocked",
      "ds keep",
      "web evict",
    ]);
    expect(stage.asks()).toEqual([]);
    stage.kube.setFault({ down: true });
    const failed = await stage.drainers.plan("n1", stage.desired());
    expect(failed).toEqual({ kind: "failed", message: "connect ECONNREFUSED" });
  });

  test("a hundred nodes are listed in turn", async () => {
    const stage = new Stage();
    for (let i = 0; i < 100; i++) {
      stage.pod(`p-${i}`, { node: `n${i}` });
      stage.desired(`n${i}`);
    }
    await stage.tick(20);
    for (let i = 0; i < 100; i++) expect(stage.left(`n${i}`).kind).toBe("empty");
    expect(stage.steps()).toHaveLength(100);
    expect(stage.requests.filter(({ verb }) => verb === "list").length).toBeLessThan(800);
    stage.check();
  });

  test("where there is little room the nodes leave one after another, not all a little", async () => {
    const stage = new Stage();
    stage.room = 8;
    for (let i = 0; i < 120; i++) {
      for (let k = 0; k < 3; k++) stage.pod(`p-${i}-${k}`, { node: `n${i}` });
      stage.desired(`n${i}`);
    }
    await stage.tick(20);
    const nodeOf = (name: string): string => name.split("-")[1] ?? "";
    const asked = stage
      .steps()
      .map((step) => nodeOf(JSON.stringify(step).match(/p-\d+-\d+/)?.[0] ?? ""));
    const begun = new Set(asked);
    expect(asked.length).toBeGreaterThan(30);
    // Whoever was begun is asked to its end: at most those in the room are half done.
    const whole = [...begun].filter((node) => asked.filter((one) => one === node).length === 3);
    expect(begun.size - whole.length).toBeLessThanOrEqual(4);
    await stage.tick(130);
    for (let i = 0; i < 120; i++) expect(stage.left(`n${i}`).kind).toBe("empty");
    expect(stage.steps()).toHaveLength(360);
    // One to begin, one to ask from, one when all are gone, two that show it empty, few besides.
    const lists = stage.requests.filter(({ verb }) => verb === "list").length;
    expect(lists / 120).toBeLessThan(9);
    stage.check();
  });

  test("our own write limit's refusal pauses nobody else", async () => {
    const stage = new Stage();
    stage.pod("a");
    stage.pod("b");
    stage.desired("n1");
    await stage.tick(20);
    expect(stage.left("n1").kind).toBe("empty");
    const own = {
      kind: "refused",
      status: 429,
      reason: "ClientThrottled",
      message: "no turn",
    } as const;
    const verdict = judgeEviction({ ...own, causes: [], retryAfterMs: null }, "u");
    expect(verdict).toEqual({ kind: "throttled", retryMs: 1_000, own: true });
  });

  test("a refusal of another kind does not inherit the patience that a budget has taught", async () => {
    const stage = new Stage();
    stage.pod("a", { labels: { app: "web" } });
    stage.budget("web", { app: "web" }, 1, 1);
    stage.desired();
    await stage.tick(8 * 60);
    // The server restarts and does not know the roles yet, as it does for a second or two.
    stage.kube.denied.add("create pods/eviction");
    const before = stage.asks().length;
    for (let i = 0; i < 60 && stage.asks().length === before; i++) await stage.tick(1);
    stage.kube.denied.clear();
    stage.kube.person.edit("poddisruptionbudgets", "ns", "web", { spec: { minAvailable: 0 } });
    await stage.untilEmpty(45);
    stage.check();
  });

  test("a write that nobody wanted for a moment is no refusal by the server", async () => {
    const stage = new Stage();
    stage.pod("a");
    stage.desired();
    stage.isWanted = false;
    await stage.tick(3);
    expect(stage.message()).not.toContain("refused by the server");
    stage.isWanted = true;
    await stage.untilEmpty(45);
    expect(stage.events).toEqual([]);
    stage.check();
  });

  test("an acceptance that waited long for its turn is not taken for one without effect", async () => {
    const stage = new Stage();
    stage.pod("a", { graceS: 86 });
    stage.kube.cluster.setStopMs("ns", "a", 60 * SECOND);
    const now = stage.clock.wallMs();
    // The time of deletions comes while it waits: one without effect would be followed by another.
    const late = { since: now - 9 * MINUTE, deadlineAt: now + MINUTE, deleteAtDeadline: true };
    stage.desired("n1", { ...late, gracePeriodMs: 90 * SECOND });
    stage.turnMs = 5 * SECOND;
    for (let i = 0; i < 40; i++) {
      // Something changes there each second, so that it is listed as often as it may be.
      stage.kube.person.annotate("pods", "ns", "a", { "example.org/beat": String(i) });
      await stage.tick(1);
    }
    expect(stage.steps()).toEqual(["evict a"]);
    expect(stage.events).toEqual([]);
    expect(stage.message()).toBe("1 pod terminating");
    stage.check();
  });

  test("a deadline does not wait for a Node that was taken away", async () => {
    const stage = new Stage();
    stage.pod("a", { finalizers: ["example.org/x"] });
    const deadlineAt = stage.clock.wallMs() + 2 * MINUTE;
    const paused = "Node n1 is no longer in the cluster";
    stage.desired("n1", { deadlineAt, paused, orphaned: true, gracePeriodMs: 30 * SECOND });
    await stage.tick(180);
    expect(stage.left()).toMatchObject({ kind: "busy", deadlineAt });
    expect(stage.asks()).toEqual([]);
    stage.check();
  });
});

test("tend() evicts no UID twice and breaks no budget, whatever goes wrong", async () => {
  const fault = fc.constantFrom(
    {},
    { down: true },
    { hang: true },
    { lostAnswers: 0.5 },
    { latencyMs: 3_000 },
    { latencyMs: 9_000 },
    { storms: [{ status: 429 as const, probability: 0.5 }] },
    { storms: [{ status: 504 as const, probability: 0.5, done: 0.5 }] },
    { storms: [{ status: 503 as const, probability: 0.7 }] },
  );
  const step = fc.record({
    fault,
    seconds: fc.integer({ min: 1, max: 25 }),
    act: fc.constantFrom("none", "restart", "pause", "sleep", "silent"),
    paused: fc.boolean(),
  });
  const NONE = { down: false, hang: false, lostAnswers: 0, latencyMs: 0, storms: [] };
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 12 }),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      async (steps, draws) => {
        const random = (): number => draws.next().value ?? 0.5;
        const stage = new Stage(random);
        for (let i = 0; i < 6; i++) {
          stage.pod(`web-${i}`, { node: `n${i % 2}`, labels: { app: "web" } });
          stage.pod(`db-${i}`, { node: `n${i % 2}`, owner: { kind: "StatefulSet", name: "db" } });
          stage.kube.cluster.setStopMs("ns", `db-${i}`, 4_000);
        }
        stage.budget("web", { app: "web" }, 4, 6);
        stage.desired("n0");
        stage.desired("n1");
        const look = (): void => {
          const live = (stage.kube.list("pods") as Pod[]).filter(
            ({ metadata }) => metadata.deletionTimestamp === undefined,
          );
          expect(
            live.filter(({ metadata }) => metadata.name.startsWith("web")).length,
          ).toBeGreaterThanOrEqual(4);
        };
        for (const { fault: change, seconds, act, paused } of steps) {
          stage.kube.setFault({ ...NONE, ...change });
          for (const node of ["n0", "n1"]) stage.desired(node, { paused: paused ? "held" : null });
          if (act === "restart") stage.restart(random);
          if (act === "sleep") stage.clock.sleepThrough(seconds * 10_000);
          const before = stage.asks().length;
          if (act === "silent") await stage.clock.pass(seconds * SECOND);
          else await stage.tick(seconds, look);
          if (paused && act !== "silent") expect(stage.asks().length).toBe(before);
        }
        stage.kube.setFault(NONE);
        for (const node of ["n0", "n1"]) stage.desired(node, { paused: null });
        await stage.tick(150, look);
        const left = (stage.kube.list("pods") as Pod[]).map(({ metadata }) => metadata.name);
        expect(left.filter((name) => name.startsWith("db"))).toEqual([]);
        expect(left).toHaveLength(4);
        stage.check();
      },
    ),
    {
      numRuns: 25,
      // Died while an eviction was on its way.
      examples: [
        [
          [
            { fault: { latencyMs: 3_000 }, seconds: 3, act: "none", paused: false },
            { fault: {}, seconds: 1, act: "restart", paused: false },
          ],
          fc.stream(Array.from({ length: 1_000 }, () => 0.1).values()),
        ],
      ],
    },
  );
}, 60_000);
