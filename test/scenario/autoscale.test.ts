/**
 * Autoscaling stories on a virtual clock: the production loop, a cloud in memory, agents that
 * report load.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { NodeId } from "../../schema/id.ts";
import { openWorldApp, type Json, type WorldApp } from "../world/app.ts";
import { World } from "../world/world.ts";

let world: World | null = null;
afterEach(async () => {
  await world?.close();
  world = null;
});

type Load = number | null | ((node: string) => number | null);

/** A world whose agents also measure how busy their GPUs are. */
type Story = {
  w: World;
  http: WorldApp;
  /** GPU utilisation in percent, of all or of each; `null` = it cannot be read. */
  load: Load;
  /** Sizes that autoscalers set, in order: `+60 2→3` is 60 s into the story. */
  moves(): string[];
  restart(): void;
};

const SERVER = `
server: { heartbeat_interval: 10s, heartbeat_timeout: 30s, health_check_interval: 10s, address: "127.0.0.1:50051" }
providers: { fake: { gpu_count: 2 } }
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
`;

async function open(pool: string, load: Load = null): Promise<Story> {
  const w = await World.open(`${SERVER}${pool}`);
  world = w;
  let from = w.clock.wallMs();
  const story: Story = {
    w,
    http: openWorldApp(w),
    load,
    moves() {
      const own = w.events.filter((e) => e.kind === "pool.size" && e.actor === "navarch");
      return own
        .filter((e) => e.at >= from)
        .map((e) => {
          const [, before, after] = /(\d+) → (\d+)/.exec(e.message) ?? [];
          return `+${Math.round((e.at - from) / 1_000)} ${before}→${after}`;
        });
    },
    restart() {
      from = w.clock.wallMs();
    },
  };
  const say = w.say.bind(w);
  w.say = async (id) => {
    await say(id);
    if (!w.agent(id).quiet) measure(story, id);
  };
  return story;
}

/** What the agent's next sample says, taken in as a quiet heartbeat is. */
function measure({ w, load }: Story, id: string): void {
  const percent = typeof load === "function" ? load(id) : load;
  const { processes } = w.agent(id);
  const gpus = [0, 1].map((index) => ({
    index,
    uuid: `GPU-${index}`,
    utilization_percent: percent,
    processes,
  }));
  const at = new Date(w.clock.wallMs()).toISOString();
  const { presence } = w.reconciler;
  presence.note(id as NodeId, w.clock.monoMs(), w.clock.wallMs(), { at, gpus });
}

const field = (body: Json, key: string): unknown => body[key];
const desired = ({ w }: Story): number =>
  w.reconciler.fleet().pools.get("p" as never)?.desired ?? -1;
const minutes = (n: number): number => n * 60;

const REACTIVE = (min: number, max: number, cooldown = "5m"): string => `
    scaling:
      min_nodes: ${min}
      max_nodes: ${max}
      cooldown_period: ${cooldown}
      autoscaler: { type: reactive, scale_up_threshold: 80, scale_down_threshold: 20 }
`;
const QUEUE = (min: number, max: number, jobs = 8): string => `
    scaling:
      min_nodes: ${min}
      max_nodes: ${max}
      cooldown_period: 1m
      autoscaler: { type: queue, jobs_per_node: ${jobs}, scale_down_after: 0s }
`;

async function serving(story: Story, count: number): Promise<void> {
  await story.w.until(() => story.w.serving().length === count, 200);
  story.restart();
}

