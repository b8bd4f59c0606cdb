/** A policy that is printed reads back to the same rules, whatever they say. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { builtinPolicy } from "../../health/policy/builtin.ts";
import { ACTIONS, type Policy, RESULTS } from "../../schema/policy.ts";
import { policyFile } from "./convert.ts";
import { readPolicy } from "./policy.ts";
import { formatProblem } from "./problem.ts";

/** The rules without the line on which each stands. */
const rulesOf = ({ rules }: Policy) => rules.map((rule) => ({ ...rule, line: 0 }));

function read(text: string): { policy: Policy; said: string[] } {
  const { policy, problems } = readPolicy({ name: "p", text });
  if (policy === null) throw new Error(problems.map(formatProblem).join("\n"));
  return { policy, said: problems.filter((p) => p.severity !== "note").map(formatProblem) };
}

const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const rule = fc.record(
  {
    description: fc.constantFrom("One line.", 'Two\n\nlines: # and "quotes".'),
    condition: fc.constantFrom(
      ...['event.event_type == "xid" // why', "node.fake", 'event.message.matches("a\\\\.b")'],
      ...['event.message == "two: lines"\n  || event.gpu_index in [0, 1]', "false"],
    ),
    result: fc.constantFrom(...RESULTS),
    hold: maybe(fc.constantFrom("none", "until_reset", "while_active", "90s", "1h30m", "500ms")),
    action: maybe(fc.constantFrom(...ACTIONS)),
    repeat: maybe(fc.constant({ at_least: 3, within: "24h", by: "node", result: "unhealthy" })),
    pools: maybe(fc.constant(["a", "b.c"])),
    shadow: maybe(fc.boolean()),
  },
  { requiredKeys: ["condition", "result"] },
);

describe("policyFile()", () => {
  test("prints what reads back to the same rules and hash, as YAML and as JSON", () => {
    fc.assert(
      fc.property(fc.array(rule, { minLength: 1, maxLength: 5 }), fc.nat(), (rules, count) => {
        const named = rules.map((one, i) => ({ name: `r${i}`, ...one }));
        const { policy } = read(JSON.stringify({ metadata: { name: "x" }, rules: named }));
        const file = policyFile(policy, new Map([["r0", count]]));
        for (const text of [stringify(file), JSON.stringify(file)]) {
          const again = read(text).policy;
          expect(rulesOf(again)).toEqual(rulesOf(policy));
          expect([again.hash, again.name]).toEqual([policy.hash, policy.name]);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("prints the built-in policy without a warning to come", () => {
    const { policy, said } = read(stringify(policyFile(builtinPolicy)));
    expect(said).toEqual([]);
    expect(policy.hash).toBe(builtinPolicy.hash);
    expect(policy.description).toBe(builtinPolicy.description);
  });

  test("is told when the hash is of the text before it was edited", () => {
    const text = stringify(policyFile(builtinPolicy)).replace(
      "result: degraded",
      "result: healthy",
    );
    const { problems } = readPolicy({ name: "p", text });
    const codes = problems.map(({ severity, code }) => `${severity} ${code}`);
    expect(codes).toEqual(["note hash"]);
  });
});
