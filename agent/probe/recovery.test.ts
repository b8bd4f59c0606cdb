import { describe, expect, test } from "bun:test";
import { lookWith, formatConditions } from "../../test/fixture/nvml/probe-round.ts";
import { recoveryProbe } from "./recovery.ts";

describe("recoveryProbe", () => {
  test.each([
    [0, []],
    [1, ["xid/154 fatal 1"]],
    [2, ["xid/154 fatal 1"]],
    [3, ["xid/154 serious 1"]],
    [4, ["xid/154 fatal 1"]],
    [5, ["xid/154 serious 1"]],
    [6, ["xid/154 fatal 1"]],
    [7, ["xid/154 fatal 1"]],
    [9, ["xid/154 warning 1"]],
  ])("judges the driver's verdict %p", (action, said) => {
    const out = lookWith(recoveryProbe, { recoveryAction: action });
    expect(formatConditions(out.conditions)).toEqual(said);
    for (const { metrics } of out.conditions) expect(metrics.recovery_action).toBe(action);
  });

  test("orders the verdicts by how much must be restarted", () => {
    const level = (action: number) =>
      lookWith(recoveryProbe, { recoveryAction: action }).conditions[0]?.level ?? 0;
    const order = [3, 5, 1, 4, 2].map(level);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(new Set(order).size).toBe(5);
  });
});