describe("reactive 80/20", () => {
  test("one more at a time above 80, never inside the cooldown, never above max", async () => {
    const story = await open(REACTIVE(2, 4), 50);
    await serving(story, 2);
    await story.w.live(minutes(6));
    expect(story.moves()).toEqual([]);
    story.load = 95;
    story.restart();
    await story.w.live(minutes(20));
    const moves = story.moves();
    expect(moves.map((m) => m.split(" ")[1])).toEqual(["2→3", "3→4"]);
    const at = moves.map((m) => Number.parseInt(m.slice(1), 10));
    expect(at[0]).toBeLessThanOrEqual(60);
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(300);
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeLessThanOrEqual(331);
    expect(story.w.serving().length).toBe(4);
    const event = story.w.events.find((e) => e.kind === "pool.size");
    expect(event?.message).toContain("GPU utilisation 95 % is above 80 %");
  });

  test("one less at a time below 20, down to min, and each is drained first", async () => {
    const story = await open(REACTIVE(1, 4), 50);
    await serving(story, 1);
    await story.http.call("PUT", "/api/v1/pools/p/size", { nodes: 3 });
    await serving(story, 3);
    story.load = 5;
    await story.w.live(minutes(20));
    expect(story.moves().map((m) => m.split(" ")[1])).toEqual(["3→2", "2→1"]);
    const gone = story.w.events
      .filter((e) => e.kind === "node.terminated")
      .map((e) => e.node ?? "");
    expect(gone.length).toBe(2);
    for (const id of gone) expect(story.w.story(id)).toContain("node.drained");
    expect(story.w.cloud.reality().live.length).toBe(1);
  });

  test("the floor is repaired during the cooldown, and a person's size waits for nothing", async () => {
    const story = await open(REACTIVE(2, 6, "1h"), 90);
    await serving(story, 2);
    await story.w.until(() => story.w.serving().length === 3, 300);
    story.restart();
    const [lost = ""] = story.w.serving();
    const instance = story.w.node(lost).instance?.id;
    if (instance === undefined) throw new Error("no instance");
    story.w.agent(lost).quiet = true;
    story.w.cloud.deleteInstance(instance);
    await story.w.until(
      () => story.w.serving().length === 3 && !story.w.serving().includes(lost),
      300,
    );
    const answer = await story.http.call("PUT", "/api/v1/pools/p/size", { nodes: 5 });
    expect(answer.status).toBe(200);
    expect(field(answer.body, "cooldown_remaining_s")).toBeGreaterThan(3_000);
    await story.w.until(() => story.w.serving().length === 5, 120);
    expect(story.moves()).toEqual([]);
  });

  test("it goes on from a person's size", async () => {
    const story = await open(REACTIVE(1, 9, "1m"), 50);
    await serving(story, 1);
    await story.http.call("PUT", "/api/v1/pools/p/size", { nodes: 4 });
    await serving(story, 4);
    story.load = 90;
    await story.w.live(45);
    expect(story.moves().map((m) => m.split(" ")[1])).toEqual(["4→5"]);
  });

  test("new bounds hold at once, inside the cooldown too", async () => {
    const story = await open(REACTIVE(1, 6, "1h"), 90);
    await serving(story, 1);
    await story.w.until(() => desired(story) === 2, 120);
    const scaling = story.w.config.pools[0]?.scaling;
    if (scaling === undefined) throw new Error("no pool");
    scaling.minNodes = 4;
    await story.w.live(40);
    expect(desired(story)).toBe(4);
    scaling.minNodes = 1;
    scaling.maxNodes = 3;
    await story.w.live(40);
    expect(desired(story)).toBe(3);
    await story.w.until(() => story.w.serving().length === 3, 120);
  });

  test("the cooldown survives the death of the control plane", async () => {
    const story = await open(REACTIVE(1, 9, "10m"), 95);
    await serving(story, 1);
    await story.w.until(() => desired(story) === 2, 120);
    await story.w.crash();
    await story.w.start();
    const say = story.w.say;
    story.w.say = async (id) => {
      await say(id);
      measure(story, id);
    };
    story.restart();
    await story.w.live(minutes(8));
    expect(story.moves()).toEqual([]);
    await story.w.live(minutes(3));
    expect(story.moves().map((m) => m.split(" ")[1])).toEqual(["2→3"]);
  });

  test("load that cannot be read holds the size, with a condition, and is not zero", async () => {
    const story = await open(REACTIVE(1, 5), 50);
    await serving(story, 1);
    await story.http.call("PUT", "/api/v1/pools/p/size", { nodes: 3 });
    await serving(story, 3);
    story.load = null;
    await story.w.live(minutes(15));
    expect(story.moves()).toEqual([]);
    const { body } = await story.http.call("GET", "/api/v1/pools/p/status");
    expect(String(body["conditions"])).toContain("GPU utilisation is unknown");
  });

  test("everything silent at once: still, whatever the last samples said", async () => {
    const story = await open(REACTIVE(1, 9, "1m"), 50);
    await serving(story, 1);
    await story.http.call("PUT", "/api/v1/pools/p/size", { nodes: 6 });
    await serving(story, 6);
    story.load = 5;
    await story.w.report();
    for (const id of story.w.serving()) story.w.agent(id).quiet = true;
    // Samples of 5 % are fresh for five minutes: time for five steps down.
    await story.w.live(minutes(15));
    expect(story.w.reconciler.lastSight()?.blind).not.toEqual([]);
    expect(story.moves().length).toBeLessThanOrEqual(1);
    expect(story.w.cloud.reality().live.length).toBeGreaterThanOrEqual(5);
  });

  test("after its own pause it is still until it trusts its eyes again", async () => {
    const story = await open(REACTIVE(3, 9, "0s"), 50);
    await serving(story, 3);
    story.load = 99;
    story.w.clock.sleepThrough(120_000);
    story.restart();
    await story.w.live(25);
    expect(story.moves()).toEqual([]);
    await story.w.live(minutes(2));
    expect(story.moves().length).toBeGreaterThan(0);
  });

  test("a pool that a person holds is not scaled until the hold ends", async () => {
    const story = await open(REACTIVE(1, 9, "0s"), 99);
    await serving(story, 1);
    story.load = 50;
    await story.w.live(30);
    const size = desired(story);
    const until = story.w.clock.wallMs() + 600_000;
    await story.w.reconciler.change((draft) => {
      const pool = draft.pool("p" as never);
      if (pool !== null)
        draft.putPool({ ...pool, hold: { by: "ann", why: "moving racks", until } });
    });
    story.load = 99;
    await story.w.live(minutes(9));
    expect(desired(story)).toBe(size);
    await story.w.live(minutes(3));
    expect(desired(story)).toBeGreaterThan(size);
  });
});

