/** Which empty slots count as out of service. */
import { expect, test } from "bun:test";
import type { Node } from "../../schema/node.ts";
import { newNode } from "../fold/new-node.ts";
import { vacantSlots } from "./in-flight.ts";

function nodeAt(slot: number, gen: number, phase: Node["phase"]): Node {
  const node = newNode({
    id: `p-${slot}-${gen}` as Node["id"],
    pool: "p" as NonNullable<Node["pool"]>,
    slot,
    gen,
    at: 0,
    replaces: null,
  });
  return { ...node, phase };
}

const serving = { kind: "serving", since: 0 } as const;
const lost = { kind: "gone", since: 0, purpose: "lost" } as const;
const given = { kind: "gone", since: 0, purpose: "scale_down" } as const;

const idsOf = (nodes: readonly Node[]): string[] => nodes.map((node) => node.id);

test("vacantSlots() are those that a fault emptied and nobody has filled yet", () => {
  const nodes = [nodeAt(0, 1, lost), nodeAt(1, 2, serving), nodeAt(2, 3, given)];
  expect(idsOf(vacantSlots(nodes, () => 3))).toEqual(["p-0-1"]);
});

test("vacantSlots() forgets a slot that has somebody again", () => {
  const nodes = [nodeAt(0, 1, lost), nodeAt(0, 3, serving), nodeAt(1, 2, serving)];
  expect(vacantSlots(nodes, () => 2)).toEqual([]);
});

test("vacantSlots() are never more than the pool is missing: the rest was given up", () => {
  const nodes = [nodeAt(0, 1, lost), nodeAt(1, 2, lost), nodeAt(2, 3, serving)];
  expect(vacantSlots(nodes, () => 1)).toEqual([]);
  expect(idsOf(vacantSlots(nodes, () => 2))).toEqual(["p-1-2"]);
});
