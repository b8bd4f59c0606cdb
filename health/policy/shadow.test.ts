/** A rule that is a shadow changes nothing that counts. */
import { describe, expect, test } from "bun:test";
import { POLICY_NODE } from "../../test/world/part.ts";
import * as fc from "fast-check";
import * as v from "valibot";
import type { Finding } from "../../schema/finding.ts";
import { FindingHistory, type HeldFinding } from "../../schema/held.ts";
import { BootId } from "../../schema/id.ts";
import type { PolicyRule } from "../../schema/policy.ts";
import type { Check } from "../../schema/report.ts";
import { type CompiledPolicy, compilePolicy, hashRules } from "./compile.ts";
import { holdFinding, releaseHeld, verdictOf } from "./hold.ts";
import { judgeReport } from "./judge.ts";

const BOOT = v.parse(BootId, "b1");
const START = Date.parse("2026-03-01T10:00:00Z");
const CODES = [13, 45, 48, 74, 79, 94] as const;

function xid(code: number, atMs: number, gpu: number): Finding {
  return {
    kind: "xid",
    code,
    gpu_uuid: `GPU-${gpu}`,
    at: new Date(atMs).toISOString(),
    boot_id: BOOT,
    severity: "warning",
    message: `xid ${code}`,
    source: "kmsg",
  } as Finding;
}

function compiled(rules: PolicyRule[]): CompiledPolicy {
  const hash = hashRules(rules);
  const answer = compilePolicy({ version: "v1", name: "t", description: null, rules, hash });
  if (!answer.ok) throw new Error(JSON.stringify(answer.problems));
  return answer.compiled;
}

const anyRule = (name: string, shadow: boolean): fc.Arbitrary<PolicyRule> =>
  fc
    .record({
      codes: fc.subarray([...CODES], { minLength: 1 }),
      result: fc.constantFrom("healthy", "degraded", "unhealthy"),
      hold: fc.constantFrom(null, "none", "until_reset", "while_active"),
      repeat: fc.option(
        fc.record({
          atLeast: fc.integer({ min: 2, max: 3 }),
          withinMs: fc.constantFrom(60_000, 48 * 3_600_000),
          by: fc.constantFrom("gpu", "node"),
          result: fc.constant("unhealthy" as const),
        }),
      ),
    })
    .map(({ codes, ...rest }) => ({
      name,
      description: null,
      condition: `event.metrics.xid_code in [${codes.join(", ")}]`,
      action: null,
      pools: null,
      line: 1,
      ...rest,
      ...(shadow ? { shadow } : {}),
    }));

const anyReports = fc.array(
  fc.record({
    found: fc.array(
      fc.record({
        code: fc.constantFrom(...CODES),
        gpu: fc.nat(1),
        // Late and far apart on purpose: windows reach in both directions.
        afterMs: fc.constantFrom(0, 4_000, 20_000, 90_000, 30 * 3_600_000),
      }),
      { maxLength: 4 },
    ),
    checked: fc.boolean(),
  }),
  { maxLength: 8 },
);

const CLEAN: Check = {
  at: new Date(START).toISOString(),
  conclusive: true,
  probes: [],
  expected_gpus: 8,
  present_gpus: 8,
  active: [],
};

type Reports = typeof anyReports extends fc.Arbitrary<infer T> ? T : never;

function live(reports: Reports, policy: CompiledPolicy) {
  let held: HeldFinding[] = [];
  let history: FindingHistory = [];
  let would = 0;
  const seen = reports.map(({ found, checked }, at) => {
    const nowMs = START + at * 30_000;
    const findings = found.map(({ code, gpu, afterMs }) => xid(code, START + afterMs, gpu));
    const judged = judgeReport(findings, policy, POLICY_NODE, history);
    history = v.parse(FindingHistory, judged.history);
    would += judged.shadows.length;
    for (const [index, finding] of findings.entries()) {
      const judgement = judged.judgements[index];
      if (judgement) held = holdFinding(held, finding, judgement, nowMs);
    }
    const check = checked ? CLEAN : null;
    held = releaseHeld(held, { bootId: BOOT, check, nowMs, resetSeen: false });
    const said = judged.judgements.map(({ rule, result, hold }) => ({ rule, result, hold }));
    return { said, verdict: verdictOf(held), held: held.map((h) => h.key) };
  });
  return { seen, would };
}

describe("judgeReport() with a shadow", () => {
  test("judgeReport() says with a shadow what it says without it, for any reports", () => {
    let would = 0;
    const rules = fc.tuple(anyRule("a", false), anyRule("b", false), anyRule("c", false));
    fc.assert(
      fc.property(rules, anyRule("s", true), fc.nat(3), anyReports, (own, shadow, at, reports) => {
        const all = [...own.slice(0, at), shadow, ...own.slice(at)];
        const with_ = live(reports, compiled(all));
        expect(with_.seen).toEqual(live(reports, compiled(own)).seen);
        would += with_.would;
      }),
      { numRuns: 200 },
    );
    // Otherwise the shadows were never asked.
    expect(would).toBeGreaterThan(50);
  });

  test("judgeReport() never lets a shadow's memory push out another rule's", () => {
    const codes = "event.metrics.xid_code in [94]";
    const base = { description: null, action: null, pools: null, line: 1, hold: null } as const;
    const often = { atLeast: 60, withinMs: 90_000_000, by: "gpu", result: "unhealthy" } as const;
    const one = {
      ...base,
      name: "one",
      condition: codes,
      result: "degraded",
      repeat: often,
    } as const;
    const shadow: PolicyRule = { ...one, name: "s", shadow: true };
    const reports: Reports = Array.from({ length: 64 }, (_, at) => ({
      found: [0, 1, 2, 3, 4, 5].map((gpu) => ({ code: 94, gpu, afterMs: at * 10_000 })),
      checked: false,
    }));
    const alone = live(reports, compiled([one]));
    expect(live(reports, compiled([shadow, one])).seen).toEqual(alone.seen);
  });

  test("judgeReport() counts a shadow's repeats for the shadow", () => {
    const repeat = { atLeast: 2, withinMs: 60_000, by: "gpu", result: "unhealthy" } as const;
    const base = { description: null, action: null, pools: null, line: 1 } as const;
    const condition = "event.metrics.xid_code == 94";
    const policy = compiled([
      { ...base, name: "s", condition, result: "degraded", hold: null, repeat, shadow: true },
      { ...base, name: "rest", condition: "true", result: "healthy", hold: null, repeat: null },
    ]);
    const found = [xid(94, START, 0), xid(94, START + 20_000, 0)];
    const { judgements, shadows } = judgeReport(found, policy, POLICY_NODE, []);
    expect(judgements.map((j) => j.result)).toEqual(["healthy", "healthy"]);
    expect(shadows.map((s) => s.judgement.result)).toEqual(["unhealthy", "unhealthy"]);
  });
});