describe("what is bought", () => {
  test("nodes that boot for 15 minutes are not bought again at every cooldown of 1 minute", async () => {
    const story = await open(REACTIVE(2, 50, "1m"), 100);
    await serving(story, 2);
    const asks = story.w.cloud.reality().asks;
    const first = new Set(story.w.serving());
    // Agents of new machines speak only after 15 minutes, longer than fifteen cooldowns.
    const born = new Map<string, number>();
    const say = story.w.say;
    story.w.say = async (id) => {
      const at = born.get(id) ?? story.w.clock.wallMs();
      born.set(id, at);
      if (first.has(id) || story.w.clock.wallMs() - at >= 900_000) await say(id);
    };
    story.w.config.server.registrationTimeoutMs = 3_600_000;
    await story.w.live(minutes(14));
    // Two nodes at 100 % are explained by one more.
    expect(story.w.cloud.reality().asks - asks).toBe(1);
    expect(desired(story)).toBe(3);
    await story.w.live(minutes(10));
    expect(story.w.cloud.reality().asks - asks).toBeLessThanOrEqual(3);
  });

  test("a pool whose nodes never speak is bought once: min, and no more", async () => {
    const story = await open(REACTIVE(2, 50, "1m"), 100);
    story.w.config.server.registrationTimeoutMs = 3_600_000;
    story.w.say = async () => undefined;
    await story.w.live(minutes(30));
    expect(story.w.cloud.reality().asks).toBe(2);
    expect(desired(story)).toBe(2);
  });

  test("a pool whose nodes are all sick is still repaired, one by one", async () => {
    const story = await open(`${REACTIVE(3, 5)}    health: { unhealthy_threshold: 1 }\n`, 50);
    await serving(story, 3);
    const before = story.w.serving();
    for (const id of before) story.w.xid(id, 79);
    await story.w.until(
      () => before.every((id) => story.w.story(id).includes("node.replaced")),
      900,
    );
    await story.w.until(() => story.w.serving().length === 3, 120);
    expect(story.moves()).toEqual([]);
    expect(story.w.cloud.reality().live.length).toBe(3);
  });
});

