/** Recorded findings through policies: what is touched, when, and no difference from oneself. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import * as v from "valibot";
import { compiledBuiltin } from "../health/policy/builtin.ts";
import { type CompiledPolicy, compilePolicy, NO_QUARANTINE } from "../health/policy/compile.ts";
import { readPolicy } from "../reconciler/config/policy.ts";
import { RecordedFinding } from "../schema/past.ts";
import { Backtester, countTouched } from "./backtest.ts";
import { Replay } from "./replay.ts";

const START = Date.parse("2026-03-01T10:00:00Z");
const MIN = 60_000;
const iso = (at: number): string => new Date(at).toISOString();

function policy(rules: string): CompiledPolicy {
  const { policy: read, problems } = readPolicy({ name: "p.yaml", text: `rules:\n${rules}` });
  if (read === null) throw new Error(JSON.stringify(problems));
  const answer = compilePolicy(read);
  if (!answer.ok) throw new Error(JSON.stringify(answer.problems));
  return answer.compiled;
}

const rule = (name: string, code: number, more: string): string =>
  `  - { name: ${name}, condition: "event.metrics.xid_code == ${code}", ${more} }\n`;
const REST = `  - { name: rest, condition: "true", result: healthy }\n`;

let id = 0;

function row(
  node: string,
  afterMs: number,
  code: number,
  more: { boot?: string; threshold?: number; kind?: string; reason?: string } = {},
): RecordedFinding {
  const { boot = "b1", threshold = 2, kind = "xid", reason = null } = more;
  const at = iso(START + afterMs);
  return v.parse(RecordedFinding, {
    id: ++id,
    node_id: node,
    received_at: at,
    finding: {
      kind,
      code: kind === "xid" ? code : null,
      reason,
      gpu_index: 0,
      gpu_uuid: "GPU-0",
      at,
      boot_id: boot,
      severity: "warning",
      message: `${kind} ${code}`,
      source: "sim",
    },
    node: {
      pool: "p",
      labels: {},
      gpu_count: 8,
      driver_version: "570",
      fake: true,
      threshold,
      check_ms: MIN,
      known: true,
    },
  });
}

function backtest(rows: readonly RecordedFinding[], one: CompiledPolicy, other: CompiledPolicy) {
  const candidate = new Replay(one, NO_QUARANTINE);
  const active = new Replay(other, NO_QUARANTINE);
  const tester = new Backtester(candidate, active);
  for (const each of rows) tester.take(each);
  return { result: tester.end(START + 24 * 60 * MIN), candidate, active };
}

const touchesOf = (rows: readonly RecordedFinding[], by: CompiledPolicy) =>
  backtest(rows, by, by).candidate.touches;

const LASTING = policy(rule("r", 13, "result: unhealthy, hold: until_reset") + REST);
const PASSING = policy(rule("r", 13, "result: unhealthy, hold: none") + REST);

describe("Replay", () => {
  test("reaches the threshold with checks while the finding is held", () => {
    const touch = touchesOf([row("n", 0, 13, { threshold: 3 })], LASTING).get("n");
    expect([touch?.isolatedAt, touch?.replacedAt]).toEqual([START + 2 * MIN, START + 2 * MIN]);
    expect([touch?.rule, touch?.assumed]).toEqual(["r", false]);
  });

  test("lets an assumed clean check end what a clean check ends", () => {
    expect(touchesOf([row("n", 0, 13)], PASSING).size).toBe(0);
    expect(touchesOf([row("n", 0, 13, { threshold: 1 })], PASSING).size).toBe(1);
    expect(touchesOf([row("n", 0, 13), row("n", 30_000, 13)], PASSING).size).toBe(1);
  });

  test("isolates at once on proof, as production does, and replaces by the threshold", () => {
    const touch = touchesOf([row("n", 0, 79)], compiledBuiltin).get("n");
    expect([touch?.isolatedAt, touch?.replacedAt]).toEqual([START, START + MIN]);
  });

  test("ends what a reset ends when another boot is seen", () => {
    const slow = { threshold: 4 };
    const held = [row("n", 0, 13, slow), row("n", 90_000, 31, slow)];
    expect(touchesOf(held, LASTING).size).toBe(1);
    const booted = [row("n", 0, 13, slow), row("n", 90_000, 31, { ...slow, boot: "b2" })];
    expect(touchesOf(booted, LASTING).size).toBe(0);
  });

  test("takes a measured condition to last, and says so", () => {
    const hot = policy(
      `  - { name: hot, condition: "event.event_type == 'thermal'", result: unhealthy, ` +
        `hold: while_active }\n${REST}`,
    );
    const touch = touchesOf([row("n", 0, 0, { kind: "thermal", reason: "hot" })], hot).get("n");
    expect([touch?.rule, touch?.assumed]).toEqual(["hot", true]);
  });

  test("counts a shadow's hits and touches nothing by it", () => {
    const shadow = policy(rule("r", 13, "result: unhealthy, shadow: true") + REST);
    const { candidate } = backtest([row("n", 0, 13, { threshold: 1 })], shadow, shadow);
    expect(candidate.touches.size).toBe(0);
    expect(candidate.hits.get("r")).toEqual({ hits: 0, shadowHits: 1 });
    expect(candidate.hits.get("rest")).toEqual({ hits: 1, shadowHits: 0 });
  });
});

describe("Backtester", () => {
  test("tells which nodes only one of two policies would touch", () => {
    const rows = [row("a", 0, 13), row("b", 1_000, 48), row("c", 2_000, 79), row("d", 3_000, 99)];
    const long = "result: unhealthy, hold: until_reset";
    const candidate = policy(rule("r", 13, long) + rule("s", 79, long) + REST);
    const active = policy(rule("t", 48, long) + rule("s", 79, long) + REST);
    const { result } = backtest(rows, candidate, active);
    expect(result.touched.map((one) => [one.node, one.change])).toEqual([
      ["a", "only candidate"],
      ["b", "only active"],
      ["c", "both"],
    ]);
    expect(countTouched(result)).toEqual({
      candidate: 2,
      active: 2,
      onlyCandidate: 1,
      onlyActive: 1,
      both: 1,
    });
    expect(result.rules.find((one) => one.rule === "r")).toEqual({
      rule: "r",
      candidate: { hits: 1, shadowHits: 0 },
      active: { hits: 0, shadowHits: 0 },
    });
    expect([result.findings, result.nodes, result.cut]).toEqual([4, 4, false]);
  });

  test("says nothing of an empty record", () => {
    const { result } = backtest([], LASTING, PASSING);
    expect([result.findings, result.touched, result.rules]).toEqual([0, [], []]);
  });

  test("finds no difference between a policy and itself, for any record", () => {
    const anyRow = fc.record({
      node: fc.constantFrom("a", "b", "c"),
      gapMs: fc.constantFrom(0, 1_000, 45_000, 10 * MIN),
      code: fc.constantFrom(13, 31, 45, 48, 63, 74, 79, 94, 154),
      boot: fc.constantFrom("b1", "b1", "b1", "b2"),
    });
    const some = [compiledBuiltin, LASTING, PASSING] as const;
    fc.assert(
      fc.property(fc.array(anyRow, { maxLength: 12 }), fc.constantFrom(...some), (drawn, by) => {
        let at = 0;
        const rows = drawn.map(({ node, gapMs, code, boot }) => {
          return row(node, (at += gapMs), code, { boot });
        });
        const { result, candidate, active } = backtest(rows, by, by);
        expect(result.touched.filter((one) => one.change !== "both")).toEqual([]);
        expect([...candidate.touches]).toEqual([...active.touches]);
        expect(candidate.hits).toEqual(active.hits);
      }),
      { numRuns: 100 },
    );
  });
});
