/**
 * An autoscaler that hears few: after a restart agents come back one by one, and samplers may hang.
 * The load of some is not the load of the pool.
 */
import { afterEach, expect, test } from "bun:test";
import type { NodeId, PoolName } from "../../schema/id.ts";
import { poolYaml, type World } from "../world/world.ts";
import { counts, closeWorlds, open, resize, restart, told } from "../world/story.ts";

afterEach(closeWorlds);

const SCALING = "cooldown_period: 1s, autoscaler: { type: reactive }";

/** What its sampler says of a busy node's GPUs. */
const BUSY = 75;

/**
 * A busy pool of four, one of which is idle. `read`: what a node's sampler says instead; `null` = it
 * hangs, `undefined` = its agent has not come back.
 */
async function busyPool(): Promise<{
  w: World;
  idle: string;
  read: Map<string, () => number | null | undefined>;
}> {
  const yaml = poolYaml(1).replace("max_nodes: 6 }", `max_nodes: 6, ${SCALING} }`);
  const w = await open(yaml);
  const read = new Map<string, () => number | null | undefined>();
  const say = w.say.bind(w);
  w.say = async (id) => {
    const utilization_percent = (read.get(id) ?? (() => BUSY))();
    if (utilization_percent === undefined) return;
    await say(id);
    const at = new Date(w.clock.wallMs()).toISOString();
    const gpus = [0, 1].map((index) => ({ index, uuid: `GPU-${index}`, utilization_percent }));
    const { presence } = w.reconciler;
    presence.note(id as NodeId, w.clock.monoMs(), w.clock.wallMs(), { at, gpus });
  };
  await resize(w, 4);
  await w.until(() => w.serving().length === 4, 100);
  const idle = w.serving()[0] ?? "";
  read.set(idle, () => 0);
  await w.live(90);
  return { w, idle, read };
}

test("the first agent that is back, idle, does not make a busy pool smaller", async () => {
  const { w, idle, read } = await busyPool();
  const backAt = w.clock.wallMs() + 50_000;
  const late = (): number | undefined => (w.clock.wallMs() < backAt ? undefined : BUSY);
  for (const id of w.serving()) if (id !== idle) read.set(id, late);
  await restart(w);
  await w.live(300);
  expect(told(w, "pool.size")).toEqual([]);
  expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
});

test("samplers that hang on most nodes do not make a busy pool smaller", async () => {
  const { w, idle, read } = await busyPool();
  for (const id of w.serving()) if (id !== idle) read.set(id, () => null);
  await w.live(300);
  expect(told(w, "pool.size")).toEqual([]);
  expect(w.reconciler.status("p" as PoolName)).toMatchObject({ verdict: "hold", lost: true });
  expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
});
