/** The gauges of AgentPools on the real page. */
import { afterEach, expect, test } from "bun:test";
import { BEGAN, fakePools, QUIET } from "../../../test/world/agent-pools.ts";
import { openWorldApp } from "../../../test/world/app.ts";
import { closeWorlds, fleet } from "../../../test/world/story.ts";

afterEach(closeWorlds);

test("V45: workers, slots, events and conditions of each pool, and Velda's names", async () => {
  const world = await fleet(1);
  const pools = fakePools(["default/t1", "team-a/t1"]);
  const [view] = pools.views;
  if (view === undefined) throw new Error("no pool");
  view.status = {
    ...{ ...QUIET, size: 3, idleSlots: -1, queuedClaims: 2, workers: { Running: 2, Pending: 1 } },
    conditions: [{ type: "Gated", status: "True", reason: "UnknownWorkers", message: "x" }],
  };
  view.last = { scale_up_attempt: BEGAN, resource_exhausted: BEGAN + 500 };
  const { call } = openWorldApp(world, undefined, pools);
  const { text } = await call("GET", "/metrics", undefined, null);
  const at = (name: string, labels: string) =>
    new RegExp(`^${name}\\{namespace="default",pool="t1",${labels}\\} (\\S+)$`, "m").exec(
      text,
    )?.[1];
  for (const name of ["navarch_agentpool_workers", "velda_autoscaler_workers"]) {
    const counts = ["Running", "Pending", "Idle"].map((one) => at(name, `status="${one}"`));
    expect([name, ...counts]).toEqual([name, "2", "1", "0"]);
  }
  for (const name of ["navarch_agentpool_slots", "velda_autoscaler_worker_slots"]) {
    const counts = ["available", "requested"].map((one) => at(name, `kind="${one}"`));
    expect([name, ...counts]).toEqual([name, "1", "2"]);
  }
  const event = "last_event_timestamp_seconds";
  for (const name of [`navarch_agentpool_${event}`, `velda_autoscaler_${event}`]) {
    expect(at(name, 'event="scale_up_attempt"')).toBe(String(BEGAN / 1_000));
    expect(at(name, 'event="resource_exhausted"')).toBe(String(BEGAN / 1_000 + 0.5));
    expect(at(name, 'event="startup_failure"')).toBeUndefined();
  }
  expect(at("navarch_agentpool_condition", 'condition="Gated"')).toBe("1");
  expect(text).toContain('navarch_agentpool_workers{namespace="team-a",pool="t1",status="Idle"} 1');
});
