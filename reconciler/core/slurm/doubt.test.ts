import { expect, test } from "bun:test";
import { nodeOf, slurmOf } from "../../../test/world/part.ts";
import type { Node } from "../../../schema/node.ts";
import { doubtsOf, namesInDoubt } from "./doubt.ts";

const BOUGHT = 1_000_000;

/** A node that was bought, and has the slot's name in Slurm, of which the boot is known. */
const holder = (bootTime: number | null, over: Partial<Node> = {}): Node =>
  nodeOf("holder", {
    ...{ slot: 0, createdAt: BOUGHT, offer: "fake///t" },
    ...{ slurm: { ...slurmOf({ name: "n0" }), by: "slot" as const, bootTime } },
    ...over,
  });
const surplus = (over: Partial<Node> = {}): Node => nodeOf("surplus", { slot: null, ...over });
const doubted = (node: Node, other: Node) =>
  doubtsOf(node, namesInDoubt([node, other])).map(({ name }) => name);

test("a name whose node was bought after the boot that Slurm knows may be another machine's", () => {
  expect(doubted(surplus(), holder(BOUGHT - 1))).toEqual(["n0"]);
  expect(doubtsOf(surplus(), namesInDoubt([holder(BOUGHT - 1)]))[0]?.message).toContain(
    "holder has not registered as n0 in Slurm since it was bought",
  );
});

test("it is not in doubt once it registered, for adopted machines, and beside other pools", () => {
  expect(doubted(surplus(), holder(BOUGHT))).toEqual([]);
  expect(doubted(surplus(), holder(null))).toEqual([]);
  expect(doubted(surplus(), holder(1, { offer: null }))).toEqual([]);
  expect(doubted(surplus({ pool: "q" as Node["pool"] }), holder(1))).toEqual([]);
  const own = { ...slurmOf({ name: "n1" }), by: "slot" as const };
  expect(doubted(surplus({ slurm: own }), holder(1))).toEqual([]);
  expect(doubted(surplus({ agent: null }), holder(1))).toEqual([]);
});

test("of two machines of one purchase, the surplus may have the name of the other", () => {
  const draining = {
    kind: "draining",
    since: 1,
    purpose: "surplus",
    deadlineAt: 0,
    drainedAt: null,
  };
  const twin = (over: Partial<Node> = {}): Node =>
    surplus({ slot: 0, agent: null, phase: draining as Node["phase"], ...over });
  const first = holder(BOUGHT + 1);
  expect(doubted(twin(), first)).toEqual(["n0"]);
  expect(doubtsOf(twin(), namesInDoubt([first]))[0]?.message).toContain("for the slot of holder");
  const isHeld = (node: Node) => doubtsOf(twin(), namesInDoubt([node])).map(({ held }) => held);
  const theirs = { ...first, slurm: first.slurm && { ...first.slurm, held: true } };
  expect([isHeld(first), isHeld(theirs)]).toEqual([[false], [true]]);
  // An earlier machine of the slot cannot have registered since; a later one has.
  const later = { ...first, gen: first.gen + 1 };
  expect(doubted(twin(), later)).toEqual([]);
  expect(doubted(twin({ gen: later.gen + 1 }), later)).toEqual(["n0"]);
  expect(doubted(twin({ phase: nodeOf("a").phase }), first)).toEqual([]);
  expect(
    doubted(twin(), holder(BOUGHT + 1, { phase: { kind: "gone", since: 1 } as never })),
  ).toEqual([]);
});
