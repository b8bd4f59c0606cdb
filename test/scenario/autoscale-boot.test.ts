/**
 * Machines that boot for 15 minutes and a cool-down of 5: each autoscaler buys what the demand needs,
 * and no machine twice. And what a pool does while its source from outside is lost.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { NodeId } from "../../schema/id.ts";
import type { MetricAnswer } from "../../reconciler/core/scaling/metric.ts";
import { openWorldApp, type WorldApp } from "../world/app.ts";
import { World } from "../world/world.ts";

let world: World | null = null;
afterEach(async () => {
  await world?.close();
  world = null;
});

const MINUTE = 60;

/** A pool whose load is a number of nodes' worth of work, spread evenly over those that serve. */
class Story {
  demand = 1.2;
  readonly w: World;
  readonly http: WorldApp;

  private constructor(w: World) {
    this.w = w;
    this.http = openWorldApp(w);
  }

  static async open(autoscaler: string, bootMs = 900_000): Promise<Story> {
    const yaml = `
server: { heartbeat_interval: 10s, heartbeat_timeout: 30s, health_check_interval: 10s, address: "127.0.0.1:50051" }
instance_manager: { registration_timeout: 30m }
providers: { fake: { gpu_count: 2 } }
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 2, max_nodes: 40, cooldown_period: 5m, autoscaler: ${autoscaler} }
`;
    const w = await World.open(yaml, { terms: { bootMs } });
    world = w;
    const story = new Story(w);
    w.readMetric = () => Promise.resolve({ kind: "value", value: story.jobs });
    const say = w.say.bind(w);
    w.say = async (id) => {
      await say(id);
      if (!w.agent(id).quiet) story.measure(id as NodeId);
    };
    await w.until(() => w.serving().length === 2, 1_200);
    // The samples of both are there, and the first size is settled.
    await story.minutes(6);
    return story;
  }

  /** Eight jobs are a node's worth of work. */
  get jobs(): number {
    return Math.round(this.demand * 8);
  }

  get bought(): number {
    return this.w.cloud.reality().asks;
  }

  get desired(): number {
    return this.w.reconciler.fleet().pools.get("p" as never)?.desired ?? -1;
  }

  async minutes(count: number, isQueue = false): Promise<void> {
    for (let i = 0; i < count; i++) {
      const body = { pending_jobs: 0, queue_depth: this.jobs };
      if (isQueue) await this.http.call("PUT", "/api/v1/pools/p/demand", body);
      await this.w.live(MINUTE);
    }
  }

  async conditions(): Promise<string> {
    const { body } = await this.http.call("GET", "/api/v1/pools/p/status");
    return JSON.stringify(body);
  }

  /** A person asks for this size. */
  async size(nodes: number): Promise<void> {
    await this.http.call("PUT", "/api/v1/pools/p/size", { nodes });
  }

  /** The file is read again with another `max_nodes`. */
  bound(maxNodes: number): Promise<void> {
    for (const { scaling } of this.w.config.pools) scaling.maxNodes = maxNodes;
    return Promise.resolve();
  }

  private measure(id: NodeId): void {
    const { w } = this;
    const share = Math.min(100, (100 * this.demand) / Math.max(1, w.serving().length));
    const index = w.serving().indexOf(id);
    const processes = index >= 0 && index < Math.ceil(this.demand) ? 1 : 0;
    w.agent(id).processes = processes;
    const gpus = [0, 1].map((gpu) => ({
      index: gpu,
      uuid: `GPU-${gpu}`,
      utilization_percent: share,
      processes,
    }));
    const at = new Date(w.clock.wallMs()).toISOString();
    w.reconciler.presence.note(id, w.clock.monoMs(), w.clock.wallMs(), { at, gpus });
  }
}

describe("15-minute boots and a 5-minute cool-down buy what is needed", () => {
  /** From two nodes to a demand of 3.2, until all is settled. */
  test.each([
    // 3.2 nodes' work at 80 % are 4.
    ["reactive", "{ type: reactive }", 4, 60],
    // At the goal of 70 % they are 5.
    ["predictive", "{ type: predictive, lookback_window: 5, horizon: 15m }", 5, 60],
    // 26 jobs at 8 a node are 4.
    ["queue", "{ type: queue, jobs_per_node: 8 }", 4, 30],
    [
      "external load",
      `{ type: external, source: command, command: /d, target_per_node: 8 }`,
      4,
      30,
    ],
    // Work on four nodes and one free.
    ["idle", "{ type: idle, min_idle: 1, max_idle: 2 }", 5, 60],
  ])(
    "%s",
    async (type, autoscaler, nodes, minutes) => {
      const story = await Story.open(autoscaler);
      const before = story.bought;
      const had = story.desired;
      story.demand = 3.2;
      for (let minute = 0; minute < minutes; minute++) {
        await story.minutes(1, type === "queue");
        expect(story.desired).toBeLessThanOrEqual(nodes);
      }
      expect([story.desired, story.w.serving().length]).toEqual([nodes, nodes]);
      expect(story.bought - before).toBe(nodes - had);
    },
    60_000,
  );
});

