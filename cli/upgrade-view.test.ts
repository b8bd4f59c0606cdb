import { expect, test } from "bun:test";
import type { UpgradeView } from "../schema/upgrade.ts";
import { isUpgradeOver } from "./upgrade-view.ts";

type Step = NonNullable<UpgradeView["upgrade"]>["nodes"][number]["state"];

function stopped(...steps: Step[]): UpgradeView {
  return {
    upgrade: {
      ...{ id: "c", to: "1.1.0", state: "stopped", why: null, paused: null, rollback: true },
      ...{ by: "ann", max_unavailable: "10%", started_at: "", ended_at: null, total: 9, have: 0 },
      nodes: steps.map((state, at) => {
        return { node_id: `n${at}`, version: "1.1.0", state, since: null, why: null };
      }),
    },
  };
}

test("isUpgradeOver() waits for a rollback while it goes on, and not for one that is stuck", () => {
  expect(isUpgradeOver(stopped("back", "upgraded", "returning"))).toBe(false);
  expect(isUpgradeOver(stopped("back", "upgraded"))).toBe(false);
  expect(isUpgradeOver(stopped("stranded", "upgraded", "returning"))).toBe(false);
  expect(isUpgradeOver(stopped("stranded", "upgraded"))).toBe(true);
  expect(isUpgradeOver(stopped("stranded", "back"))).toBe(true);
});