describe("pattern 2: no autoscaler", () => {
  /** A quiet life in steps just shorter than a pause, without an HTTP round a step. */
  async function hours(story: Story, count: number): Promise<void> {
    const { w } = story;
    for (let second = 0; second < count * 3_600; second += 2) {
      if (second % 10 === 0) for (const id of w.serving()) measure(story, id);
      await w.reconciler.activate();
      w.clock.sleepThrough(1_999);
    }
  }

  test("24 hours at 100 %, 24 at 0 %, queue changes: zero scaling actions", async () => {
    const story = await open(
      "    scaling: { min_nodes: 2, max_nodes: 9, cooldown_period: 1s }\n",
      100,
    );
    await serving(story, 2);
    await story.http.call("PUT", "/api/v1/pools/p/size", { nodes: 3 });
    await serving(story, 3);
    const asks = story.w.cloud.reality().asks;
    const depths = [0, 500, 3];
    for (const load of [100, 0]) {
      story.load = load;
      for (const queue_depth of depths) {
        const answer = await story.http.call("PUT", "/api/v1/pools/p/demand", {
          pending_jobs: 0,
          queue_depth,
        });
        expect(answer.status).toBe(200);
        await hours(story, 8);
      }
    }
    expect(story.w.reconciler.lastSight()?.blind).toEqual([]);
    expect(story.moves()).toEqual([]);
    expect(story.w.cloud.reality().asks).toBe(asks);
    expect(story.w.serving().length).toBe(3);
    expect(desired(story)).toBe(3);
    const status = await story.http.call("GET", "/api/v1/pools/p/status");
    expect(field(status.body, "cooldown_remaining_s")).toBeNull();
  }, 120_000);

  test("the same life scales a pool that has an autoscaler, so that the story above can fail", async () => {
    const story = await open(REACTIVE(2, 9, "1s"), 100);
    await serving(story, 2);
    await hours(story, 0.1);
    expect(story.moves().length).toBeGreaterThan(0);
  });
});

describe("queue", () => {
  const push = (story: Story, depth: number, pending = 0): ReturnType<WorldApp["call"]> =>
    story.http.call("PUT", "/api/v1/pools/p/demand", { pending_jobs: pending, queue_depth: depth });

  /** `seconds` of life in which the source says the same every ten seconds. */
  async function queued(story: Story, depth: number, seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i += 10) {
      expect((await push(story, depth)).status).toBe(200);
      await story.w.live(10);
    }
  }

  test("grows to depth by jobs_per_node, and back to min without touching a busy node", async () => {
    const story = await open(QUEUE(1, 6), 50);
    await serving(story, 1);
    await queued(story, 25, 180);
    expect(story.w.serving().length).toBe(4);
    expect(story.moves().map((m) => m.split(" ")[1])).toEqual(["1→4"]);
    const [busy = "", other = ""] = story.w.serving();
    story.w.agent(busy).processes = 2;
    story.w.agent(other).processes = 1;
    await queued(story, 0, 300);
    expect(story.w.serving().toSorted()).toEqual([busy, other].toSorted());
    for (const id of [busy, other]) {
      expect(story.w.node(id).cordon.product).toBeNull();
      expect(story.w.story(id)).not.toContain("node.draining");
    }
    story.w.agent(other).processes = 0;
    await queued(story, 0, 180);
    expect(story.w.serving()).toEqual([busy]);
    expect(desired(story)).toBe(1);
    expect(story.w.cloud.reality().live.length).toBe(1);
  });

  test("a source that is lost holds the size and raises a condition; when it is back it counts", async () => {
    const story = await open(QUEUE(1, 6), 50);
    await serving(story, 1);
    await queued(story, 25, 180);
    expect(story.w.serving().length).toBe(4);
    story.restart();
    await story.w.live(minutes(30));
    expect(story.moves()).toEqual([]);
    expect(story.w.serving().length).toBe(4);
    const { body } = await story.http.call("GET", "/api/v1/pools/p/status");
    expect(field(body, "queue_depth")).toBeNull();
    expect(field(body, "pending_jobs")).toBeNull();
    expect(String(body["conditions"])).toContain("the queue is unknown, not empty");
    const page = (await story.http.call("GET", "/metrics")).text;
    expect(page).toContain('navarch_pool_demand_stale{pool="p"} 1');
    expect(page).not.toContain("navarch_pool_queue_depth{");
    const told = story.w.events.filter((e) => e.kind === "pool.condition").map((e) => e.message);
    expect(told.length).toBe(2);
    await queued(story, 1, 180);
    expect(desired(story)).toBe(1);
  });

  test("shows the queue while it is known", async () => {
    const story = await open(QUEUE(1, 6), 50);
    await serving(story, 1);
    await push(story, 12, 7);
    await story.w.live(30);
    const { body } = await story.http.call("GET", "/api/v1/pools/p/status");
    expect(field(body, "queue_depth")).toBe(12);
    expect(field(body, "pending_jobs")).toBe(7);
    expect(field(body, "last_scale_at")).not.toBeNull();
    expect(field(body, "cooldown_remaining_s")).toBeGreaterThan(0);
    expect(field(body, "conditions")).toEqual([]);
    const page = (await story.http.call("GET", "/metrics")).text;
    expect(page).toContain('navarch_pool_demand_stale{pool="p"} 0');
    expect(page).toContain('navarch_pool_queue_depth{pool="p"} 12');
    expect(page).toContain('navarch_pool_pending_jobs{pool="p"} 7');
  });

  test("demand survives the death of the control plane and expires as it would have", async () => {
    const story = await open(QUEUE(1, 6), 50);
    await serving(story, 1);
    await push(story, 25);
    await story.w.crash();
    await story.w.start();
    await story.w.live(5);
    expect(desired(story)).toBe(4);
    expect(story.w.reconciler.fleet().pools.get("p" as never)?.lastScaleAt).not.toBeNull();
  });

  test("a composite pool follows the queue while the GPUs cannot be read", async () => {
    const both = "[{ type: reactive }, { type: queue, jobs_per_node: 8, scale_down_after: 0s }]";
    const story = await open(`
    scaling:
      min_nodes: 1
      max_nodes: 6
      cooldown_period: 1m
      autoscaler: { type: composite, mode: max, autoscalers: ${both} }
`);
    await serving(story, 1);
    await queued(story, 25, 120);
    expect(desired(story)).toBe(4);
    await queued(story, 3, 120);
    expect(desired(story)).toBe(1);
  });
});

