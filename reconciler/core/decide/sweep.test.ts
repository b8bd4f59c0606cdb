/** How many surplus machines end at once. */
import { expect, test } from "bun:test";
import type { OperationId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { drainingOf, endingOf, goneOf, NOW } from "../../../test/world/ask.ts";
import { nodeOf } from "../../../test/world/part.ts";
import { openSweep, SWEEP_MS } from "./sweep.ts";
import { sayWait } from "../say/wait.ts";

const surplus = (accepted: number | null, over: Partial<Node> = {}) =>
  nodeOf("s", { phase: endingOf("surplus", { accepted }), ...over });
const many = (count: number) => Array.from({ length: count }, (_, i) => nodeOf(`w${i}`));
const say = (nodes: Node[]) => sayWait(openSweep(nodes, NOW).full());
const formatted = (used: number, max: number) =>
  `${used} of at most ${max} surplus machines are being terminated`;

test.each([
  [0, 1],
  [199, 1],
  [200, 2],
  [299, 2],
  [300, 3],
])("of %d nodes %d may be ended at once", (count, max) => {
  expect(say(many(count))).toBe(formatted(0, max));
});

test("what is gone is not counted as a node", () => {
  const gone = Array.from({ length: 150 }, (_, i) => nodeOf(`g${i}`, { phase: goneOf("replace") }));
  expect(say([...many(199), ...gone])).toBe(formatted(0, 1));
});

test.each<[string, Node, number]>([
  ["asked for just now", surplus(NOW - SWEEP_MS + 1), 1],
  ["asked for half a minute ago", surplus(NOW - SWEEP_MS), 0],
  ["being asked for", surplus(null, { operation: "o" as OperationId }), 1],
  ["not asked for yet", surplus(null), 0],
  ["gone just now", nodeOf("g", { phase: goneOf("surplus", NOW - SWEEP_MS + 1) }), 1],
  ["gone half a minute ago", nodeOf("g", { phase: goneOf("surplus", NOW - SWEEP_MS) }), 0],
  ["gone for another reason", nodeOf("g", { phase: goneOf("replace", NOW) }), 0],
  ["ended for another reason", nodeOf("g", { phase: endingOf("replace", { accepted: NOW }) }), 0],
  [
    "drained only",
    nodeOf("g", { phase: drainingOf({ purpose: "surplus" }), operation: "o" as OperationId }),
    0,
  ],
])("one that is %s: %#", (_, node, used) => {
  expect(say([node])).toBe(formatted(used, 1));
});

test("take() spends, but not for one that is only asked for again", () => {
  const sweep = openSweep(many(1), NOW);
  expect(sweep.take(surplus(NOW - 99))).toBe(true);
  expect(sayWait(sweep.full())).toBe(formatted(0, 1));
  expect(sweep.take(surplus(null))).toBe(true);
  expect(sayWait(sweep.full())).toBe(formatted(1, 1));
  expect(sweep.take(surplus(null))).toBe(false);
  expect(sweep.take(surplus(NOW - 99))).toBe(true);
});
