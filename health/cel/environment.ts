/**
 * The CEL language as policies may use it, from one maintained library.
 *
 * Chosen: `@marcbachmann/cel-js` 8.0.0 (MIT, no dependencies) over `@bufbuild/cel` 0.6.1
 * (Apache-2.0, three packages). Measured with Bun 1.4.5, one core, 62 expressions of the required
 * language:
 *
 * | question | marcbachmann 8.0.0 | bufbuild 0.6.1 |
 * |-------------------------------------|---------------------------|-----------------------------|
 * | type check before running | public, with positions | not reachable from outside |
 * | unknown variable, `1 + 'a'` at load | refused | accepted, fails when run |
 * | `&&`/`||` absorb errors, either side| yes | yes |
 * | macros, comments, raw/triple quotes | yes | yes |
 * | int == double, dynamic / literal | yes / added here | yes / yes |
 * | int + double | added here | needs functions replaced |
 * | `matches` | backtracking: replaced | RE2 |
 * | compile, 16-code xid rule | 12 µs | 161 µs |
 * | evaluate, same rule | 0.36 µs | 2.6 µs |
 * | bundle, minified | 88 KiB | 290 KiB |
 * | last release before choosing | 2026-08 | 2026-09 |
 *
 * A check before the control plane starts is a promise, so the first row decided.
 */
import { Environment } from "@marcbachmann/cel-js";
import { matchesLinear } from "./pattern.ts";

/**
 * The name of our `matches`: the library refuses to replace its own. It has the same length, so
 * that positions in messages stay correct.
 */
export const LINEAR_MATCHES = "re2find";

/** With the nesting bound of `inspect.ts` these limit the cost of one evaluation. */
const LIMITS = {
  maxAstNodes: 4_000,
  maxDepth: 64,
  maxListElements: 500,
  maxMapEntries: 100,
  maxCallArguments: 8,
};

/** Adds arithmetic on int and double, which gives a double, and their equality. */
function withMixedNumbers(environment: Environment): Environment {
  const plus = (a: number, b: number): number => a + b;
  const minus = (a: number, b: number): number => a - b;
  const times = (a: number, b: number): number => a * b;
  const over = (a: number, b: number): number => a / b;
  const each = { "+": plus, "-": minus, "*": times, "/": over };
  for (const [sign, apply] of Object.entries(each)) {
    const left = (a: bigint, b: number): number => apply(Number(a), b);
    const right = (a: number, b: bigint): number => apply(a, Number(b));
    environment.registerOperator(`int ${sign} double`, left);
    environment.registerOperator(`double ${sign} int`, right);
  }
  environment.registerOperator("int == double", (a: bigint, b: number) => Number(a) === b);
  return environment;
}

export const environment: Environment = withMixedNumbers(
  new Environment({
    unlistedVariablesAreDyn: false,
    homogeneousAggregateLiterals: false,
    limits: LIMITS,
  }),
)
  .registerVariable("event", "map<string, dyn>")
  .registerVariable("node", "map<string, dyn>")
  .registerFunction(`string.${LINEAR_MATCHES}(string): bool`, matchesLinear);
