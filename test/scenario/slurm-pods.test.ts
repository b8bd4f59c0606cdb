/**
 * S56: the control plane sizes the StatefulSet of Slurm's pods by the jobs of its partition, also
 * while processes die, answers are lost, and people drain and scale. Judged by the virtual
 * controller's own nodes and jobs (`test/world/slurm/pods.ts`).
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { NO_SLURM_FAULT } from "../world/slurm/fake.ts";
import { podOf, PodWorld } from "../world/slurm/pods.ts";

setDefaultTimeout(300_000);

const failed = (world: PodWorld): string[] =>
  world.slurm.ends.filter(({ how }) => how === "NODE_FAIL").map(({ id }) => id);

test("S56: pending jobs grow the pods, and their end lowers them with a drain first", async () => {
  const world = new PodWorld({ replicas: 1, minReplicas: 1 });
  await world.live(60);
  for (let i = 0; i < 3; i += 1) world.slurm.submit({ gpus: 8, lastsMs: 120_000 + i * 60_000 });
  expect(
    await world.until(() => world.slurm.jobs().every((job) => job.state === "RUNNING"), 60),
  ).toBe(true);
  expect([world.replicas, world.sizes]).toEqual([3, ["1 → 3"]]);
  expect(await world.until(() => world.replicas === 1, 600)).toBe(true);
  expect([world.wrong, failed(world)]).toEqual([[], []]);
  expect(world.slurm.node(podOf(2))?.reason).toStartWith("slurm-scale: slurm-compute to ");
  expect(world.events.map(({ message }) => message)[0]).toBe(
    "slurm-compute: 1 → 3 replicas: 1 with work, 2 more for pending jobs",
  );
});

test("S56: a node that is needed again is released, and only once its new pod registered", async () => {
  const world = new PodWorld({ replicas: 3, minReplicas: 1, startMs: () => 90_000 });
  await world.live(100);
  expect(await world.until(() => world.replicas === 1, 300)).toBe(true);
  world.slurm.submit({ nodeCount: 3, lastsMs: 60_000 });
  expect(await world.until(() => world.slurm.ends.length === 1, 400)).toBe(true);
  expect([world.wrong, failed(world)]).toEqual([[], []]);
});

test("S56: small jobs share a node's GPUs, and one that can never fit asks for nothing", async () => {
  const world = new PodWorld({ replicas: 1, minReplicas: 1, maxReplicas: 4 });
  await world.live(60);
  world.slurm.submit({ nodeCount: 5 });
  await world.live(120);
  expect(world.replicas).toBe(1);
  for (let i = 0; i < 9; i += 1) world.slurm.submit({ gpus: 1, lastsMs: 1_000_000 });
  await world.live(7);
  expect(world.sizes).toEqual(["1 → 2"]);
});

test("S56: nothing is lowered while Slurm, the API server or a person says no", async () => {
  const world = new PodWorld({ replicas: 3, minReplicas: 1 });
  await world.live(50);
  world.fake.fault = { ...NO_SLURM_FAULT, down: true };
  await world.live(600);
  expect(world.replicas).toBe(3);
  expect(world.status()?.why).toStartWith("stands still until Slurm answers: Unable to contact");
  world.fake.fault = NO_SLURM_FAULT;
  world.isKubeAway = true;
  await world.live(600);
  expect(world.status()?.why).toContain("ECONNREFUSED");
  world.isKubeAway = false;
  world.frozen = "ordered by alice";
  await world.live(600);
  expect([world.replicas, world.status()?.why]).toEqual([
    3,
    "the fleet is frozen: ordered by alice",
  ]);
  world.frozen = null;
  world.slurm.update(podOf(1), { state: "drain", reason: "maint by alice" }, "alice");
  await world.live(600);
  expect([world.replicas, world.status()?.state]).toEqual([2, "held"]);
  expect(world.status()?.why).toContain("others hold it in Slurm (maint by alice)");
  expect(world.slurm.node(podOf(1))?.reason).toBe("maint by alice");
  world.slurm.update(podOf(1), { state: "undrain" }, "alice");
  expect(await world.until(() => world.replicas === 1, 300)).toBe(true);
  expect(world.wrong).toEqual([]);
});

test("S56: a pod that does not come up is made up for, and one unknown to Slurm is not", async () => {
  const world = new PodWorld({ replicas: 2, startMs: (index) => (index === 1 ? null : 20_000) });
  await world.live(60);
  world.slurm.submit({ nodeCount: 2, lastsMs: 60_000 });
  expect(await world.until(() => world.slurm.ends.length === 1, 1_200)).toBe(true);
  expect(world.sizes[0]).toBe("2 → 3");
  const other = new PodWorld({ replicas: 2 });
  await other.live(60);
  other.slurm.remove(podOf(1), "root");
  other.slurm.submit({ nodeCount: 2 });
  await other.live(1_500);
  expect([other.replicas, other.status()?.needed?.stop]).toEqual([
    2,
    "Slurm does not list slurm-compute-1: add it to slurm.conf",
  ]);
});

/** Growth, a drain under a running job, a release in the middle of it, and the end. */
async function story(world: PodWorld): Promise<void> {
  await world.live(30);
  world.slurm.submit({ nodeCount: 3, lastsMs: 60_000 });
  await world.live(150);
  world.slurm.submit({ nodeCount: 1, lastsMs: 200_000 });
  world.slurm.submit({ nodeCount: 1, lastsMs: 20_000 });
  await world.live(150);
  world.slurm.submit({ nodeCount: 3, lastsMs: 30_000 });
  await world.live(900);
}