describe("a load that comes and goes faster than a boot buys no machine that never serves", () => {
  /** Rounds of five minutes of load and seven without, with boots of fifteen minutes. */
  test.each([
    ["queue", "{ type: queue, jobs_per_node: 8 }"],
    ["queue at once", "{ type: queue, jobs_per_node: 8, scale_down_after: 0s }"],
    ["external size", `{ type: external, source: command, command: /d, scale_down_after: 0s }`],
    ["idle", "{ type: idle, min_idle: 1, max_idle: 2 }"],
  ])(
    "%s",
    async (type, autoscaler) => {
      const story = await Story.open(autoscaler);
      for (let round = 0; round < 4; round++) {
        story.demand = type === "external size" ? 0.75 : 6;
        await story.minutes(5, type.startsWith("queue"));
        story.demand = type === "external size" ? 0.25 : 1.2;
        await story.minutes(7, type.startsWith("queue"));
      }
      story.demand = 0.2;
      await story.minutes(40, type.startsWith("queue"));
      const { events } = story.w;
      const bought = new Set(events.flatMap((e) => (e.kind === "node.booting" ? [e.node] : [])));
      const served = new Set(events.flatMap((e) => (e.kind === "node.verified" ? [e.node] : [])));
      expect([...bought].filter((node) => !served.has(node))).toEqual([]);
      expect(story.bought).toBe(bought.size);
      // What came too late still leaves, drained.
      expect([story.desired, story.w.serving().length]).toEqual([2, 2]);
    },
    120_000,
  );

  test.each<[string, (story: Story) => Promise<void>]>([
    ["a person's smaller size", (s: Story) => s.size(2)],
    ["a smaller max_nodes", (s: Story) => s.bound(2)],
  ])("%s still ends one that boots", async (_, act) => {
    const story = await Story.open("{ type: queue, jobs_per_node: 8 }");
    story.demand = 4;
    await story.minutes(8, true);
    expect(story.bought).toBe(4);
    story.demand = 0;
    await act(story);
    await story.minutes(8, true);
    expect(story.w.cloud.reality().live.length).toBe(2);
  });
});

test("idle gives back what is too much, one node with work never, and buys none again", async () => {
  const story = await Story.open("{ type: idle, min_idle: 1, max_idle: 2 }", 3_000);
  story.demand = 3.2;
  await story.minutes(30);
  expect(story.desired).toBe(5);
  const bought = story.bought;
  story.demand = 1.2;
  // Three of five are free: one leaves at once, the second after the decay and the cool-down.
  await story.minutes(30);
  expect([story.desired, story.w.serving().length, story.bought]).toEqual([3, 3, bought]);
  const sizes = story.w.events.filter((one) => one.kind === "pool.size").slice(-2);
  expect(sizes.map((one) => /\d → \d/.exec(one.message)?.[0])).toEqual(["5 → 4", "4 → 3"]);
  const [first, second] = sizes.map((one) => one.at);
  expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(300_000);
}, 60_000);

describe("a source from outside", () => {
  const SIZE =
    "{ type: external, source: command, command: /d, interval: 30s, scale_down_after: 0s }";

  test.each<[string, () => Promise<MetricAnswer>]>([
    ["fails", () => Promise.resolve({ kind: "failed", message: "HTTP 503" })],
    ["says NaN", () => Promise.resolve({ kind: "value", value: Number.NaN })],
    ["says -1", () => Promise.resolve({ kind: "value", value: -1 })],
    ["says infinity", () => Promise.resolve({ kind: "value", value: Number.POSITIVE_INFINITY })],
    ["throws", () => Promise.reject(new Error("boom"))],
    ["never answers", () => new Promise(() => undefined)],
  ])(
    "that %s scales nothing, and the pool says so; then it counts again",
    async (_, answer) => {
      const story = await Story.open(SIZE, 3_000);
      story.demand = 0.5;
      await story.minutes(8);
      expect(story.desired).toBe(4);
      const good = story.w.readMetric;
      story.w.readMetric = answer;
      await story.minutes(20);
      expect([story.desired, story.w.serving().length]).toEqual([4, 4]);
      expect(await story.conditions()).toContain("autoscaler: the size is held: command: ");
      story.w.readMetric = good;
      story.demand = 0.75;
      await story.minutes(8);
      expect(story.desired).toBe(6);
      const told = story.w.events.filter((one) => one.kind === "pool.condition");
      expect(told.map((one) => one.message.split(":")[1]?.trim())).toEqual([
        "every source of the autoscaler is read",
        "unknown, not zero",
        "every source of the autoscaler is read",
      ]);
    },
    60_000,
  );

  test("what was decided, and why, is stored: after a restart it is shown", async () => {
    const story = await Story.open(SIZE, 3_000);
    story.demand = 0.5;
    await story.minutes(8);
    const sizes = story.w.events.filter((one) => one.kind === "pool.size");
    expect(sizes.at(-1)?.message).toContain("command asks for 4 nodes (external autoscaler)");
    await story.w.crash();
    await story.w.start();
    const { body } = await openWorldApp(story.w).call("GET", "/api/v1/pools/p/status");
    expect(JSON.stringify(body)).toMatch(
      /"verdict":"(scaled|steady)","because":"[^"]*command asks/,
    );
  }, 30_000);
});
