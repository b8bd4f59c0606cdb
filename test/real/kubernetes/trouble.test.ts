/**
 * The compiled control plane in the middle of a drain, on a real cluster, while the API server goes
 * away, its history is forgotten, and the control plane itself is killed again and again.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { ROOT } from "../../../build/product.ts";
import { buildStale } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { calm, openProxy } from "./proxy.ts";
import { endsOf, Ground, waitReplaced } from "./trouble-ground.ts";
import { playOutage } from "./trouble-outage.ts";

const missing = await whyNoCluster();

let ground: Ground;

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  ground = await Ground.open();
}, 600_000);
afterEach(async () => {
  if (missing === null) expect(await ground.clear()).toEqual([]);
}, 60_000);
afterAll(async () => {
  if (missing === null) expect(await ground.close()).toEqual([]);
}, 60_000);

test("the long outage says what it does not understand", () => {
  const command = [process.execPath, "run", "test/real/kubernetes/outage.ts", "--minutes", "none"];
  const { exitCode, stderr } = Bun.spawnSync(command, { cwd: ROOT, stdout: "ignore" });
  expect([exitCode, stderr.toString().includes("--minutes none: expected")]).toEqual([1, true]);
});

describe.skipIf(missing !== null)("trouble in the middle of a drain", () => {
  test("the server is away beyond the drain's time: nothing ends unseen, then it goes on", async () => {
    const result = await playOutage(ground, { awayMs: 30_000, drainMs: 22_000 });
    console.log(JSON.stringify(result));
    expect(result.broken).toEqual([]);
    expect(result.evictedBefore).toBeGreaterThan(0);
    expect(result.resumedMs).toBeGreaterThan(0);
  }, 240_000);

  test("history is compacted under its watches: it lists again and goes on", async () => {
    const { cluster } = ground;
    const proxy = await openProxy(cluster, cluster.folder);
    const joined = ground.plane({ size: 3 }, proxy.kubeconfig(cluster.kubeconfig("product")));
    const { plane } = joined;
    const [sick] = await joined.start(3);
    if (sick === undefined) throw new Error("no node");
    const work = await ground.work(9, 1);
    ground.breakNode(plane, sick);
    await ground.waitDraining(work);
    // A server that starts refuses everybody, and whoever is refused lists again anyway: only who
    // comes back when it serves asks for the history that is gone.
    const back = Promise.withResolvers<void>();
    proxy.set(() => ({ kind: "late", until: back.promise }));
    // Moves the server's version past what these watches saw: else there is nothing to be gone.
    for (const name of ["other-1", "other-2"]) {
      const made = { apiVersion: "v1", kind: "ConfigMap", metadata: { name } };
      await cluster.json("/api/v1/namespaces/default/configmaps", { method: "POST", body: made });
    }
    await cluster.stopApiserver();
    await cluster.compactEtcd();
    await ground.returnApiserver();
    await ground.allow(work);
    const before = ground.audit.length;
    proxy.set(calm);
    back.resolve();
    // Who was refused by a budget comes back up to a minute later.
    await waitReplaced(plane, sick, 180_000);
    await proxy.close();
    const since = ground.audit.slice(before);
    for (const resource of ["nodes", "pods"]) {
      const looks = since.filter(({ verb, objectRef, requestURI }) => {
        const isWhole = objectRef?.resource === resource && !requestURI.includes("fieldSelector");
        return isWhole && (verb === "watch" || verb === "list");
      });
      // The watch ends at once, and a list stands in its place.
      expect(looks.slice(0, 2).map(({ verb }) => verb)).toEqual(["watch", "list"]);
    }
    expect(ground.judge(plane.cloudDir)).toEqual([]);
  }, 240_000);

  test("killed eight times at any moment of one replacement: every step is done once", async () => {
    const joined = ground.plane({ size: 3 });
    const { plane } = joined;
    const [sick] = await joined.start(3);
    if (sick === undefined) throw new Error("no node");
    const work = await ground.work(12, 1);
    const id = ground.breakNode(plane, sick);
    for (let kill = 1; kill <= 8; kill++) {
      await Bun.sleep(Math.random() * 3_000);
      await plane.kill();
      await plane.start();
    }
    // An eviction is two steps in the server. One whose client dies in between has spent the budget
    // and deleted nobody, and the budget forgets that only after two minutes.
    await waitReplaced(plane, sick, 240_000);
    expect(ground.judge(plane.cloudDir)).toEqual([]);
    expect(endsOf(plane.cloudDir).map((one) => one.id)).toEqual([id]);
    expect(ground.evicted(work)).toBeGreaterThan(0);
    const { doubles, overlaps, live } = plane.reality();
    expect([doubles, overlaps, live.length]).toEqual([[], [], 3]);
  }, 400_000);
});
