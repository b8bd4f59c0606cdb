/** Broken hardware that someone gave back in Kubernetes, and a program that does so in a loop. */
import { describe, expect, test } from "bun:test";
import type { Node } from "../../../schema/node.ts";
import { heldOf, HOUR_MS, kubeOf, sickOf } from "../../../test/world/part.ts";
import {
  brokenBecause,
  BY_KUBERNETES,
  callOffs,
  isRepairCalledOff,
  loopOf,
  mayResume,
  sayLoop,
} from "./uncordoned.ts";

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
  ["cordoned by others", broken({ kube: kubeOf({ unschedulable: true }) }), true],
  ["held by the product", broken({ cordon: { product: cordon, human: null } }), false],
  ["held by a person", broken({ cordon: { product: null, human: cordon } }), false],
  ["on its way out", broken({ phase: { kind: "terminating", ...ending } }), false],
  ["gone", broken({ phase: { kind: "gone", since: 0, purpose: "replace" } }), false],
  ["of what may pass", broken({}, [heldOf()]), false],
])("isRepairCalledOff() %s: %#", (_, node, expected) => {
  expect(isRepairCalledOff(node)).toBe(expected);
});

describe("a cordon resumes the repair", () => {
  const at = (...times: number[]) => {
    return { kube: kubeOf({ uncordons: times.map((one) => ({ at: one, by: null })) }) };
  };
  const since = (firstAt: number, more = {}) => ({ ...proof(), firstAt, ...more });

  test("twice at most since the oldest fault that is held began", () => {
    const two = broken(at(99, 100, 200), [since(150), since(100)]);
    expect([callOffs(two), mayResume(two)]).toEqual([2, true]);
    const three = broken(at(99, 100, 200, 300), [since(150), since(100)]);
    expect([callOffs(three), mayResume(three)]).toEqual([3, false]);
    expect(callOffs(broken({}, [since(100)]))).toBe(0);
    expect(callOffs(broken({ kube: null }, [since(100)]))).toBe(0);
  });

  test("counts from the silence where that came first, and from no fault that only degrades", () => {
    const silent = broken(at(100, 200), [since(200)]);
    const health = { ...silent.health, silentSince: 100 };
    expect(callOffs({ ...silent, health })).toBe(2);
    const mild = since(0, { judgement: { ...proof().judgement, result: "degraded" } });
    expect(callOffs(broken(at(100, 200), [since(200), mild]))).toBe(1);
    expect(callOffs(broken(at(100, 200), []))).toBe(0);
  });

  test("only where an uncordon in Kubernetes called it off", () => {
    expect(mayResume(broken({ waiver: { ...waiver, by: "human:ann" } }))).toBe(false);
    expect(mayResume(broken({ waiver: null }))).toBe(false);
  });
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
