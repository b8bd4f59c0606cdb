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
