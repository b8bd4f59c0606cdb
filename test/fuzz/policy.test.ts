/** No policy and no condition crashes the control plane, holds it up, or is half taken. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { activate, compileCondition, evaluateIn } from "../../health/cel/condition.ts";
import { builtinPolicy } from "../../health/policy/builtin.ts";
import { compilePolicy } from "../../health/policy/compile.ts";
import { readPolicy } from "../../reconciler/config/policy.ts";
import { formatProblem } from "../../reconciler/config/problem.ts";
import { LIMIT } from "../../schema/limit.ts";
import type { PolicyEvent, PolicyNode } from "../../schema/policy.ts";
import { mutate, mutations } from "./mutate.ts";
import { PATIENCE_MS, runs } from "./runs.ts";

const POLICY = {
  version: "v1",
  metadata: { name: "mine", description: "d" },
  rules: [
    {
      name: "lost",
      description: "d",
      condition: 'event.event_type == "xid" && event.metrics.xid_code in [79, 95]',
      result: "unhealthy",
      hold: "until_replaced",
      action: "replace",
      pools: ["p"],
      shadow: true,
    },
    {
      name: "often",
      condition: 'has(event.metrics.xid_code) && event.message.matches("bus.*off")',
      result: "degraded",
      hold: "1h",
      repeat: { at_least: 3, within: "1h", by: "gpu", result: "unhealthy" },
    },
    { name: "rest", condition: "true", result: "healthy" },
  ],
};

const WORDS = (
  'event node event.event_type event.metrics.xid_code event.metrics["x"] node.labels node.gpu_count ' +
  "event.message event.timestamp true false null 79 -1 1.5 9223372036854775807 0x7f 1u 1e308 " +
  '"xid" "(a+)+$" r"\\d" b"x" """q""" \'s\' && || ! == != < >= in + - * / % ? : ( ) [ ] { } , . ' +
  ".matches( .contains( .exists(x, .all(x, .map(x, .filter(x, .size() size( has( int( string( " +
  "timestamp( duration( type( dyn( double( // \n x y evnt event.sytem"
).split(" ");

const EVENT: PolicyEvent = {
  event_type: "xid",
  system: "gpu",
  gpu_index: 0,
  gpu_uuid: "GPU-1",
  metrics: { xid_code: 79, x: "a", fatal: true, big: 1e300 },
  message: `${"a".repeat(2_000)}!`,
  timestamp: "2026-03-01T10:00:00Z",
};
const NODE: PolicyNode = {
  id: "n",
  pool: "p",
  labels: { team: "red" },
  gpu_count: 8,
  driver_version: "550",
  fake: false,
};

/** Compiles and, if that goes well, asks; both answer, in a bounded time. */
function ask(text: string): void {
  const start = process.cpuUsage();
  const compiled = compileCondition(text);
  if (compiled.ok) {
    const said = evaluateIn(compiled.condition, activate(EVENT, NODE));
    if (!said.ok) expect(said.message).not.toBe("");
  } else {
    expect(compiled.message.trim()).not.toBe("");
    if (compiled.at !== null) expect(compiled.at.line >= 1 && compiled.at.col >= 1).toBe(true);
    expect(compiled.message).not.toContain("re2find");
  }
  const { user, system } = process.cpuUsage(start);
  const took = (user + system) / 1_000;
  // Without its bounds the worst of these takes twelve seconds of CPU.
  if (took > 2_500) throw new Error(`${Math.round(took)} ms: ${text.slice(0, 200)}`);
}

test(
  "compileCondition() and evaluateIn() answer any text",
  () => {
    const made = fc.array(fc.constantFrom(...WORDS), { maxLength: 14 }).map((all) => all.join(" "));
    const known = fc.constantFrom(
      ...[...POLICY.rules, ...builtinPolicy.rules].map((r) => r.condition),
    );
    const spoiled = fc
      .tuple(known, fc.nat(200), fc.nat(10), fc.constantFrom("", ...WORDS))
      .map(([text, at, cut, put]) => text.slice(0, at) + put + text.slice(at + cut));
    const text = fc.oneof(made, spoiled, fc.string({ unit: "binary", maxLength: 100 }));
    fc.assert(fc.property(text, ask), runs(4_000));
  },
  PATIENCE_MS,
);

test(
  "compileCondition() and evaluateIn() are bounded on hostile conditions",
  () => {
    const n = LIMIT.conditionBytesMax;
    const long = (part: string, end = "true"): string =>
      part.repeat(Math.floor((n - end.length) / part.length)) + end;
    const list = `[${Array.from({ length: 400 }, (_, i) => i).join(",")}]`;
    const hostile = [
      "(".repeat(n),
      "[".repeat(n),
      "!".repeat(n - 4).concat("true"),
      "-".repeat(n - 1).concat("1"),
      long("true && "),
      long("true ? true : "),
      long("event."),
      long('"a" + ', '"a" == ""'),
      `"${"\\".repeat(n - 2)}"`,
      `event.message.matches("${"(a*)*".repeat(200)}$")`,
      `event.message.matches("(${"a{0,1000}".repeat(50)})$")`,
      'event.message.matches("(x+x+)+y")',
      `${list}.all(x, ${list}.all(y, x + y >= 0))`,
      `${list}.map(x, ${list}.map(y, event.message + event.message)).size() > 0`,
      `event.message.matches(event.message + "[")`,
      long("/* x */ "),
      "9".repeat(n),
    ];
    for (const text of hostile) ask(text);
  },
  PATIENCE_MS,
);

test(
  "readPolicy() says of any spoiled policy where and what, or takes it whole",
  () => {
    fc.assert(
      fc.property(mutations, (all) => {
        let text: string;
        try {
          text = stringify(mutate(POLICY, all));
        } catch {
          return;
        }
        const start = performance.now();
        const { policy, problems } = readPolicy({ name: "p.yaml", text });
        expect(performance.now() - start).toBeLessThan(5_000);
        const errors = problems.filter((one) => one.severity === "error");
        expect(policy === null).toBe(errors.length > 0);
        for (const one of problems) {
          expect(one.line >= 1 && one.col >= 1).toBe(true);
          expect(one.message.trim()).not.toBe("");
          expect(formatProblem(one).length).toBeLessThan(20_000);
        }
        // What the file's reader takes the judge takes, too.
        if (policy !== null) expect(compilePolicy(policy).ok).toBe(true);
      }),
      runs(700),
    );
  },
  PATIENCE_MS,
);
