/** The bench of traces itself: what it counts, by hand. */
import { expect, test } from "bun:test";
import { follow, madeTrace } from "./forecast.ts";

const reactive = {
  type: "reactive",
  scaleUpThreshold: 80,
  scaleDownThreshold: 20,
  step: 1,
} as const;

test("follow() counts what is paid, and a level demand changes nothing", () => {
  // Three nodes' work on ceil(3 / 0.7) = 5 nodes for two hours.
  const level = { name: "level", step_s: 3_600, demand: [3, 3, 3] };
  const outcome = follow(level, "r", reactive);
  expect(outcome).toMatchObject({ unmet: 0, changes: 0 });
  expect(outcome.paid).toBeCloseTo(10, 9);
});

test("follow() counts what no node could take while one boots", () => {
  // From 2 nodes' work (on 3 nodes) to 4 within a second; a fourth node takes 15 minutes.
  const steps = Array.from({ length: 3_601 }, (_, second) => (second < 60 ? 2 : 4));
  const outcome = follow({ name: "step", step_s: 1, demand: steps }, "r", reactive);
  expect(outcome.unmet).toBeCloseTo(900 / 3_600, 9);
  // The fifth is asked for when the fourth serves and is full too.
  expect(outcome.changes).toBe(2);
});

test("madeTrace() is the same for the same seed", () => {
  expect(madeTrace(1)).toEqual(madeTrace(1));
  expect(madeTrace(1).demand.length).toBe(1_440);
});
