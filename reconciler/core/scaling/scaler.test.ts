/** Autoscaled pools whose scheduler shows its queue: whose word counts, and what its loss does. */
import { describe, expect, test } from "bun:test";
import { configOf } from "../../../test/world/world.ts";
import type { NodeId, PoolName } from "../../../schema/id.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import { UnitOfWork, mirrorChange, newMirror } from "../unit-of-work.ts";
import { sightOf } from "../../../test/world/ask.ts";
import type { DrainSight, QueueSight } from "../fleet.ts";
import { newNode } from "../fold/new-node.ts";
import { newPoolState } from "../fold/new-pool.ts";
import { Presence } from "../../runtime/presence.ts";
import { emptyChange } from "../store.ts";
import { Scaler } from "../../runtime/scaler.ts";
import { viewScaling } from "../../http/view/scaling.ts";

const AT = 1_800_000_000_000;
const INTERVAL = 30_000;
const P = "p" as PoolName;

/** One pool, its nodes all in service, and a scaler that evaluates on request. */
class Bench {
  private readonly mirror = newMirror();
  private readonly scaler = new Scaler();
  private readonly presence = new Presence(0, AT);
  private readonly config;
  readonly events: string[] = [];
  mono = 0;
  /** What is left on a node; everything is idle unless said. */
  left: (node: string) => DrainSight = () => ({ kind: "empty", seenAt: AT });
  queue: QueueSight | null = null;

  constructor(size: number, autoscaler: string) {
    this.config = configOf(`
providers: { fake: {} }
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 1, max_nodes: 10, cooldown_period: 0s, autoscaler: ${autoscaler} }
`);
    const nodes = Array.from({ length: size }, (_, slot): Node => {
      const id = `n${slot}` as NodeId;
      const node = newNode({ id, pool: P, slot, gen: slot, at: AT, replaces: null });
      return { ...node, phase: { kind: "serving", since: AT } };
    });
    const pools = [newPoolState(P, size, AT)];
    mirrorChange(this.mirror, { ...emptyChange(), nodes, pools });
  }

  get now(): number {
    return AT + this.mono;
  }

  state(): PoolState {
    const state = this.mirror.pools.get(P);
    if (state === undefined) throw new Error("no pool");
    return state;
  }

  /** The scheduler shows this now. */
  sees(queueDepth: number, more: Partial<QueueSight> = {}): void {
    const gpus = { pendingGpus: 0, gpuDepth: queueDepth };
    const whose = { observedAt: this.now, source: "kubernetes" };
    this.queue = { pendingJobs: 0, queueDepth, ...gpus, ...whose, ...more };
  }

  push(queueDepth: number): void {
    const demand = { pendingJobs: 0, queueDepth, observedAt: this.now, by: "ci" };
    const pools = [{ ...this.state(), demand }];
    mirrorChange(this.mirror, { ...emptyChange(), pools });
  }

  /** GPU load of each node in percent, as its agent says it now. */
  load(percent: number): void {
    for (const id of this.mirror.nodes.keys()) {
      const gpus = [{ index: 0, uuid: `GPU-${id}`, utilization_percent: percent }];
      const at = new Date(this.now).toISOString();
      this.presence.note(id, this.mono, this.now, { at, gpus });
    }
  }

  /** One evaluation after `ms`; the wanted size after it. */
  look(ms = INTERVAL): number {
    this.mono += ms;
    const ids = [...this.mirror.nodes.keys()];
    const sight = sightOf({
      now: this.now,
      attentiveMs: this.mono,
      work: new Map(ids.map((id) => [id, this.left(id)])),
      queues: this.queue === null ? new Map() : new Map([[P, this.queue]]),
    });
    const { nodes, pools, operations, facts } = this.mirror;
    const fleet = { fleetId: "f", nodes, pools, operations, facts };
    const work = new UnitOfWork(this.mirror);
    const { config, presence, mono } = this;
    this.scaler.evaluate({ fleet, config, sight, presence, mono, waits: [], slurm: null }, work);
    const change = work.finish();
    if (change !== null) mirrorChange(this.mirror, change);
    this.events.push(...(change?.events ?? []).map((one) => `${one.kind} ${one.message}`));
    return this.state().desired;
  }

  view(): ReturnType<typeof viewScaling> {
    const [pool] = this.config.pools;
    if (pool === undefined) throw new Error("no pool");
    const { server } = this.config;
    const status = this.scaler.status(P);
    return viewScaling(pool, this.state(), { server, status, now: this.now, seen: this.queue });
  }
}

const QUEUE = "{ type: queue, jobs_per_node: 8, scale_down_after: 0s }";

