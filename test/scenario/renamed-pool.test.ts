/**
 * A pool that is no longer configured, or has another name now: its machines go on, and are paid
 * for, so a person is told of each.
 */
import { afterEach, expect, test } from "bun:test";
import { poolYaml, configOf } from "../world/world.ts";
import { counts, closeWorlds, fleet, restart, waitOf } from "../world/story.ts";
import { sayPlan } from "../../reconciler/core/plan.ts";

afterEach(closeWorlds);

test("machines of a pool that was renamed are told of, and left alone", async () => {
  const w = await fleet(2, "", { store: "memory" });
  const before = w.serving();
  w.config = configOf(poolYaml(2).replace("name: p", "name: q"));
  await restart(w);
  await w.until(() => w.serving().length === 4, 120);
  for (const id of before) expect(waitOf(w, id)).toBe("not_ours");
  const waits = sayPlan(w.reconciler.lastPlan()).waits.filter(({ node }) => node === before[0]);
  expect(waits[0]?.message).toContain("pool p is not in the configuration any more");
  expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
});
