import { describe, expect, test } from "bun:test";
import type { HeldFinding } from "../../../schema/held.ts";
import { LIMIT } from "../../../schema/limit.ts";
import type { Health, Node } from "../../../schema/node.ts";
import { heldOf, nodeOf } from "../../../test/world/part.ts";
import { evidenceKeys, foldSuppression, isSuppressed } from "./suppression.ts";

const bad = (key: string, rule = "fatal"): HeldFinding => heldOf({ rule }, {}, { key });
const mild = heldOf({ result: "degraded" }, {}, { key: "mild" });

function node(health: Partial<Health>, evidence: string[] | null = null): Node {
  const made = nodeOf("n");
  const waiver = evidence === null ? null : { by: "human", why: "", at: 1, evidence };
  return { ...made, waiver, health: { ...made.health, ...health } };
}

describe("evidenceKeys()", () => {
  test("are those of what is bad, each once, sorted, and silence", () => {
    expect(evidenceKeys(node({ held: [bad("z"), mild, bad("a"), bad("z")] }))).toEqual([
      "fatal/a",
      "fatal/z",
    ]);
    expect(evidenceKeys(node({ held: [bad("z")], silentSince: 3 }))).toEqual([
      "fatal/z",
      "silence",
    ]);
    expect(evidenceKeys(node({ held: [mild] }))).toEqual([]);
  });

  test("are bounded, in length and in number", () => {
    const long = evidenceKeys(node({ held: [bad("k".repeat(200), "r".repeat(900))] }));
    expect(long.map((key) => key.length)).toEqual([LIMIT.evidenceKeyMax]);
    const many = Array.from({ length: LIMIT.evidenceMax + 9 }, (_, i) => bad(`k${i}`));
    expect(evidenceKeys(node({ held: many }))).toHaveLength(LIMIT.evidenceMax);
  });
});

describe("isSuppressed()", () => {
  test("asks for each key, and for nothing that is not held any more", () => {
    expect(isSuppressed(node({ held: [bad("a")] }, ["fatal/a", "fatal/b"]))).toBe(true);
    expect(isSuppressed(node({ held: [bad("a"), bad("b")] }, ["fatal/a"]))).toBe(false);
    expect(isSuppressed(node({ held: [bad("a")], silentSince: 2 }, ["fatal/a"]))).toBe(false);
    expect(isSuppressed(node({ held: [] }, []))).toBe(true);
    expect(isSuppressed(node({ held: [] }))).toBe(false);
  });
});

describe("foldSuppression()", () => {
  test("ends a waiver once nothing bad is held", () => {
    const one = node({ held: [mild], verdict: "degraded" }, ["fatal/a"]);
    expect(foldSuppression(one)).toEqual({ ...one, waiver: null });
  });

  test("keeps it while anything of it is there, or the verdict stands", () => {
    expect(
      foldSuppression(node({ held: [bad("a")], verdict: "unhealthy" }, ["fatal/a"])),
    ).toBeNull();
    expect(foldSuppression(node({ held: [bad("a")], verdict: "healthy" }, ["fatal/a"]))).toBeNull();
    expect(foldSuppression(node({ held: [], verdict: "unhealthy" }, ["fatal/a"]))).toBeNull();
    expect(foldSuppression(node({ silentSince: 3 }, ["silence"]))).toBeNull();
    expect(foldSuppression(node({ held: [] }))).toBeNull();
  });

  test("ends that of a node that is gone, whatever is held", () => {
    const one = node({ held: [bad("a")], verdict: "unhealthy" }, ["fatal/a"]);
    const phase = { kind: "gone", since: 1, purpose: "replace" } as const;
    expect(foldSuppression({ ...one, phase })?.waiver).toBeNull();
  });
});
