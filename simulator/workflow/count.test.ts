/** Arithmetic of `podCount`. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { COUNT_MAX, evaluateCount } from "./count.ts";
import { TaskError } from "./task.ts";

test.each([
  ["2", 2],
  [" 3 + 1 ", 4],
  ["2 * (3 + 4) - 5", 9],
  ["7 / 2", 3],
  ["2 - -3", 5],
  ["10 - 2 - 3", 5],
  ["100 / 5 / 2 * 3", 30],
  ["((1))", 1],
])("W22: %p is %p", (text, value) => expect(evaluateCount(text)).toBe(value));

test.each([
  ["", "a number is missing"],
  ["<no value>", 'unexpected "<"'],
  ["2 +", "a number is missing"],
  ["(2", "a bracket is not closed"],
  ["2)", 'unexpected ")"'],
  ["2 3", 'unexpected "3"'],
  ["1.5", 'unexpected "."'],
  ["1 / 0", "division by zero"],
  ["1 - 2", "-1 is negative"],
  ["9999999999", `more than ${COUNT_MAX} pods`],
  ["999999 * 999999", `more than ${COUNT_MAX} pods`],
  ["(".repeat(50), "nested too deeply"],
  ["-".repeat(60), "nested too deeply"],
  ["1+".repeat(200), "longer than 200 characters"],
  ["process.exit()", 'unexpected "p"'],
])("W22: %p is refused: %p", (text, message) => {
  expect(() => evaluateCount(text)).toThrow(new TaskError(message));
});

type Tree = { text: string; value: number };

test("W22: any expression has the value that the language's own integers give it", () => {
  const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.nat(50).map((value) => ({ text: String(value), value })),
      fc
        .tuple(tie("tree"), fc.constantFrom("+", "-", "*", "/"), tie("tree"))
        .map(([a, sign, b]) => {
          const value = { "+": a.value + b.value, "-": a.value - b.value, "*": a.value * b.value };
          const text = `(${a.text} ${sign} ${b.text})`;
          return { text, value: sign === "/" ? Math.trunc(a.value / b.value) : value[sign as "+"] };
        }),
    ),
  }));
  fc.assert(
    fc.property(tree, ({ text, value }) => {
      fc.pre(text.length <= 200 && Number.isSafeInteger(value));
      let got: number | null = null;
      try {
        got = evaluateCount(text);
      } catch (cause) {
        expect(cause).toBeInstanceOf(TaskError);
      }
      if (got !== null) expect(got === value).toBe(true);
      // Only a limit, a sign or a zero below a line refuses what has a value.
      else expect(value < 0 || /\/|-|\*/.test(text)).toBe(true);
    }),
  );
});
