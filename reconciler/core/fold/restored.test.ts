import { describe, expect, test } from "bun:test";
import type { Command } from "../../../schema/command.ts";
import type { OperationId } from "../../../schema/id.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import { nodeOf, operationOf, unboughtOf } from "../../../test/world/part.ts";
import type { Snapshot, StoredEntry } from "../store.ts";
import { foldRestored } from "./restored.ts";

const NOW = 5_000;
const human = { product: null, human: { by: "human:ann", why: "disk", at: 1 } };
const phase = (kind: Phase["kind"], more: object = {}): Phase =>
  ({ kind, since: 1, ...more }) as Phase;
const held = phase("held", { heldBy: "human:ann", why: "disk" });
const draining = phase("draining", { purpose: "operator", deadlineAt: 0, drainedAt: null });

function restored(more: Partial<Snapshot>) {
  const empty = { nodes: [], pools: [], openOperations: [], openCommands: [], entries: [] };
  return foldRestored({ ...empty, facts: [], unreadable: [], ...more } as unknown as Snapshot, NOW);
}

const became = (node: Node): "removed" | "untouched" | Node => {
  const { nodes, removedNodes } = restored({ nodes: [node] });
  if (removedNodes.includes(node.id)) return "removed";
  return nodes[0] ?? "untouched";
};

describe("foldRestored()", () => {
  test.each<[string, Node]>([
    ["serves", nodeOf("n")],
    ["is ending", nodeOf("n", { phase: phase("terminating", { purpose: "replace" }) })],
    ["was asked for", nodeOf("n", { instance: null, phase: phase("requested") })],
    ["is cordoned by the product", nodeOf("n", { cordon: { human: null, product: human.human } })],
  ])("forgets a node that nobody has put aside: it %s", (_what, node) => {
    expect(became(node)).toBe("removed");
  });

  test.each<[string, Node]>([
    ["a person cordoned", nodeOf("n", { cordon: human })],
    ["is held", nodeOf("n", { phase: held })],
    ["unmanaged", unboughtOf("n")],
    ["unmanaged, and is suspect", unboughtOf("n", { phase: phase("suspect") })],
    ["unmanaged, and is looked at", unboughtOf("n", { phase: phase("verifying") })],
  ])("keeps a node that %s in its phase, and nothing that was asked", (_what, node) => {
    const order = {
      goal: "drain",
      by: "ann",
      why: "",
      force: false,
      at: 1,
      timeoutMs: null,
    } as const;
    const busy = { ...node, order, operation: "n.3.drain" as OperationId, fence: 3 };
    expect(became(busy)).toEqual({ ...busy, order: null, operation: null, fence: 4 });
  });

  test("remembers how many machines each provider had, but for those that were ending", () => {
    const ending = phase("terminating", { purpose: "replace" });
    const ended = nodeOf("e", {
      instance: { ...nodeOf("e").instance, state: "terminated" } as never,
    });
    const nodes = [
      nodeOf("a"),
      nodeOf("b"),
      nodeOf("c", { phase: ending }),
      ended,
      unboughtOf("u"),
    ];
    const [record] = restored({ nodes }).facts;
    expect(record).toEqual({ kind: "record", since: NOW, knew: { fake: 2 } });
  });

  test("holds a node that was under way in a person's name", () => {
    const node = nodeOf("n", { cordon: human, phase: draining, fence: 3 });
    expect(became(node)).toEqual({
      ...node,
      fence: 4,
      phase: {
        kind: "held",
        since: NOW,
        heldBy: "navarch",
        why: "restored from a backup: a person decides what becomes of its unfinished operations",
      },
    });
  });

  test("leaves a node alone that is gone", () => {
    expect(became(nodeOf("n", { cordon: human, phase: phase("gone", { purpose: "lost" }) }))).toBe(
      "untouched",
    );
    expect(became(nodeOf("n", { phase: phase("gone", { purpose: "lost" }) }))).toBe("untouched");
  });

  test("ends what was asked and ordered, and reads no letter twice", () => {
    const operation = operationOf(nodeOf("n"), { kind: "cordon", why: "x" });
    const command = { id: "c1", state: "accepted", message: null } as unknown as Command;
    const entries = [{ id: 4 }, { id: 7 }] as unknown as StoredEntry[];
    const change = restored({ openOperations: [operation], openCommands: [command], entries });
    expect(change.operations).toEqual([
      {
        ...operation,
        state: "abandoned",
        closedAt: NOW,
        message: "restored from a backup: not asked for again",
      },
    ]);
    expect(change.commands).toEqual([
      {
        ...command,
        state: "refused",
        message: "restored from a backup: give the order again if it still holds",
      },
    ]);
    expect(change.foldedEntries.map(Number)).toEqual([4, 7]);
    expect(change.facts).toEqual([{ kind: "record", since: NOW, knew: {} }]);
  });
});
