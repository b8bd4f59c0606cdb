/**
 * Machines that are taken back from the cloud's list after the record was lost or an old one was
 * put in its place: they may have served for long, so they are neither set up again nor ended as
 * new ones that did not come up.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { dirname, join } from "node:path";
import { restoreBackup, writeBackup } from "../../reconciler/server/backup.ts";
import { poolYaml, type World } from "../world/world.ts";
import {
  counts,
  closeWorlds,
  fleet,
  instanceOf,
  liveIds,
  loseDatabase,
  open,
  order,
  threshold,
  watchEnds,
  wrongs,
} from "../world/story.ts";
import { sayPlan } from "../../reconciler/core/plan.ts";

afterEach(closeWorlds);

const SET_UP = `    setup_commands: ["true"]\n    ssh_private_key_path: /nowhere/key\n`;

async function restoreOld(w: World): Promise<void> {
  const url: unknown = Reflect.get(w, "url");
  if (typeof url !== "string") throw new Error("the world keeps its database elsewhere now");
  const file = url.slice("file:".length);
  const out = join(dirname(file), "old.backup");
  await writeBackup(file, out, { fleetId: "fleet", secret: "s" });
  await w.crash();
  expect(await restoreBackup(out, dirname(file), w.clock.wallMs())).toMatchObject({ kind: "ok" });
  await w.start();
}

const WAYS: [string, (w: World) => Promise<void>][] = [
  ["lost", loseDatabase],
  ["restored", restoreOld],
];

/** Three busy nodes of bare machines. `asked`: set-ups since then. */
async function busyFleet(): Promise<{ w: World; asked: string[]; ids: string[] }> {
  const w = await open(poolYaml(3, SET_UP), { terms: { bringsAgent: false } });
  const say = w.say.bind(w);
  const ready = new Set<string>();
  w.say = async (id) => (ready.has(id) ? say(id) : undefined);
  const asked: string[] = [];
  w.setUp = async ({ node, payload }) => {
    asked.push(payload.instanceId);
    ready.add(node);
    return { kind: "done", instance: null, message: null, hostKey: "AAAA" };
  };
  await w.until(() => w.serving().length === 3, 200);
  for (const id of w.serving()) w.agent(id).processes = 4;
  await w.live(120);
  asked.length = 0;
  return { w, asked, ids: [...w.serving()] };
}

describe.each(WAYS)("the record was %s", (_, lose) => {
  test("nodes at work are not set up again, and serve on", async () => {
    const { w, asked } = await busyFleet();
    const before = liveIds(w);
    const ends = watchEnds(w);
    await lose(w);
    await w.live(1_800);
    expect(asked).toEqual([]);
    expect(ends).toEqual([]);
    expect(liveIds(w)).toEqual(before);
    expect(w.serving().length).toBe(3);
    expect(wrongs(w)).toEqual([]);
  });

  test("those whose agents are never heard again stay until a person ends them", async () => {
    const { w, ids } = await busyFleet();
    const before = liveIds(w);
    for (const id of ids) w.agent(id).quiet = true;
    await lose(w);
    await w.live(3 * 3_600);
    expect(liveIds(w)).toEqual(before);
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    const [id = ""] = ids;
    const wait = sayPlan(w.reconciler.lastPlan()).waits.find(({ node }) => node === id);
    expect(wait).toMatchObject({ reason: "human" });
    expect(wait?.message).toMatch(/^no agent registered within \d+ s: .* may be at work; it stays/);
    const ended = instanceOf(w, id);
    await order(w, id, "replace", { force: true });
    await w.until(() => !liveIds(w).includes(ended) && liveIds(w).length === 3, 600);
    expect(liveIds(w).filter((one) => before.includes(one)).length).toBe(2);
  });
});

test("one that a person ends without force is emptied first, however silent it is", async () => {
  const { w, ids } = await busyFleet();
  for (const one of ids) w.agent(one).quiet = true;
  await loseDatabase(w);
  await w.until(() => w.nodes().length === 3, 300);
  const ends = watchEnds(w);
  const [id = ""] = ids;
  await order(w, id, "replace");
  await w.until(() => w.story(id).includes("node.draining"), 60);
  await w.live(60);
  expect(ends).toEqual([]);
  expect(w.node(id).phase.kind).toBe("draining");
});

test("a sick one is emptied before it is replaced, as one that serves", async () => {
  const w = await fleet(3, threshold(1));
  const [sick = ""] = w.serving();
  const dead = instanceOf(w, sick);
  w.agent(sick).processes = 2;
  w.xid(sick, 79);
  const ends = watchEnds(w);
  await loseDatabase(w);
  await w.until(() => w.story(sick).includes("node.draining"), 300);
  await w.live(30);
  expect(ends).toEqual([]);
  w.agent(sick).processes = 0;
  await w.until(() => ends.length > 0, 600);
  expect(ends).toContain(dead as (typeof ends)[number]);
  await w.until(() => w.serving().length === 3, 600);
  const story = w.story(sick).filter((kind) => /suspect|cordoned|drained|replaced/.test(kind));
  expect(story).toEqual(["node.suspect", "node.cordoned", "node.drained", "node.replaced"]);
  expect(wrongs(w)).toEqual([]);
});
