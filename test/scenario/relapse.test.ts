/**
 * A slot in which every machine fails soon after it was bought: by its work, by what somebody makes
 * it say, or by what the place sells. Another machine then helps no more than the last, and each
 * one costs money.
 */
import { afterEach, expect, test } from "bun:test";
import { BASE } from "../world/setting.ts";
import type { World } from "../world/world.ts";
import { closeWorlds, open, order, told, waitOf } from "../world/story.ts";
import { sayPlan } from "../../reconciler/core/plan.ts";

afterEach(closeWorlds);

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const yaml = (extra = ""): string => `${BASE}${extra}
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 2, max_nodes: 4 }
    health: { unhealthy_threshold: 1 }
`;

const bought = (world: World): number => told(world, "node.requested").length;

/** One slot's machines report XID 79 as soon as they serve, for `ms`. */
async function plague(world: World, ms: number, slot = 0): Promise<void> {
  const end = world.clock.wallMs() + ms;
  const hit = new Set<string>();
  while (world.clock.wallMs() < end) {
    for (const node of world.nodes()) {
      if (node.slot !== slot || node.phase.kind !== "serving" || hit.has(node.id)) continue;
      hit.add(node.id);
      world.xid(node.id, 79);
    }
    await world.advance(() => false, Math.min(MINUTE_MS, end - world.clock.wallMs()));
  }
}

test("a slot whose machines fail at once is not bought for again and again", async () => {
  const world = await open(yaml());
  await world.advance(() => world.serving().length === 2, HOUR_MS);
  const before = bought(world);
  await plague(world, 30 * MINUTE_MS);
  // Bad luck, or the cloud's own bad machine given back, is replaced at once.
  expect(bought(world) - before).toBeGreaterThanOrEqual(3);
  const sick = world.nodes().find(({ slot }) => slot === 0)?.id ?? "";
  const { waits } = sayPlan(world.reconciler.lastPlan());
  expect(waits.find(({ node }) => node === sick)).toMatchObject({
    reason: "backoff",
    message: expect.stringContaining("machines in a row failed in this slot"),
  });
  await plague(world, 90 * MINUTE_MS);
  // Rests of 10, 20, 40 and 80 minutes.
  expect(bought(world) - before).toBeLessThanOrEqual(8);
  // The other slot is none the worse for it.
  expect(world.nodes().find(({ slot }) => slot === 1)?.phase.kind).toBe("serving");
  // Once the cause is gone the slot comes back by itself, and later faults are replaced at once.
  expect(await world.advance(() => world.serving().length === 2, 2 * HOUR_MS)).toBe(true);
  await world.advance(() => false, 2.1 * HOUR_MS);
  const well = world.nodes().find(({ slot }) => slot === 0)?.id ?? "";
  world.xid(well, 79);
  const isReplaced = (): boolean => world.serving().length === 2 && !world.serving().includes(well);
  expect(await world.advance(isReplaced, 10 * MINUTE_MS)).toBe(true);
}, 120_000);

test("a person who orders the replacement has it at once", async () => {
  const world = await open(yaml());
  await world.advance(() => world.serving().length === 2, HOUR_MS);
  const resting = (): string | undefined =>
    world.nodes().find(({ id }) => waitOf(world, id) === "backoff")?.id;
  for (let i = 0; i < 20 && resting() === undefined; i++) await plague(world, 2 * MINUTE_MS);
  await order(world, resting() ?? "", "replace");
  expect(await world.advance(() => world.serving().length === 2, 5 * MINUTE_MS)).toBe(true);
}, 120_000);

test("who wants no breakers has no such rest", async () => {
  const world = await open(yaml("\nsafety: { breaker: { enabled: false } }"));
  await world.advance(() => world.serving().length === 2, HOUR_MS);
  const before = bought(world);
  await plague(world, HOUR_MS);
  expect(bought(world) - before).toBeGreaterThan(10);
}, 120_000);
