/** Policy files: every field, every refusal with its place. */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { compilePolicy } from "../../health/policy/compile.ts";
import { Policy } from "../../schema/policy.ts";
import { readPolicy } from "./policy.ts";
import { formatProblem } from "./problem.ts";

const GOOD = `version: v1
metadata:
  name: ours
  description: |
    Two lines
    of text.
rules:
  - name: fatal
    description: fell off the bus
    condition: |
      // comment
      event.event_type == "xid" &&
        has(event.metrics.xid_code) && event.metrics.xid_code in [79, 48]
    result: unhealthy
    hold: until_reboot
    action: replace
  - name: warm
    condition: event.event_type == "thermal"
    result: degraded
    hold: 1h30m
    repeat: {at_least: 3, within: 24h, by: node, result: unhealthy}
    pools: [training]
  - name: rest
    condition: true
    result: healthy
`;

function read(text: string) {
  return readPolicy({ name: "p", text });
}

function printed(text: string): string[] {
  return read(text).problems.map((problem) => formatProblem(problem).replace(/^p:/, ""));
}

/** The good policy with its first rule's lines replaced. */
const one = (...lines: string[]) =>
  `rules:\n  - ${lines.join("\n    ")}\n  - {name: rest, condition: true, result: healthy}\n`;

describe("readPolicy()", () => {
  test("reads a shadow, which catches nothing for the rules behind it", () => {
    const shadow = "rules:\n  - {name: new, condition: true, result: unhealthy, shadow: true}\n";
    const { policy, problems } = read(
      `${shadow}  - {name: rest, condition: true, result: healthy}`,
    );
    expect(policy?.rules.map((rule) => rule.shadow)).toEqual([true, undefined]);
    expect(problems).toEqual([]);
    expect(printed(shadow).join()).toContain("no rule is always true");
    expect(
      printed(one("name: a", "condition: true", "result: healthy", "shadow: 3")).join(),
    ).toContain("shadow");
  });

  test("reads every field, and unquoted true as the text true", () => {
    const { policy, problems } = read(GOOD);
    expect(problems).toEqual([]);
    expect(v.parse(Policy, policy)).toEqual(policy as Policy);
    expect(policy).toMatchObject({
      version: "v1",
      name: "ours",
      description: "Two lines\nof text.\n",
    });
    expect(policy?.rules.map((rule) => [rule.name, rule.line, rule.result, rule.hold])).toEqual([
      ["fatal", 8, "unhealthy", "until_reboot"],
      ["warm", 17, "degraded", { forMs: 5_400_000 }],
      ["rest", 23, "healthy", null],
    ]);
    expect(policy?.rules[1]).toMatchObject({
      repeat: { atLeast: 3, withinMs: 86_400_000, by: "node", result: "unhealthy" },
      pools: ["training"],
    });
    expect(policy?.rules[2]?.condition).toBe("true");
  });

  test("what it accepts compiles", () => {
    const { policy } = read(GOOD);
    if (policy === null) throw new Error("refused");
    expect(compilePolicy(policy).ok).toBe(true);
  });

  test("hashes what decides, not words or places", () => {
    const hash = (text: string) => read(text).policy?.hash;
    expect(hash(GOOD)).toMatch(/^[0-9a-f]{64}$/);
    expect(hash(GOOD.replace("fell off", "left").replace("rules:", "\nrules:"))).toBe(hash(GOOD));
    expect(hash(GOOD.replace("[79, 48]", "[79]"))).not.toBe(hash(GOOD));
    expect(hash(GOOD.replace("1h30m", "1h31m"))).not.toBe(hash(GOOD));
    expect(hash(GOOD.replace("1h30m", "90m"))).toBe(hash(GOOD));
  });

  const cases: [string, string, string][] = [
    ["no rules", "version: v1\n", "1:1: rules: required (at least one rule)"],
    ["empty rules", "rules: []\n", "1:8: rules: needs at least one rule"],
    [
      "a missing name",
      one("condition: true && true", "result: healthy"),
      "2:5: rules[0].name: required",
    ],
    ["a missing condition", one("name: a", "result: healthy"), "2:5: rules[0].condition: required"],
    [
      "a bad result",
      one("name: a", "condition: event.gpu_index == 1", "result: unhealty"),
      '4:13: rules[0].result: "unhealty" is not one of the allowed values ' +
        '(allowed: healthy, degraded, unhealthy; did you mean "unhealthy"?)',
    ],
    [
      "an unknown key",
      one("name: a", "condition: event.gpu_index == 1", "result: healthy", "descripton: x"),
      '5:5: rules[0].descripton: unknown field (did you mean "description"?)',
    ],
    [
      "a name used twice",
      one("name: rest", "condition: event.gpu_index == 1", "result: healthy"),
      '5:12: rules[1].name: "rest" already used at line 2',
    ],
    [
      "a bad hold",
      one("name: a", "condition: event.gpu_index == 1", "result: healthy", "hold: until_rebot"),
      '5:11: rules[0].hold: "until_rebot" is not a hold (a duration, or none, until_reset, ' +
        'until_reboot, until_replaced, while_active; did you mean "until_reboot"?)',
    ],
    [
      "half a repeat",
      one("name: a", "condition: event.gpu_index == 1", "result: healthy", "repeat: {at_least: 2}"),
      "5:5: rules[0].repeat.within: required",
    ],
    [
      "an unknown version",
      `version: v9\n${one("name: a", "condition: true", "result: healthy")}`,
      '1:10: version: unknown version "v9" (write v1)',
    ],
    [
      "a rule behind one that is always true",
      one("name: a", "condition: 'true'", "result: healthy"),
      '5:5: rules[1]: warning: rule "rest" is never reached: "a" is always true',
    ],
    [
      "no rule that is always true",
      "rules:\n  - {name: a, condition: event.gpu_index == 1, result: healthy}\n",
      "2:5: rules: warning: no rule is always true, so what matches none is healthy " +
        "(end with a rule whose condition is true)",
    ],
  ];
  for (const [what, text, expected] of cases) {
    test(`names ${what}`, () => expect(printed(text)).toContain(expected));
  }

  test("places a fault of a condition inside the file, and names the rule", () => {
    const text = one(
      "name: a",
      "condition: |",
      "  event.gpu_index == 1 &&",
      "    (",
      "result: healthy",
    );
    const found = read(text).problems.find((problem) => problem.code === "condition");
    expect(read(text).policy).toBeNull();
    expect(found?.hint).toBe('rule "a"');
    expect(found?.line).toBeGreaterThanOrEqual(4);
    expect(found?.line).toBeLessThanOrEqual(6);
    const inline = one("name: a", "condition: event.gpu_index ==", "result: healthy");
    expect(read(inline).problems[0]).toMatchObject({ line: 3, path: "rules[0].condition" });
  });

  test("refuses a condition that is not a truth value, and one that is too long", () => {
    const number = one("name: a", "condition: 1 + 1", "result: healthy");
    expect(read(number).policy).toBeNull();
    const long = one("name: a", `condition: "${"true && ".repeat(1_100)}true"`, "result: healthy");
    expect(printed(long)).toContain("3:16: rules[0].condition: is longer than 8192 bytes");
  });

  test("warns of a metric that is compared without a guard", () => {
    const text = one("name: a", "condition: event.metrics.xid_code == 79", "result: unhealthy");
    const codes = read(text).problems.map((problem) => problem.code);
    expect(codes).toEqual(["unguarded"]);
  });

  test("answers a document that is no policy", () => {
    for (const text of ["", "a: [", "17", "rules: 3", "rules: [1]", "rules: {a: 1}"]) {
      expect(read(text).policy).toBeNull();
      expect(read(text).problems.length).toBeGreaterThan(0);
    }
  });
});