describe("Scaler with a scheduler's queue", () => {
  test("9 waiting and 15 running at 8 a node are 3 nodes, and the source is shown", () => {
    const bench = new Bench(1, QUEUE);
    bench.sees(24, { pendingJobs: 9, observedAt: AT + 28_000 });
    expect(bench.look()).toBe(3);
    expect(bench.view()).toMatchObject({
      pending_jobs: 9,
      queue_depth: 24,
      queue: { source: "kubernetes", age_s: 2, counts: "pods", gpu_depth: 24 },
      conditions: [],
    });
  });

  test("C79: jobs that wait beyond max_nodes are told of, those that just start are not", () => {
    const bench = new Bench(1, QUEUE);
    bench.sees(80, { pendingJobs: 2 });
    expect(bench.look()).toBe(10);
    expect(bench.view().conditions).toEqual([]);
    bench.sees(81, { pendingJobs: 1 });
    bench.look();
    expect(bench.view().conditions).toEqual([
      "autoscaler: 1 job waits and the pool has its max_nodes, 10: raise it to grow",
    ]);
  });

  test("count: gpus counts what the pods ask for", () => {
    const bench = new Bench(1, "{ type: queue, jobs_per_node: 8, count: gpus }");
    bench.sees(3, { gpuDepth: 24, pendingGpus: 8 });
    expect(bench.look()).toBe(3);
    expect(bench.view().queue).toMatchObject({ counts: "gpus", pending_gpus: 8 });
    expect(bench.view().conditions).toEqual([]);
  });

  test("while pods are counted, pods of several GPUs are warned of", () => {
    const bench = new Bench(1, QUEUE);
    bench.sees(3, { gpuDepth: 24 });
    expect(bench.look()).toBe(1);
    expect(bench.view().conditions.join()).toContain("set count: gpus");
  });

  test("a scheduler that is lost holds the size and says so, once; then it counts again", () => {
    const bench = new Bench(3, QUEUE);
    bench.sees(24);
    expect(bench.look()).toBe(3);
    for (let i = 0; i < 60; i++) expect(bench.look()).toBe(3);
    expect(bench.view().queue_depth).toBeNull();
    expect(bench.view().conditions.join()).toContain(
      "the last observation of kubernetes (queue depth 24)",
    );
    bench.queue = null;
    for (let i = 0; i < 60; i++) expect(bench.look()).toBe(3);
    expect(bench.view().conditions.join()).toContain("unknown, not empty");
    bench.sees(0);
    expect(bench.look()).toBe(1);
    const conditions = bench.events.filter((one) => one.startsWith("pool.condition"));
    expect(conditions.length).toBe(3);
    expect(conditions[0]).toContain("its depth is 24 (by kubernetes)");
  });

  test("what is three evaluations old still counts, and a moment later it does not", () => {
    const bench = new Bench(3, QUEUE);
    bench.sees(0, { observedAt: AT });
    bench.left = () => ({ kind: "busy", remaining: 1, message: "a job" });
    expect(bench.look(3 * INTERVAL)).toBe(3);
    expect(bench.view().queue_depth).toBe(0);
    bench.left = () => ({ kind: "empty", seenAt: AT });
    expect(bench.look(INTERVAL + 1)).toBe(3);
    expect(bench.view().queue_depth).toBeNull();
  });

  test("a fresh report stands before the scheduler, until it is old", () => {
    const bench = new Bench(1, QUEUE);
    bench.push(40);
    bench.sees(8);
    expect(bench.look()).toBe(5);
    expect(bench.view().queue?.source).toBe("ci");
    bench.sees(8);
    expect(bench.look(2 * INTERVAL)).toBe(5);
    bench.sees(8);
    // Of the five only one can leave; the others are not there yet.
    expect(bench.look()).toBe(4);
    expect(bench.view().queue?.source).toBe("kubernetes");
  });

  test("no queue of a scheduler moves a pool without an autoscaler", () => {
    const bench = new Bench(2, "null");
    bench.sees(9_000);
    for (let i = 0; i < 100; i++) expect(bench.look()).toBe(2);
    expect(bench.events).toEqual([]);
    bench.sees(9_000);
    expect(bench.view().queue).toMatchObject({ source: "kubernetes", counts: null });
  });

  test("down by the idle nodes only, and never by one whose work is unknown", () => {
    const bench = new Bench(5, QUEUE);
    bench.left = (node) => {
      if (node === "n0") return { kind: "busy", remaining: 2, message: "2 pods" };
      if (node === "n1") return { kind: "unknown", forMs: 9e9 };
      if (node === "n2") return { kind: "dark", message: "the API server does not answer" };
      return { kind: "empty", seenAt: AT };
    };
    bench.sees(0);
    expect(bench.look()).toBe(3);
  });

  test("a composite pool sees the load of its GPUs beside the queue", () => {
    const both = `{ type: composite, mode: max, autoscalers: [{ type: reactive }, ${QUEUE}] }`;
    const bench = new Bench(2, both);
    bench.load(95);
    bench.sees(0);
    expect(bench.look()).toBe(3);
    bench.sees(40);
    expect(bench.look()).toBe(5);
    // Without the queue only the load votes, and an abstention is no vote for fewer.
    bench.queue = null;
    bench.load(50);
    expect(bench.look()).toBe(5);
    bench.load(95);
    expect(bench.look(6 * INTERVAL)).toBeGreaterThanOrEqual(5);
  });
});
