import { expect, test } from "bun:test";
import { slurmRowOf } from "../../../test/world/part.ts";
import { workLeft } from "./left.ts";
import { isHeldByItself } from "./owner.ts";

test("S30: a node that is powered down or on its way is empty, one that stays up is dark", () => {
  const leftOf = (...flags: string[]) => workLeft(slurmRowOf({ flags }), [], 7);
  for (const flag of ["POWERED_DOWN", "POWERING_DOWN"])
    expect(leftOf("CLOUD", flag)).toEqual({ kind: "empty", seenAt: 7 });
  expect(leftOf("CLOUD", "POWERING_UP")).toMatchObject({ kind: "dark" });
  expect(leftOf()).toMatchObject({ kind: "dark", message: "n0 is not drained in Slurm (IDLE)" });
});

test("S40: a free node without a job is idle to choose by, and dark to end by", () => {
  const leftOf = (more: object) => workLeft(slurmRowOf(more), [], 7);
  expect(leftOf({})).toMatchObject({ kind: "dark", idle: true });
  for (const more of [
    { flags: ["NOT_RESPONDING"] },
    ...["PLANNED", "RESERVED", "MAINTENANCE", "REBOOT_REQUESTED", "ODD"].map((flag) => ({
      flags: [flag],
    })),
    { base: "UNKNOWN" },
  ]) {
    expect([more, "idle" in leftOf(more)]).toEqual([more, false]);
  }
  for (const more of [{ base: "MIXED" }, { base: "ALLOCATED" }, { flags: ["COMPLETING"] }]) {
    expect(leftOf(more).kind).toBe("busy");
  }
});

test("S28: what slurmctld holds by itself is neither a party's drain nor a node in service", () => {
  const held = (base: string, flags: string[], reason: string | null) =>
    isHeldByItself({ base, flags, reason });
  expect(held("DOWN", [], "Not responding")).toBe(true);
  expect(held("DOWN", [], null)).toBe(true);
  expect(held("IDLE", ["DRAIN"], null)).toBe(false);
  expect(held("IDLE", [], null)).toBe(false);
  expect(held("DOWN", [], "navarch:s-1 XID79 x")).toBe(false);
  expect(held("DOWN", [], "maint by alice")).toBe(false);
});

test("S28: a text of slurmctld's is its own to the last word, a person's words behind it hold", () => {
  const held = (reason: string) => isHeldByItself({ base: "DOWN", flags: ["DRAIN"], reason });
  for (const own of [
    "Kill task failed",
    "Kill task failed : Not responding",
    "Low RealMemory",
    "Low socket*core*thread count, Low CPUs",
    "Low RealMemory (reported:900 < 100.00% of configured:1000), Low TmpDisk",
    "gres/gpu count reported lower than configured (7 < 8)",
    "gres/gpu:h100 count too low (7 < 8)",
    "Node unexpectedly rebooted : reboot issued",
  ]) {
    expect([own, held(own)]).toEqual([own, true]);
  }
  for (const theirs of [
    "Kill task failed on GPU 3: vendor on site tomorrow, hands off (alice)",
    "Kill task failed, alice looks at it",
    "Not responding to IPMI, I am at the rack",
    "Not responding\nleave it",
    "Not responding : maint by alice",
    "Low RealMemory (a DIMM is out)",
    "gres/gpu count is wrong",
    "Prolog error: cf. case 12",
    "reboot timed out?",
  ]) {
    expect([theirs, held(theirs)]).toEqual([theirs, false]);
  }
});
