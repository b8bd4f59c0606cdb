/**
 * The guide's own configurations. The fixtures are re-typed; the hash of what each one parses to
 * keeps anyone from fixing the input instead of the reader. What they normalise to is stored
 * beside them: `UPDATE=1` rewrites it, and the difference is the review.
 */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";
import { Config } from "../../schema/config.ts";
import { formatConfig } from "./secret.ts";
import { readConfig } from "./read.ts";

const FIXTURE = join(import.meta.dir, "../../test/fixture/config");
const read = (name: string) => readFileSync(join(FIXTURE, `${name}.yaml`), "utf8");

describe("fixtures of the guide", () => {
  const hashes = {
    v1: "64f4e0598c3bc297",
    v2: "6b72e90be40c591e",
    v3c: "8111bb6edf68e3ba",
    v6: "992c0a757541cd7f",
    v7: "ed67c03b1f1ba522",
    v11: "62c0dae914be22ed",
  };
  for (const [name, hash] of Object.entries(hashes)) {
    test(`${name} parses to what the guide says`, () => {
      const form = createHash("sha256")
        .update(JSON.stringify(parse(read(name))))
        .digest("hex");
      expect(form.slice(0, 16)).toBe(hash);
    });
  }
});

describe("readConfig() golden output", () => {
  for (const names of [["v1"], ["v2"], ["v3c"], ["v1", "v6"], ["v7"], ["v11"], ["pair-list"]]) {
    test(`normalises ${names.join(" with ")} as stored`, () => {
      const { config } = readConfig(names.map((name) => ({ name, text: read(name) })));
      if (config === null) throw new Error("refused");
      const path = join(FIXTURE, `${names.join("-")}.json`);
      if (process.env["UPDATE"] === "1") writeFileSync(path, formatConfig(config));
      expect(formatConfig(config)).toBe(readFileSync(path, "utf8"));
    });
  }
});

test("Config refuses a value of another type, and one that is missing, at every key", () => {
  const { config } = readConfig([{ name: "c", text: read("canonical") }]);
  const text = formatConfig(config as Config);
  const visit = (at: Record<string, unknown>, whole: unknown, path: string): void => {
    for (const [key, value] of Object.entries(at)) {
      const isFree = /labels|headers|settings|nodeAliases/.test(path);
      for (const wrong of isFree ? [{}] : [{}, undefined]) {
        at[key] = wrong;
        const isOptional =
          wrong === undefined &&
          /^(gpus|audit|backup|metricsPort|queue|simulation|slurm|onForeignDrain|taints|provisioners|pods|implied|instanceTypes|market|reservation|maxPrice|\d+)$/.test(
            key,
          );
        const refused = !v.safeParse(Config, whole).success;
        const isOpen = wrong !== undefined && /labels$|headers$|settings$|nodeAliases$/.test(key);
        const name = `${path}.${key}`;
        if (!isOptional && !isOpen) expect([name, refused]).toEqual([name, true]);
      }
      at[key] = value;
      if (value === null || typeof value !== "object") continue;
      visit(value as Record<string, unknown>, whole, `${path}.${key}`);
    }
  };
  const whole = JSON.parse(text) as Record<string, unknown>;
  visit(whole, whole, "");
  expect(v.safeParse(Config, whole).success).toBe(true);
});
