/**
 * The leader changes in the middle of a drain on a real cluster: killed, and frozen for long and
 * woken. Two compiled control planes on one libSQL server.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { NodeView } from "../../../schema/api.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoSqld } from "../../fixture/plane/sqld.ts";
import { whyNoCluster } from "./binary.ts";
import { Duo, leads, type Side, writesOf } from "./trouble-duo.ts";
import { endsOf, Ground, waitReplaced, type Work } from "./trouble-ground.ts";

const missing = (await whyNoCluster()) ?? whyNoSqld();

let ground: Ground;
let duo: Duo | null = null;

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  ground = await Ground.open();
}, 600_000);
afterEach(async () => {
  await duo?.close();
  duo = null;
  if (missing === null) expect(await ground.clear()).toEqual([]);
}, 60_000);
afterAll(async () => {
  if (missing === null) expect(await ground.close()).toEqual([]);
}, 60_000);

type Scene = { leader: Side; standby: Side; sick: NodeView; id: string; work: Work };

/** A drain that has begun, has most of its pods before it and is held by their budget. */
async function begin(): Promise<Scene> {
  duo = await Duo.start(ground, 3);
  const { leader, standby } = await duo.roles();
  const [sick] = duo.nodes;
  if (sick === undefined) throw new Error("no node");
  const work = await ground.work(15, 1);
  const id = ground.breakNode(leader.plane, sick);
  await ground.waitDraining(work);
  return { leader, standby, sick, id, work };
}

async function waitLeads({ plane }: Side): Promise<number> {
  const begun = performance.now();
  await until("the other one leads", 30_000, async () => ((await leads(plane)) ? true : null));
  return Math.round(performance.now() - begun);
}

function judge({ leader, standby, id }: Scene): void {
  const { cloudDir } = leader.plane;
  expect(ground.judge(cloudDir)).toEqual([]);
  expect(endsOf(cloudDir).map((one) => one.id)).toEqual([id]);
  const { doubles, overlaps } = standby.plane.reality();
  expect([doubles, overlaps]).toEqual([[], []]);
}

describe.skipIf(missing !== null)("the leader changes mid-drain", () => {
  test("killed: the other one goes on, and asks nobody twice", async () => {
    const scene = await begin();
    const { leader, standby, sick, work } = scene;
    await leader.plane.kill();
    const before = ground.evicted(work);
    console.log(`took over in ${await waitLeads(standby)} ms, ${before} evicted before`);
    await leader.plane.start();
    await ground.allow(work);
    await waitReplaced(standby.plane, sick, 150_000);
    expect(ground.evicted(work)).toBeGreaterThan(before);
    judge(scene);
  }, 240_000);

  test("frozen and woken while the other one drains: it asks nobody for anything", async () => {
    const scene = await begin();
    const { leader, standby, sick, work } = scene;
    leader.plane.signal("SIGSTOP");
    const took = await waitLeads(standby);
    await ground.allow(work);
    // The other one is in the middle of the same drain when this one comes back.
    await until("the other one evicts", 30_000, () => {
      return writesOf(standby, 0).some((line) => line.endsWith("/eviction")) ? true : null;
    });
    const wokenAt = Date.now();
    leader.plane.signal("SIGCONT");
    await waitReplaced(standby.plane, sick, 150_000);
    console.log(`took over in ${took} ms; the woken one: ${writesOf(leader, wokenAt).join(", ")}`);
    expect(writesOf(leader, wokenAt).filter((line) => line.endsWith("/eviction"))).toEqual([]);
    expect(writesOf(leader, wokenAt)).toEqual([]);
    expect(await leads(standby.plane)).toBe(true);
    judge(scene);
  }, 240_000);
});
