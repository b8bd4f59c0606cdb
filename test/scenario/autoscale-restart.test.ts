/**
 * An autoscaler that hears few: after a restart agents come back one by one, and samplers may hang.
 * The load of some is not the load of the pool.
 */
import { afterEach, expect, test } from "bun:test";
import type { NodeId, PoolName } from "../../schema/id.ts";
import { poolYaml } from "../../simulator/world.ts";
import { census, closeWorlds, open, resize, restart, told } from "../world/story.ts";

afterEach(closeWorlds);

const SCALING = "cooldown_period: 1s, autoscaler: { type: reactive }";

test("the first agent that is back, idle, does not make a busy pool smaller", async () => {
  const yaml = poolYaml(1).replace("max_nodes: 6 }", `max_nodes: 6, ${SCALING} }`);
  const w = await open(yaml);
  const late = new Map<string, number>();
  const say = w.say.bind(w);
  let idle = "";
  w.say = async (id) => {
    if ((late.get(id) ?? 0) > w.clock.wallMs()) return;
    await say(id);
    const utilization_percent = id === idle ? 0 : 75;
    const at = new Date(w.clock.wallMs()).toISOString();
    const gpus = [0, 1].map((index) => ({ index, uuid: `GPU-${index}`, utilization_percent }));
    const { presence } = w.reconciler;
    presence.note(id as NodeId, w.clock.monoMs(), w.clock.wallMs(), { at, gpus });
  };
  await resize(w, 4);
  await w.until(() => w.serving().length === 4, 100);
  idle = w.serving()[0] ?? "";
  await w.live(90);
  for (const id of w.serving()) if (id !== idle) late.set(id, w.clock.wallMs() + 50_000);
  await restart(w);
  await w.live(300);
  expect(told(w, "pool.size")).toEqual([]);
  expect(census(w)).toEqual({ live: 4, ended: 0, asks: 4 });
});

test("samplers that hang on most nodes do not make a busy pool smaller", async () => {
  const yaml = poolYaml(1).replace("max_nodes: 6 }", `max_nodes: 6, ${SCALING} }`);
  const w = await open(yaml);
  const hung = new Set<string>();
  const say = w.say.bind(w);
  let idle = "";
  w.say = async (id) => {
    await say(id);
    const utilization_percent = hung.has(id) ? null : id === idle ? 0 : 75;
    const at = new Date(w.clock.wallMs()).toISOString();
    const gpus = [0, 1].map((index) => ({ index, uuid: `GPU-${index}`, utilization_percent }));
    const { presence } = w.reconciler;
    presence.note(id as NodeId, w.clock.monoMs(), w.clock.wallMs(), { at, gpus });
  };
  await resize(w, 4);
  await w.until(() => w.serving().length === 4, 100);
  idle = w.serving()[0] ?? "";
  await w.live(90);
  for (const id of w.serving()) if (id !== idle) hung.add(id);
  await w.live(300);
  expect(told(w, "pool.size")).toEqual([]);
  expect(w.reconciler.standing("p" as PoolName)).toMatchObject({ verdict: "hold", lost: true });
  expect(census(w)).toEqual({ live: 4, ended: 0, asks: 4 });
});
