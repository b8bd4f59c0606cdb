import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import type { PolicyEvent, PolicyNode } from "../../schema/policy.ts";
import { activate, compileCondition, evaluateIn } from "./condition.ts";
import { withCpuMs } from "../../test/cpu-time.ts";

const EVENT: PolicyEvent = {
  event_type: "xid",
  system: "DCGM_HEALTH_WATCH_SM",
  gpu_index: 3,
  gpu_uuid: "GPU-1",
  metrics: { xid_code: 79, temp: 85.5, whole: 85, ok: true, name: "py" },
  message: "GPU has fallen off the bus",
  timestamp: "2026-01-02T03:04:05Z",
};
const NODE: PolicyNode = {
  id: "n1",
  pool: "p",
  labels: { a: "b" },
  gpu_count: 8,
  driver_version: "570.86.16",
  fake: false,
};

/** The value, or `error` when it compiles and fails, or `refused` when it does not compile. */
function run(text: string): boolean | "error" | "refused" {
  const made = compileCondition(text);
  if (!made.ok) return "refused";
  const answer = evaluateIn(made.condition, activate(EVENT, NODE));
  return answer.ok ? answer.value : "error";
}

describe("evaluateIn()", () => {
  test.each(["constructor.x == 1", "toString.metrics.x == 1", "__proto__.x == 1"])(
    "refuses %p, whose name every object of JavaScript has",
    (text) => {
      const made = compileCondition(text);
      expect(made).toMatchObject({ ok: false, at: { line: 1, col: 1 } });
      expect(JSON.stringify(made)).not.toMatch(/\[object|native code/);
    },
  );

  const cases: [string, boolean | "error" | "refused"][] = [
    // Numbers: int and double are compared and mixed.
    ["event.metrics.whole == 85.0", true],
    ["event.metrics.whole == 85", true],
    ["event.metrics.temp > 85", true],
    ["event.metrics.temp < 86", true],
    ["85 == 85.0", true],
    ["85 != 85.0", false],
    ["85.0 == 85", true],
    ["85 < 85.5", true],
    ["85.0 >= 85", true],
    ["event.metrics.temp in [85.5, 79]", true],
    ["event.metrics.xid_code in [79.0, 1.0]", true],
    ["event.metrics.whole + 1 == 86", true],
    ["event.metrics.whole + 1.0 == 86.0", true],
    ["event.metrics.temp * 2 > 170", true],
    ["event.metrics.temp - 1 < 85", true],
    ["event.metrics.whole / 2 == 42", true],
    ["event.metrics.whole % 2 == 1", true],
    ["-1 == event.gpu_index - 4", true],
    ["9223372036854775807 + 1 > 0", "error"],
    ["1 / 0 == 1", "error"],
    // Logic absorbs an error on either side.
    ["false && event.metrics.nope > 1", false],
    ["event.metrics.nope > 1 && false", false],
    ["true || event.metrics.nope > 1", true],
    ["event.metrics.nope > 1 || true", true],
    ["event.metrics.nope > 1 || false", "error"],
    ["event.metrics.nope > 1 && true", "error"],
    ["1 / 0 == 1 || true", true],
    ["event.metrics.nope > 1 ? true : false", "error"],
    ["!(event.metrics.ok)", false],
    // Comments and line breaks, as in the policy that upstream ships.
    ["event.event_type == 'xid' // why\n  && // more\n true", true],
    ["// lead\ntrue", true],
    ["true", true],
    // Maps, lists, macros.
    ["has(event.metrics.xid_code) && event.metrics.xid_code in [79, 48]", true],
    ["has(event.metrics.nope)", false],
    ["'xid_code' in event.metrics", true],
    ["event['event_type'] == 'xid'", true],
    ["event.metrics['xid_code'] == 79", true],
    ["[1,2,3].exists(x, x == 2)", true],
    ["[1,2,3].all(x, x > 0)", true],
    ["[1,2,3].exists_one(x, x > 2)", true],
    ["[1,2,3].filter(x, x > 1).size() == 2", true],
    ["[1,2].map(x, x * 2) == [2,4]", true],
    ["[1, 'a', 2.0, true].size() == 4", true],
    ["event.metrics.exists(k, k == 'temp')", true],
    ["{'a': 1}['a'] == 1", true],
    ["{'a': 1, 'b': 'x'}.size() == 2", true],
    ["node.gpu_count == 8 && node.labels['a'] == 'b' && !node.fake", true],
    // Text.
    ["size(event.gpu_uuid) == 5", true],
    ["event.system.contains('SM') && event.system.startsWith('DCGM')", true],
    ["event.system.endsWith('_SM')", true],
    ["event.message.matches('fallen off')", true],
    ["event.message.matches('^fallen')", false],
    ["event.system.matches('(?i)dcgm')", true],
    ["event.message . // matches\n matches('bus$')", true],
    ["('x' + event.message).matches('^xGPU') && event.message.matches('bus')", true],
    ["event.message == 'matches' || event.message.contains('bus')", true],
    ["r'\\d' == '\\\\d'", true],
    ['"""a\nb""" == \'a\\nb\'', true],
    ["'''a''' == 'a'", true],
    // Conversions, time, null.
    ["int('5') == 5 && double('5.5') == 5.5 && string(5) == '5' && bool('true')", true],
    ["int(event.metrics.temp) == 85", true],
    ["string(event.metrics.whole) == '85'", true],
    ["timestamp(event.timestamp) > timestamp('2025-01-01T00:00:00Z')", true],
    ["timestamp(event.timestamp) - timestamp('2026-01-02T03:04:00Z') == duration('5s')", true],
    ["duration('1h') > duration('59m')", true],
    ["null == null", true],
    ["event.metrics.ok", true],
    ["event.metrics.name", "error"],
    ["event.metrics['xid' + '_code'] == '79'", false],
    ["event.metrics.constructor == 1", "error"],
    ["has(event.metrics.__proto__)", false],
    // Refused before anything runs.
    ["1 + 'a' == 2", "refused"],
    ["'text'", "refused"],
    ["1", "refused"],
    ["!1", "refused"],
    ["evnt.x == 1", "refused"],
    ["event.event_typ == 'xid'", "refused"],
    ["node.gpus == 8", "refused"],
    ["event.event_type = 'xid'", "refused"],
    ["event.event_type ==", "refused"],
    ["", "refused"],
    ["nofunc(1)", "refused"],
    ["size(1) == 1", "refused"],
    ["'a' in 5", "refused"],
    ["1 < 'a'", "refused"],
    ["event.message.matches('(')", "refused"],
    ["event.message.matches('a(?=b)')", "refused"],
    ["[1].exists(a, [1].exists(b, [1].exists(c, a == b && b == c)))", "refused"],
  ];
  for (const [text, expected] of cases) {
    test(`evaluateIn() gives ${expected} for ${JSON.stringify(text)}`, () => {
      expect(run(text)).toBe(expected);
    });
  }

  test("evaluateIn() stays linear on a pattern that backtracks for ever elsewhere", () => {
    const made = compileCondition("event.message.matches('^(a+)+$')");
    if (!made.ok) throw new Error(made.message);
    const event = { ...EVENT, message: `${"a".repeat(1_000)}!` };
    const { result, cpuMs } = withCpuMs(() => evaluateIn(made.condition, activate(event, NODE)));
    expect(result).toEqual({ ok: true, value: false });
    expect(cpuMs).toBeLessThan(500);
  });

  test("evaluateIn() names what failed", () => {
    const made = compileCondition("event.metrics.nope > 1");
    if (!made.ok) throw new Error(made.message);
    const answer = evaluateIn(made.condition, activate(EVENT, NODE));
    expect(answer).toEqual({ ok: false, message: "No such key: nope" });
  });
});

describe("compileCondition()", () => {
  test("compileCondition() points at the mistake, also after a renamed matches", () => {
    const made = compileCondition("event.message.matches('a')\n  && evnt.x == 1");
    expect(made).toMatchObject({ ok: false, at: { line: 2, col: 6 } });
  });

  test("compileCondition() names the nearest field", () => {
    const made = compileCondition("event.event_typ == 'xid'");
    expect(made).toMatchObject({ ok: false, at: { line: 1, col: 7 } });
    if (!made.ok) expect(made.message).toContain("did you mean event.event_type?");
  });

  test("compileCondition() speaks of matches, not of its stand-in", () => {
    const made = compileCondition("'a'.matches(5)");
    if (made.ok) throw new Error("accepted");
    expect(made.message).toContain("matches");
    expect(made.message).not.toContain("re2find");
  });

  test("compileCondition() refuses more than 8 KiB", () => {
    const made = compileCondition(`event.message == '${"é".repeat(4_096)}'`);
    expect(made).toMatchObject({ ok: false, at: null });
  });

  test("compileCondition() lists metrics that are compared without a guard", () => {
    const text = "has(event.metrics.a) && event.metrics.a > 1 && event.metrics.b > 1";
    const made = compileCondition(`${text} && 'c' in event.metrics && event.metrics['c'] == 1`);
    if (!made.ok) throw new Error(made.message);
    expect(made.condition.unguarded).toEqual(["b"]);
  });

  test("compileCondition() recognises a condition that is always true", () => {
    const always = ["true", " true ", "// all\ntrue"].map((t) => compileCondition(t));
    expect(always.map((m) => m.ok && m.condition.alwaysTrue)).toEqual([true, true, true]);
    const not = compileCondition("true && event.metrics.ok");
    expect(not.ok && not.condition.alwaysTrue).toBe(false);
  });

  test("compileCondition() answers for any text, and evaluateIn() for any event", () => {
    const words = [
      "event",
      ".",
      "metrics",
      "a",
      "(",
      ")",
      "&&",
      "==",
      "1",
      "'x'",
      "matches",
      "[",
      "]",
    ];
    const text = fc.array(fc.constantFrom(...words), { maxLength: 12 }).map((w) => w.join(" "));
    fc.assert(
      fc.property(fc.oneof(text, fc.string()), fc.jsonValue(), (given, value) => {
        const made = compileCondition(given);
        if (!made.ok) return made.message.length > 0;
        const metrics = { a: typeof value === "number" ? value : String(value) };
        return (
          typeof evaluateIn(made.condition, activate({ ...EVENT, metrics }, NODE)).ok === "boolean"
        );
      }),
      { numRuns: 2_000 },
    );
  });
});