test("S56: a process that dies at any effect leaves the same end", async () => {
  const open = () => new PodWorld({ replicas: 1, minReplicas: 1, scaleDownAfterMs: 20_000 });
  const calm = open();
  await story(calm);
  expect([calm.replicas, calm.slurm.ends.length, calm.wrong]).toEqual([1, 4, []]);
  expect(calm.effects).toBeGreaterThan(8);
  for (let effect = 0; effect < calm.effects; effect += 1) {
    for (const when of ["before", "after"] as const) {
      const world = open();
      world.deaths = [{ effect, when }];
      await story(world);
      const seen = [effect, when, world.replicas, world.slurm.ends.length, failed(world)];
      expect([...seen, world.wrong]).toEqual([effect, when, 1, 4, [], []]);
    }
  }
});

test("S56: a leader that hangs before it lowers does nothing once another has released", async () => {
  // Its effects: the drain, then the lowering.
  const world = new PodWorld({ replicas: 3, minReplicas: 1 });
  world.deaths = [{ effect: 1, when: "late" }];
  let job = "";
  world.hung = () => void (job = world.slurm.submit({ nodeCount: 3, lastsMs: 200_000 }));
  expect(await world.until(() => job !== "", 300)).toBe(true);
  expect(world.replicas).toBe(3);
  await world.live(30);
  expect(world.slurm.jobsOn(podOf(2))).toEqual([job]);
  await world.live(60);
  expect([world.replicas, world.slurm.jobsOn(podOf(2))]).toEqual([3, [job]]);
  expect(await world.until(() => world.replicas === 1, 600)).toBe(true);
  expect([world.wrong, failed(world)]).toEqual([[], []]);
});

const step = fc.oneof(
  fc.record({
    kind: fc.constant("submit" as const),
    gpus: fc.integer({ min: 0, max: 8 }),
    nodeCount: fc.integer({ min: 1, max: 7 }),
    lastsMs: fc.integer({ min: 1_000, max: 300_000 }),
  }),
  fc.record({ kind: fc.constant("drain" as const), index: fc.integer({ min: 0, max: 5 }) }),
  fc.record({ kind: fc.constant("undrain" as const), index: fc.integer({ min: 0, max: 5 }) }),
  fc.record({
    kind: fc.constant("fault" as const),
    lost: fc.double({ min: 0, max: 0.4, noNaN: true }),
  }),
  fc.constant({ kind: "down" as const }),
  fc.constant({ kind: "away" as const }),
  fc.constant({ kind: "calm" as const }),
  fc.constant({ kind: "restart" as const }),
  fc.record({ kind: fc.constant("die" as const), inEffects: fc.integer({ min: 0, max: 3 }) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function perform(world: PodWorld, one: Step): void {
  switch (one.kind) {
    case "submit":
      return void world.slurm.submit(one);
    case "drain":
      return world.slurm.update(podOf(one.index), { state: "drain", reason: "alice" }, "alice");
    case "undrain":
      return world.slurm.update(podOf(one.index), { state: "resume" }, "alice");
    case "fault":
      world.fake.fault = { ...NO_SLURM_FAULT, lostAnswers: one.lost, lostCalls: one.lost };
      return;
    case "down":
      world.fake.fault = { ...NO_SLURM_FAULT, down: true };
      return;
    case "away":
      world.isKubeAway = true;
      return;
    case "calm":
      world.fake.fault = NO_SLURM_FAULT;
      world.isKubeAway = false;
      return;
    case "restart":
      return world.restart();
    case "die":
      world.deaths.push({ effect: world.effects + one.inEffects, when: "after" });
  }
}

const walk = fc.array(fc.tuple(step, fc.integer({ min: 1, max: 120 })), {
  maxLength: 40,
  size: "max",
});

test("S56: whatever happens, no pod goes with work or undrained, and demand is met", async () => {
  const runs = fc.asyncProperty(walk, fc.nat(), async (steps, seed) => {
    let state = seed + 1;
    const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
    const bounds = { minReplicas: 1, maxReplicas: 6, scaleDownAfterMs: 30_000 };
    const world = new PodWorld({ replicas: 1, ...bounds, random });
    for (const [one, seconds] of steps) {
      perform(world, one);
      await world.live(seconds);
    }
    perform(world, { kind: "calm" });
    for (let index = 0; index < 6; index += 1) perform(world, { kind: "undrain", index });
    expect(await world.until(() => world.slurm.jobs().every(isHopeless), 30_000)).toBe(true);
    expect(await world.until(() => world.replicas === 1, 600)).toBe(true);
    expect([world.wrong, failed(world)]).toEqual([[], []]);
  });
  await fc.assert(runs, { numRuns: Number(process.env["POD_RUNS"] ?? 40) });
});

/** More nodes than there may be. */
const isHopeless = ({ nodeCount }: { nodeCount: number }): boolean => nodeCount > 6;
