/**
 * A pool that Slurm's power saving sizes: whatever is told, twice, late or by a process that dies,
 * each NodeName has at most one machine, and none is forgotten. The cloud's own record judges.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { type PowerVerb, tellPower } from "../../reconciler/core/slurm/power-save.ts";
import type { Faults } from "../../reconciler/provider/fake/fault.ts";
import { CrashInjector } from "../world/crash-injector.ts";
import { BASE, type World } from "../world/world.ts";
import { closeWorlds, open } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(300_000);

const YAML = `${BASE}
pools:
  - name: cloud
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 0, max_nodes: 4 }
    slurm: { partition: cloud, nodes: "c[0-3]", power_save: true }
`;

async function tell(world: World, verb: PowerVerb, ...slots: number[]): Promise<void> {
  const [pool] = world.config.pools;
  if (pool === undefined) throw new Error("no pool");
  await world.reconciler.change((work) => {
    const state = work.pool(pool.name);
    if (state === null) throw new Error("no state");
    const now = world.clock.wallMs();
    const next = tellPower(pool, state, { verb, slots, why: "told", now });
    work.putPool(next.state);
    work.tell(next.events);
  });
}

/** Slots of the machines that the cloud bills. */
function billed(world: World): number[] {
  const all = [...world.cloud.world().instances.values()].map(({ instance }) => instance);
  const live = all.filter(({ state }) => state !== "terminated");
  return live.map(({ tags }) => Number(tags["navarch-slot"])).sort((a, b) => a - b);
}

test("S39: a resumed name gets a machine in its own slot, and a suspended one ends", async () => {
  const world = await open(YAML);
  await world.live(4);
  expect(billed(world)).toEqual([]);
  await tell(world, "resume", 2);
  await world.until(() => world.serving().length === 1, 60);
  expect(billed(world)).toEqual([2]);
  expect(world.nodes()[0]?.slot).toBe(2);
  await tell(world, "resume", 2);
  await world.live(30);
  expect(billed(world)).toEqual([2]);
  await tell(world, "suspend", 2);
  await world.until(() => billed(world).length === 0, 300);
  await tell(world, "suspend", 2);
  await world.live(30);
  expect(world.nodes()).toEqual([]);
});

test("S39: a machine that was suspended never serves again, its slot gets a new one", async () => {
  const world = await open(YAML);
  await world.live(4);
  await tell(world, "resume", 0);
  await world.until(() => world.serving().length === 1, 60);
  const [first] = world.serving();
  await tell(world, "suspend", 0);
  await tell(world, "resume", 0);
  await world.until(() => world.serving().length === 1 && world.serving()[0] !== first, 400);
  expect(billed(world)).toEqual([0]);
});

test("S39: a machine in repair is not ended by a suspend, nor one that a person cordoned", async () => {
  const world = await open(YAML);
  await world.live(4);
  await tell(world, "resume", 0, 1);
  await world.until(() => world.serving().length === 2, 60);
  const held = world.nodes().find(({ slot }) => slot === 0);
  await world.reconciler.change((work) => {
    const node = held === undefined ? null : work.node(held.id);
    if (node === null) throw new Error("no node");
    const human = { by: "alice", why: "look at it", at: world.clock.wallMs() };
    work.putNode({ ...node, cordon: { ...node.cordon, human } });
  });
  await tell(world, "suspend", 0, 1);
  await world.until(() => billed(world).length === 1, 300);
  await world.live(60);
  expect(billed(world)).toEqual([0]);
});

type Step =
  | { kind: PowerVerb; slots: number[]; twice: boolean }
  | { kind: "live"; seconds: number }
  | { kind: "crash"; calls: number; side: "before" | "after" }
  | { kind: "cloud"; faults: Faults };

const slots = fc.uniqueArray(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 4 });
const verb = fc.constantFrom<PowerVerb>("resume", "resume", "suspend", "resume-fail");
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: verb, slots, twice: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("live" as const),
      seconds: fc.constantFrom(1, 2, 3, 8, 30, 90),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("crash" as const),
      calls: fc.integer({ min: 1, max: 12 }),
      side: fc.constantFrom("before" as const, "after" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("cloud" as const),
      faults: fc.constantFrom<Faults>(
        {},
        { loseReply: { create: { times: 1 } } },
        { loseAsk: { create: { times: 1 } } },
        { loseReply: { terminate: { times: 1 } } },
        { terminateFails: 1 },
        { terminateIgnored: 1 },
        { listLagMs: 5_000 },
        { stockOut: true },
        { bootMs: 60_000 },
      ),
    }),
  },
);

/** A process that may die at any of its writes and calls, and starts again. */
class Story {
  readonly injector = new CrashInjector();
  readonly world: World;
  readonly wanted = new Set<number>();
  deaths = 0;

  constructor(world: World) {
    this.world = world;
  }

  static async open(): Promise<Story> {
    const story = new Story(await open(YAML, { store: "memory", prepare: new CrashInjector() }));
    story.world.tolerant = true;
    story.world.injector = story.injector;
    await story.survive(() => story.world.start());
    return story;
  }

  /** Runs `work`; a death on the way is followed by the next life. True if it went through. */
  async survive(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      if (!this.injector.dead) return true;
    } catch (error) {
      if (!this.injector.dead) throw error;
    }
    this.deaths += 1;
    await this.world.crash();
    this.injector.revive();
    await this.survive(() => this.world.start());
    return false;
  }

  async do(what: Step): Promise<void> {
    const { world } = this;
    if (what.kind === "cloud") return world.cloud.setFaults(what.faults);
    if (what.kind === "crash") return this.injector.arm(what.calls, what.side);
    if (what.kind === "live") {
      for (let i = 0; i < what.seconds; i++) {
        await this.survive(() => world.live(1));
        this.judge();
      }
      return;
    }
    for (const slot of what.slots) {
      if (what.kind === "resume") this.wanted.add(slot);
      else this.wanted.delete(slot);
    }
    // A program whose answer was lost tells it again.
    while (!(await this.survive(() => tell(world, what.kind as PowerVerb, ...what.slots))));
    if (what.twice) await this.survive(() => tell(world, what.kind as PowerVerb, ...what.slots));
    this.judge();
  }

  /** No NodeName has two machines. */
  judge(): void {
    const all = billed(this.world);
    expect(all).toEqual([...new Set(all)]);
  }
}

let deaths = 0;

test("S38, S39: told once or twice, with crashes and lost replies, a name has one machine", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
      const story = await Story.open();
      try {
        await story.do({ kind: "live", seconds: 2 });
        for (const one of steps) await story.do(one);
        story.world.cloud.setFaults({});
        await story.do({ kind: "live", seconds: 600 });
        expect(billed(story.world)).toEqual([...story.wanted].sort((a, b) => a - b));
      } finally {
        deaths += story.deaths;
        await closeWorlds();
      }
    }),
    { numRuns: Number(process.env["POWER_RUNS"] ?? 30), endOnFailure: true },
  );
  expect(deaths).toBeGreaterThan(5);
});
