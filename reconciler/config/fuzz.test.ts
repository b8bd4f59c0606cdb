/** No bytes crash the loaders or make them slow. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { readPolicy } from "./policy.ts";
import { formatConfig } from "./secret.ts";
import { formatProblem } from "./problem.ts";
import { readConfig } from "./read.ts";

const CANONICAL = readFileSync(
  join(import.meta.dir, "../../test/fixture/config/canonical.yaml"),
  "utf8",
);

/** Whatever the text: an answer that prints, long before somebody gives up waiting for it. */
function survives(text: string): void {
  const start = performance.now();
  const { config, problems } = readConfig([{ name: "f", text }]);
  for (const problem of problems) expect(formatProblem(problem).length).toBeLessThan(100_000);
  if (config !== null) formatConfig(config);
  expect(config === null).toBe(problems.some((problem) => problem.severity === "error"));
  expect(performance.now() - start).toBeLessThan(5_000);
}

const pieces = (
  "server pools providers defaults global name provider scaling min_nodes autoscaler type health " +
  "labels setup_commands {{.Pool}} {{ - : ? | > & * << ! !!str [ ] { } , # ' \" \\ % @ ` --- ... " +
  "~ null true 1 -1 .nan .inf 1e400 30s \t"
)
  .split(" ")
  .concat([
    " ",
    "\n",
    "\n  ",
    ": ",
    "- ",
    "&a ",
    "*a",
    "<<: *a",
    "\u0000",
    "\uFEFF",
    "\uD800",
    "é",
  ]);

describe("readConfig() on any text", () => {
  test("answers arbitrary text and bytes", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), survives), {
      numRuns: 400,
    });
    const bytes = fc.uint8Array({ maxLength: 400 }).map((raw) => new TextDecoder().decode(raw));
    fc.assert(fc.property(bytes, survives), { numRuns: 400 });
  });

  test("answers text made of YAML's and the configuration's own words", () => {
    const text = fc.array(fc.constantFrom(...pieces), { maxLength: 60 }).map((all) => all.join(""));
    fc.assert(fc.property(text, survives), { numRuns: 2_000 });
  });

  test("answers the canonical example with parts cut, doubled and spoiled", () => {
    const at = fc.integer({ min: 0, max: CANONICAL.length });
    const spoil = fc.tuple(at, fc.integer({ min: 0, max: 80 }), fc.constantFrom("", ...pieces));
    fc.assert(
      fc.property(fc.array(spoil, { minLength: 1, maxLength: 4 }), (spoils) => {
        survives(
          spoils.reduce(
            (text, [from, length, by]) => text.slice(0, from) + by + text.slice(from + length),
            CANONICAL,
          ),
        );
      }),
      { numRuns: 150 },
    );
  });

  const size = 4 * 1024 * 1024;
  const hostile: [string, (length: number) => string][] = [
    ["open brackets", (n) => "[".repeat(n)],
    ["dashes", (n) => "- ".repeat(n / 2)],
    ["one long word", (n) => "a".repeat(n)],
    ["an open quote", (n) => `"${"a\n".repeat(n / 2 - 1)}`],
    ["comments", (n) => "#\n".repeat(n / 2)],
    ["block headers", (n) => "|\n".repeat(n / 2)],
    ["pairs", (n) => "a: 1\n".repeat(n / 5)],
    ["documents", (n) => "---\n".repeat(n / 4)],
    ["anchors", (n) => "&a ".repeat(n / 3)],
    ["commas", (n) => `[${",".repeat(n - 1)}`],
    ["keys", (n) => Array.from({ length: n / 12 }, (_, i) => `key${i}: 1\n`).join("")],
    ["unknown keys", () => Array.from({ length: 9_000 }, (_, i) => `hea${i}th: 1\n`).join("")],
    ["more than 4 MiB", (n) => " ".repeat(n + 1)],
    ["secrets", (n) => `x: "${"Bearer ".repeat(Math.min(n, 120_000) / 7)}"`],
    ["eyJ", (n) => `x: "${"eyJaaaaaaaaaa.".repeat(Math.min(n, 120_000) / 14)}"`],
  ];
  for (const [name, make] of hostile) test(`answers 4 MiB of ${name}`, () => survives(make(size)));

  test("bounds what aliases expand to", () => {
    const level = (i: number) => `a${i}: &a${i} [${`*a${i - 1}, `.repeat(9)}*a${i - 1}]\n`;
    const text = `a0: &a0 [x]\n${Array.from({ length: 9 }, (_, i) => level(i + 1)).join("")}`;
    survives(text);
    const { problems } = readConfig([{ name: "f", text }]);
    expect(problems.map((problem) => problem.code)).toEqual(["limit"]);
  });
});

describe("readPolicy() on any text", () => {
  test("answers text made of YAML's and the policy's own words", () => {
    const words = pieces.concat("rules: name: condition: result: hold: repeat: xid".split(" "));
    const text = fc.array(fc.constantFrom(...words), { maxLength: 60 }).map((all) => all.join(""));
    fc.assert(
      fc.property(text, (given) => {
        const { policy, problems } = readPolicy({ name: "p", text: given });
        expect(policy === null).toBe(problems.some((one) => one.severity === "error"));
      }),
      { numRuns: 500 },
    );
  });
});