describe("PUT /pools/{pool}/demand", () => {
  const path = "/api/v1/pools/p/demand";
  const at = (story: Story, ms: number): string =>
    new Date(story.w.clock.wallMs() + ms).toISOString();

  test.each([
    ["no body", {}, "pending_jobs"],
    ["a negative depth", { pending_jobs: 0, queue_depth: -1 }, "queue_depth"],
    ["a fraction", { pending_jobs: 0.5, queue_depth: 1 }, "pending_jobs"],
    ["an unknown key", { pending_jobs: 0, queue_depth: 1, depth: 2 }, "depth"],
    ["no time", { pending_jobs: 0, queue_depth: 1, observed_at: "yesterday" }, "observed_at"],
  ])("refuses %s and names it", async (_, body, named) => {
    const story = await open(QUEUE(1, 6));
    const answer = await story.http.call("PUT", path, body);
    expect(answer.status).toBe(400);
    expect(answer.text).toContain(named);
  });

  test("refuses what is too old, too far ahead or older than what is known", async () => {
    const story = await open(QUEUE(1, 6));
    const put = (depth: number, ms: number) =>
      story.http.call("PUT", path, {
        pending_jobs: 0,
        queue_depth: depth,
        observed_at: at(story, ms),
      });
    expect((await put(1, -91_000)).status).toBe(400);
    expect((await put(1, 91_000)).status).toBe(400);
    expect((await put(7, -10_000)).status).toBe(200);
    expect((await put(1, -20_000)).status).toBe(409);
    const kept = story.w.reconciler.fleet().pools.get("p" as never)?.demand;
    expect(kept?.queueDepth).toBe(7);
    expect((await put(7, -10_000)).status).toBe(200);
    // A source whose clock is a little ahead cannot shut out the next report.
    expect((await put(8, 30_000)).status).toBe(200);
    await story.w.clock.pass(1_000);
    expect((await put(9, 0)).status).toBe(200);
  });

  test("needs the role operator and a pool that exists", async () => {
    const story = await open(QUEUE(1, 6));
    const body = { pending_jobs: 0, queue_depth: 1 };
    const token = await story.http.call("POST", "/api/v1/tokens", {
      role: "viewer",
      label: "dash",
    });
    const viewer = String(token.body["token"]);
    expect((await story.http.call("PUT", path, body, viewer)).status).toBe(403);
    expect((await story.http.call("PUT", path, body, null)).status).toBe(401);
    const missing = await story.http.call("PUT", "/api/v1/pools/q/demand", body);
    expect(missing.status).toBe(404);
  });
});
