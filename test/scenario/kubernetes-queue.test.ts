/**
 * A smaller queue and a machine that waits for its cluster: work may be placed on it before all of
 * its GPUs are offered, and then it is no idle node.
 */
import { afterEach, expect, test } from "bun:test";
import { clusterOf, joined, kubeWrongs, nameOf } from "../world/cluster.ts";
import { closeWorlds, phaseOf } from "../world/story.ts";
import type { World } from "../world/world.ts";

afterEach(closeWorlds);

/** `seconds` of life in which the source repeats its word. */
async function queued(w: World, queueDepth: number, seconds: number): Promise<void> {
  for (let i = 0; i < seconds; i += 10) {
    await w.reconciler.change((draft) => {
      const pool = [...w.reconciler.fleet().pools.values()][0];
      const demand = { pendingJobs: 0, queueDepth, observedAt: w.clock.wallMs(), by: "ci" };
      if (pool !== undefined) draft.putPool({ ...pool, demand });
    });
    await w.live(10);
  }
}

test("a queue that empties takes nobody with work, also while it waits for its cluster", async () => {
  let isLate = false;
  const half = { allocatable: { "nvidia.com/gpu": "1" } };
  const w = await joined(1, {}, { cluster: { status: () => (isLate ? half : {}) } });
  isLate = true;
  const [pool] = w.config.pools;
  if (pool === undefined) throw new Error("no pool");
  pool.scaling.cooldownMs = 0;
  pool.scaling.autoscaler = { type: "queue", count: "pods", jobsPerNode: 1, scaleDownAfterMs: 0 };
  await queued(w, 2, 90);
  const [first = ""] = w.serving();
  const late = w.nodes().find(({ id }) => id !== first)?.id ?? "";
  expect(phaseOf(w, late)).toBe("verifying");
  const web = clusterOf(w).run({ name: "web", replicas: 0 });
  web.startOn(nameOf(w, late));
  web.startOn(nameOf(w, first));
  await queued(w, 2, 20);
  await queued(w, 1, 120);
  expect([phaseOf(w, late), phaseOf(w, first)]).toEqual(["verifying", "serving"]);
  expect(web.on(nameOf(w, late))).toHaveLength(1);
  expect(kubeWrongs(w)).toEqual([]);
}, 60_000);
