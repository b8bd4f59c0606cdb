/** Nodes that people cordoned, hold or annotated, and a cordon under way, in a smaller pool. */
import { describe, expect, test } from "bun:test";
import type { KubeFact, Node } from "../../../schema/node.ts";
import { kubeSightOf, NOW, planOf, sightOf, THEIRS } from "../../../test/world/ask.ts";
import { kubeOf, nodeOf, operationOf, slurmOf } from "../../../test/world/part.ts";
import { queue, sizeOf, snap } from "../../../test/world/autoscaler.ts";
import { countNodes, workerOf } from "../scaling/snapshot.ts";
import { candidatesOf } from "../scaling/candidate.ts";

const at = (id: string, slot: number, over: Partial<Node> = {}) => nodeOf(id, { slot, ...over });
const inKube = (over: Partial<KubeFact>): Partial<Node> => ({ kube: kubeOf(over) });
const ASK = "cluster-autoscaler.kubernetes.io/scale-down-disabled: true";

const EMPTY = { kind: "empty", seenAt: NOW } as const;

function candidates(nodes: Node[], desired: number, options: object = {}): string[] {
  const sight = sightOf({ work: new Map(nodes.map(({ id }) => [id, EMPTY])) });
  return [...candidatesOf(nodes, desired, sight, options)];
}

const CORDONED: [string, Partial<Node>][] = [
  ["navarch cordon", { cordon: THEIRS }],
  ["kubectl cordon", inKube({ unschedulable: true, others: ["kubectl"] })],
  ["a drain in Slurm", { slurm: slurmOf({ others: [{ kind: "drain", by: "ann", why: "fan" }] }) }],
];
const ASKED: [string, Partial<Node>][] = [
  ["navarch.dev/hold", inKube({ hold: true })],
  ["another autoscaler's annotation", inKube({ kept: ASK })],
];
const named = {
  cordon: { product: { by: "ann", why: "", at: 1, cause: "removed" as const }, human: null },
};
const spares = { sparesKept: true };

describe("an autoscaler's smaller size", () => {
  test.each([...CORDONED, ...ASKED])(
    "leaves what is kept by %s, and takes another",
    (_what, kept) => {
      const nodes = [at("kept", 0, kept), at("b", 1)];
      expect(candidates(nodes, 1, spares)).toEqual(["b"]);
      expect(candidates(nodes, 0, spares)).toEqual(["b"]);
    },
  );

  test("takes what is named, and what its annotation no longer speaks for", () => {
    expect(candidates([at("a", 0, { ...inKube({ kept: ASK }), ...named })], 0, spares)).toEqual([
      "a",
    ]);
    expect(candidates([at("a", 0, inKube({ kept: ASK, absentSince: 1 }))], 0, spares)).toEqual([
      "a",
    ]);
  });

  test("is what decide() asks for", () => {
    const idle = at("idle", 0, inKube({ unschedulable: true, others: ["kubectl"] }));
    const work = new Map([[idle.id, EMPTY]]);
    const plan = (desiredBy: "autoscaler" | "human") =>
      planOf([idle], { desired: 0, state: { desiredBy }, sight: { work } }).actions;
    expect(plan("autoscaler")).toEqual([]);
    expect(plan("human")).toHaveLength(1);
  });
});

describe("an idle node that others cordoned is no capacity", () => {
  const sight = (...nodes: Node[]) =>
    sightOf({ work: new Map(nodes.map(({ id }) => [id, EMPTY])) });

  test.each(CORDONED)("by %s: it is neither spare nor a free slot", (_what, taken) => {
    const [kept, free] = [at("kept", 0, taken), at("free", 1)];
    expect(countNodes([kept, free], sight(kept, free))).toMatchObject({ spare: 1, taken: 1 });
    expect(workerOf(kept, sight(kept))?.state).toBe("running");
    expect(workerOf(free, sight(free))?.state).toBe("idle");
    const dark = sightOf({ work: new Map([[kept.id, { kind: "unknown", forMs: 0 }]]) });
    expect(countNodes([kept], dark)).toMatchObject({ spare: 0, taken: 0 });
  });

  test("the queue's size is what it needs beside them, up to max", () => {
    const need = (queueDepth: number, max = 50) =>
      sizeOf(queue(1), snap(1, { queueDepth, spare: 0, taken: 1, min: 0, max }));
    expect(need(0)).toBe(1);
    expect(need(1)).toBe(2);
    expect(need(5, 3)).toBe(3);
  });
});

test.each(ASKED)("a person's size takes what is kept by %s last", (_what, kept) => {
  const nodes = [at("a", 0, kept), at("b", 1), at("c", 2)];
  expect(candidates(nodes, 1)).toEqual(["b", "c"]);
  expect(candidates(nodes, 0)).toEqual(["b", "c", "a"]);
  expect(candidates([at("a", 0, { ...kept, ...named }), at("b", 1)], 1)).toEqual(["a"]);
});

test("a cordon that the cluster has not answered yet stays the choice, whatever load is seen", () => {
  const [a, b] = [at("a", 0), at("b", 1)];
  const utilization = new Map([[a.id, 90]]);
  const sight = { utilization, work: new Map([a, b].map(({ id }) => [id, EMPTY])) };
  const takes = (nodes: Node[], operations: ReturnType<typeof operationOf>[]) =>
    planOf(nodes, { desired: 1, sight, operations }).actions.flatMap((one) =>
      one.kind === "effect" ? [one.node as string] : [],
    );
  expect(takes([a, b], [])).toEqual(["b"]);
  const cordon = operationOf(a, { kind: "cordon", why: "scale down", cause: "scale_down" });
  expect(takes([{ ...a, operation: cordon.id }, b], [cordon])).toEqual([]);
});

test("a node whose Node is in doubt, which nothing would end, is taken last", () => {
  const [a, b] = [at("a", 0), at("b", 1)];
  const ambiguous = new Map([[a.id, "two Nodes claim it"]]);
  const sight = sightOf({
    kube: kubeSightOf({ ambiguous }),
    work: new Map([a, b].map(({ id }) => [id, EMPTY])),
  });
  expect([...candidatesOf([a, b], 1, sight)]).toEqual([b.id]);
});
