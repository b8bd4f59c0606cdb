/** Broken hardware that someone gave back in Kubernetes, and a program that does so in a loop. */
import { expect, test } from "bun:test";
import type { Node } from "../../schema/node.ts";
import { heldOf, HOUR_MS, kubeOf, sickOf } from "../../test/world/part.ts";
import { brokenBecause, BY_KUBERNETES, isBrokenInService, loopOf, sayLoop } from "./uncordoned.ts";

const proof = (because = "XID 79 on GPU 0") => heldOf({ definitive: true, because });
const waiver = { by: BY_KUBERNETES, why: "uncordoned", at: 0, evidence: [] };
const cordon = { by: "x", why: "y", at: 0 };
const broken = (over: Partial<Node> = {}, held = [proof()]) =>
  sickOf("n", { kube: kubeOf(), waiver, phase: { kind: "serving", since: 0 }, ...over }, held);
const ending = { since: 0, purpose: "replace", accepted: null, notBefore: 0 } as const;

test.each<[string, Node, boolean]>([
  ["uncordoned in Kubernetes", broken(), true],
  ["given back otherwise", broken({ waiver: { ...waiver, by: "human:ann" } }), false],
  ["not given back", broken({ waiver: null }), false],
  ["without an object", broken({ kube: null }), false],
  ["cordoned again", broken({ kube: kubeOf({ unschedulable: true }) }), false],
  ["held by the product", broken({ cordon: { product: cordon, human: null } }), false],
  ["held by a person", broken({ cordon: { product: null, human: cordon } }), false],
  ["on its way out", broken({ phase: { kind: "terminating", ...ending } }), false],
  ["gone", broken({ phase: { kind: "gone", since: 0, purpose: "replace" } }), false],
  ["of what may pass", broken({}, [heldOf()]), false],
])("isBrokenInService() %s: %#", (_, node, expected) => {
  expect(isBrokenInService(node)).toBe(expected);
});

test("brokenBecause() names what is proven, four at most", () => {
  const held = [
    heldOf({ because: "may pass" }),
    heldOf({ definitive: true, result: "degraded", because: "degraded" }),
    ...[1, 2, 3, 4, 5].map((i) => proof(`fault ${i}`)),
  ];
  expect(brokenBecause(broken({}, held))).toBe("fault 1; fault 2; fault 3; fault 4");
  expect(brokenBecause(broken())).toBe("XID 79 on GPU 0");
});

const NOW = Date.UTC(2026, 0, 1);
const past = (...agoMs: number[]) => agoMs.map((ago) => ({ at: NOW - ago, by: "kubectl" }));

test("loopOf() is the third time within an hour", () => {
  expect(loopOf(past(20, 10), NOW)).toBeNull();
  expect(loopOf(past(HOUR_MS, 20, 10), NOW)).toBeNull();
  expect(loopOf(past(HOUR_MS, HOUR_MS - 1, 20, 10), NOW)).toEqual({
    count: 3,
    spanMs: HOUR_MS - 1,
    lastAt: NOW - 10,
    by: ["kubectl"],
  });
});

test("loopOf() names each client once, as far as one is known", () => {
  const uncordons = ["a", null, "b", "a"].map((by, i) => ({ at: NOW - 100 + i, by }));
  expect(loopOf(uncordons, NOW)).toMatchObject({ count: 4, spanMs: 100, by: ["a", "b"] });
});

test("sayLoop() is a sentence for who reads it", () => {
  const fact = kubeOf({ name: "gpu-1" });
  const loop = { count: 3, spanMs: 240_001, lastAt: NOW, by: ["fleet-bot", "kubectl"] };
  const end = "this looks like an automation: exclude the Node from it";
  expect(sayLoop(fact, loop)).toBe(
    `Node gpu-1 was uncordoned 3 times within 5 min by fleet-bot, kubectl; ${end}`,
  );
  const nobody =
    "a client that left no field manager; the audit log of the API server names it " +
    "(2026-01-01T00:00:00.000Z)";
  expect(sayLoop(fact, { ...loop, spanMs: 0, by: [] })).toBe(
    `Node gpu-1 was uncordoned 3 times within 1 min by ${nobody}; ${end}`,
  );
});
