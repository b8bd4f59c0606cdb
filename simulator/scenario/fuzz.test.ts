/** Whatever is done to a scenario, reading it answers and never throws. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { BUNDLED } from "../bundle/catalog.ts";
import { readScenario } from "./read.ts";

/** Generous, since the machine may be busy. */
const BUSY_MS = 30_000;

const texts = BUNDLED.map((one) => one.text);

function answers(text: string): void {
  const { scenario, problems } = readScenario({ name: "fuzz.yaml", text });
  const errors = problems.filter((problem) => problem.severity === "error");
  expect(scenario === null).toBe(errors.length > 0);
  for (const one of problems) expect(one.line >= 1 && one.col >= 1).toBe(true);
}

test(
  "readScenario() answers every mutation of characters",
  () => {
    const junk = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom(
        "-1",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "\n",
        "*a",
        "&a ",
        "null",
        "1e999",
        "\t",
        "<<: ",
      ),
    );
    fc.assert(
      fc.property(fc.constantFrom(...texts), fc.nat(), fc.nat(12), junk, (text, at, cut, put) => {
        const from = at % text.length;
        answers(text.slice(0, from) + put + text.slice(from + cut));
      }),
      { numRuns: 200 },
    );
  },
  BUSY_MS,
);

test(
  "readScenario() names the line of a line that was misspelt, dropped or retyped",
  () => {
    const value = fc.constantFrom(
      "-5",
      "[]",
      "{}",
      "never",
      '""',
      "1.5",
      "true",
      "~",
      "99999999999",
    );
    fc.assert(
      fc.property(fc.constantFrom(...texts), fc.nat(), value, (text, at, put) => {
        const lines = text.split("\n");
        const row = at % lines.length;
        const changed = (lines[row] ?? "").replace(/: [^{}[\],]+/, `: ${put}`);
        answers([...lines.slice(0, row), changed, ...lines.slice(row + 1)].join("\n"));
        answers([...lines.slice(0, row), ...lines.slice(row + 1)].join("\n"));
        const key = /^(\s*(?:- )?)([a-z_]+):(?=\s)/.exec(lines[row] ?? "");
        if (key === null || (lines[row] ?? "").includes("|")) return;
        const misspelt = (lines[row] ?? "").replace(`${key[2]}:`, `${key[2]}zz9:`);
        const text2 = [...lines.slice(0, row), misspelt, ...lines.slice(row + 1)].join("\n");
        const { problems } = readScenario({ name: "f", text: text2 });
        answers(text2);
        const isMap = /^\s*(labels|command_args|zones|providers|regions|policy|pools)\b/;
        const inside = lines.slice(0, row).some((line) => isMap.test(line));
        if (!inside) expect(problems.some((one) => one.path.includes("zz9"))).toBe(true);
      }),
      { numRuns: 150 },
    );
  },
  BUSY_MS,
);

test(
  "readScenario() answers any bytes and any YAML",
  () => {
    fc.assert(fc.property(fc.string({ maxLength: 200 }), answers), { numRuns: 150 });
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), (json) => {
        answers(json);
        answers(`name: t\nfleet: ${json}\nevents: ${json}\nstress: ${json}\npolicy: ${json}\n`);
      }),
      { numRuns: 150 },
    );
  },
  BUSY_MS,
);
