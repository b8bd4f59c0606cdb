/**
 * The whole example with something wrong in it: every part may be of any type, size and place, and
 * the answer is a configuration that prints and reads back, or errors with their places.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { parse, stringify } from "yaml";
import { formatConfig } from "../../reconciler/config/secret.ts";
import { formatProblem } from "../../reconciler/config/problem.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import { mutate, mutations } from "./mutate.ts";
import { PATIENCE_MS, runs } from "./runs.ts";

const CANONICAL: unknown = parse(
  readFileSync(join(import.meta.dir, "../fixture/config/canonical.yaml"), "utf8"),
);

function textOf(document: unknown): string | null {
  try {
    return stringify(document);
  } catch {
    return null;
  }
}

test(
  "readConfig() answers the example with anything in any place",
  () => {
    let taken = 0;
    fc.assert(
      fc.property(mutations, (all) => {
        const text = textOf(mutate(CANONICAL, all));
        if (text === null) return;
        const start = performance.now();
        const { config, problems } = readConfig([{ name: "c.yaml", text }]);
        expect(performance.now() - start).toBeLessThan(5_000);
        const errors = problems.filter((one) => one.severity === "error");
        expect(config === null).toBe(errors.length > 0);
        for (const one of problems) {
          expect(one.line >= 1 && one.col >= 1).toBe(true);
          expect(one.message.trim()).not.toBe("");
          expect(one.file).toBe("c.yaml");
        }
        // A path of 3,000 characters is the document's own key; the rest is ours.
        for (const one of errors)
          expect(formatProblem({ ...one, path: "" }).length).toBeLessThan(8_000);
        if (config === null) return;
        taken++;
        formatConfig(config);
        for (const pool of config.pools) expect(pool.scaling.maxNodes).toBeGreaterThanOrEqual(1);
      }),
      runs(250),
    );
    expect(taken).toBeGreaterThan(5);
  },
  PATIENCE_MS,
);

test.each(["x", "9", "1h", "-", "a: ", "https://x/", "1 ", "[::"])(
  "readConfig() names a long value of %s by its beginning, whatever its key",
  (part) => {
    const value = part.repeat(5_000).slice(0, 5_000);
    const text = JSON.stringify(CANONICAL, (_, one) => (typeof one === "object" ? one : value));
    const { problems } = readConfig([{ name: "c.yaml", text }]);
    expect(problems.length).toBeGreaterThan(20);
    const long = problems.filter(({ message, hint }) => `${message} ${hint}`.length > 1_000);
    expect(long.map(({ path, message }) => `${path}: ${message.slice(0, 200)}`)).toEqual([]);
  },
  PATIENCE_MS,
);

test(
  "readConfig() answers two layers that disagree about the type of everything",
  () => {
    fc.assert(
      fc.property(mutations, mutations, (one, other) => {
        const texts = [textOf(mutate(CANONICAL, one)), textOf(mutate(CANONICAL, other))];
        const files = texts.map((text, i) => ({ name: `${i}.yaml`, text: text ?? "" }));
        const { config, problems } = readConfig(files);
        expect(config === null).toBe(problems.some((problem) => problem.severity === "error"));
      }),
      runs(80),
    );
  },
  PATIENCE_MS,
);
