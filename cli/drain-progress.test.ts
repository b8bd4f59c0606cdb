import { expect, test } from "bun:test";
import { followDrain } from "./drain-progress.ts";
import type { DrainProgress } from "./drain-progress.ts";

test.each([
  ["", "none"],
  ["node.verified node.uncordoned", "none"],
  ["command.issued node.cordoned node.draining", "draining"],
  ["command.issued node.draining node.drained", "drained"],
  ["node.draining node.terminating", "drained"],
  ["node.draining command.issued node.uncordoned", "called_off"],
  ["node.draining node.drained command.issued node.uncordoned", "called_off"],
  // Ordered again, and nothing done about it yet: the old uncordon must not end the wait.
  ["node.draining node.drained command.issued node.uncordoned command.issued", "none"],
  // Ordered again while it is drained: there is nothing to wait for.
  ["node.draining node.drained command.issued", "drained"],
])("followDrain() reads %p as %s", (kinds, wanted) => {
  const words = kinds.split(" ").filter((kind) => kind !== "");
  let progress: DrainProgress = "none";
  for (const kind of words) progress = followDrain(progress, { kind });
  expect(progress).toBe(wanted as DrainProgress);
});
