/**
 * A replacement through a storm: the compiled control plane reaches the API server of a real
 * cluster only through a proxy that throttles, fails, hangs, loses answers of work that was done,
 * and ends watches in every way they can end.
 */
import { seeded } from "../../../simulator/engine/random.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { drawSeed } from "../../seed.ts";
import { whyNoCluster } from "./binary.ts";
import { calm, type Fault, type Faults, GONE, INTERNAL, openProxy } from "./proxy.ts";
import { type Proxy, THROTTLED } from "./proxy.ts";
import { endsOf, Ground, waitReplaced } from "./trouble-ground.ts";

const missing = await whyNoCluster();

let ground: Ground;
let proxy: Proxy;

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  ground = await Ground.open();
  proxy = await openProxy(ground.cluster, ground.cluster.folder);
}, 600_000);
afterEach(async () => {
  if (missing === null) expect(await ground.clear()).toEqual([]);
}, 60_000);
afterAll(async () => {
  if (missing !== null) return;
  await proxy.close();
  expect(await ground.close()).toEqual([]);
}, 60_000);

const HANG: Fault = { kind: "hang" };
const CUT: Fault = { kind: "cut" };
const LOST: Fault = { kind: "lost" };

/** One of these faults in `share` of the calls. */
function pick(random: () => number, share: number, faults: readonly Fault[]): Fault | null {
  if (random() >= share) return null;
  return faults[Math.floor(random() * faults.length)] ?? null;
}

/** A third of everything fails, in the ways that are possible for its kind. */
function stormOf(random: () => number): Faults {
  return ({ method, isWatch }) => {
    if (isWatch) {
      const end = (["cut", "torn", "expired"] as const)[Math.floor(random() * 3)] ?? "cut";
      const life: Fault = { kind: "watch", end, lifeMs: 500 + random() * 6_000 };
      return pick(random, 0.3, [THROTTLED, INTERNAL, GONE, CUT]) ?? life;
    }
    if (method === "GET") return pick(random, 0.3, [THROTTLED, INTERNAL, GONE, CUT, LOST]);
    return pick(random, 0.4, [THROTTLED, INTERNAL, CUT, LOST, LOST]);
  };
}

type Story = { name: string; faults: Faults; size: number; replicas: number };

/** Breaks a node in fair weather, lets the storm begin with it, and judges after the end. */
async function playStorm({ name, faults, size, replicas }: Story): Promise<void> {
  proxy.set(calm);
  const joined = ground.plane({ size }, proxy.kubeconfig(ground.cluster.kubeconfig("product")));
  const { plane } = joined;
  const [sick] = await joined.start(size);
  if (sick === undefined) throw new Error("no node");
  const work = await ground.work(replicas, 1);
  proxy.set(faults);
  // The watches of the fair weather would last for minutes.
  proxy.cut();
  const id = ground.breakNode(plane, sick);
  const begun = Date.now();
  await waitReplaced(plane, sick, 150_000);
  console.log(`${name}: replaced in ${Date.now() - begun} ms, ${JSON.stringify(proxy.counts())}`);
  expect(ground.judge(plane.cloudDir)).toEqual([]);
  expect(endsOf(plane.cloudDir).map((one) => one.id)).toEqual([id]);
  expect(ground.evicted(work)).toBeGreaterThan(0);
  const { doubles, overlaps } = plane.reality();
  expect([doubles, overlaps]).toEqual([[], []]);
}

describe.skipIf(missing !== null)("storms between the product and its API server", () => {
  test("throttling, errors, expired watches, cut lines and lost answers", async () => {
    const seed = drawSeed();
    console.log(`seed ${seed}`);
    const faults = stormOf(seeded(seed));
    await playStorm({ name: "storm", faults, size: 3, replicas: 12 });
  }, 240_000);

  test("every second eviction hangs, and every other answer of one is lost", async () => {
    let n = 0;
    const faults: Faults = ({ method, path }) => {
      if (method !== "POST" || !path.endsWith("/eviction")) return null;
      n += 1;
      return n % 2 === 1 ? HANG : LOST;
    };
    await playStorm({ name: "evictions", faults, size: 2, replicas: 6 });
  }, 240_000);

  test("every answer of a write is lost: what was done is seen, and done once", async () => {
    const faults: Faults = ({ method }) => (method === "GET" ? null : LOST);
    await playStorm({ name: "lost", faults, size: 2, replicas: 6 });
  }, 240_000);

  test("a server that hangs, and later answers", async () => {
    const joined = ground.plane(
      { size: 2, pool: "    drain: { timeout: 20s, fatal_timeout: 20s, grace_period: 1s }" },
      proxy.kubeconfig(ground.cluster.kubeconfig("product")),
    );
    const { plane } = joined;
    proxy.set(calm);
    const [sick] = await joined.start(2);
    if (sick === undefined) throw new Error("no node");
    const work = await ground.work(8, 1);
    ground.breakNode(plane, sick);
    await until("a pod was evicted", 30_000, () => (ground.evicted(work) > 0 ? true : null));
    // It takes every connection and answers none, the watches it already has included.
    ground.cluster.signal("apiserver", "SIGSTOP");
    const hungAt = Date.now();
    const early: number[] = [];
    try {
      while (Date.now() - hungAt < 30_000) {
        early.push(...endsOf(plane.cloudDir).map(({ atMs }) => atMs - hungAt));
        await Bun.sleep(500);
      }
    } finally {
      ground.cluster.signal("apiserver", "SIGCONT");
    }
    expect(early).toEqual([]);
    await waitReplaced(plane, sick, 90_000);
    expect(ground.judge(plane.cloudDir, 20_000)).toEqual([]);
  }, 240_000);
});
