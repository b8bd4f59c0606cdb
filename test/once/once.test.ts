/** The dispatcher of long proofs: what it refuses, what it lists, and what it keeps. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { ROOT } from "../../build/product.ts";
import { PROOFS } from "./list.ts";
import { Figures, formatRecord } from "./record.ts";

const main = join(import.meta.dir, "main.ts");

describe("npm run once", () => {
  test("names what it can do, and the nearest name, with status 2", () => {
    const child = Bun.spawnSync([process.execPath, main, "tortur"]);
    expect(child.exitCode).toBe(2);
    const said = child.stderr.toString();
    expect(said).toContain("did you mean torture?");
    for (const name of Object.keys(PROOFS)) expect(said).toContain(name);
  });

  test("every proof is a program that exists", () => {
    for (const { command } of Object.values(PROOFS))
      expect([command[0], existsSync(join(ROOT, command[0] ?? ""))]).toEqual([command[0], true]);
  });
});

describe("test/record", () => {
  const folder = join(ROOT, "test", "record");
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  const Kept = v.looseObject({ proof: v.string(), held: v.boolean(), figures: Figures });

  const readme = readFileSync(join(folder, "README.md"), "utf8");

  test("lists every file in its README", () => {
    for (const file of files) expect(readme).toContain(`\`${file}\``);
  });

  test("says of each proof whether it held, as the README does, on which commit and machine, and no path", () => {
    for (const file of files) {
      const text = readFileSync(join(folder, file), "utf8");
      const parsed = v.safeParse(Kept, JSON.parse(text));
      // Others keep benches there, in a form of their own.
      if (!parsed.success) continue;
      const row = readme.split("\n").find((line) => line.includes(`\`${file}\``)) ?? "";
      expect([file, parsed.output.held]).toEqual([file, !row.includes("**does not hold**")]);
      expect(text).toMatch(/"commit": "[0-9a-f]{12}(\+changed)?"/);
      expect(text).not.toMatch(/"\/[a-z]+\//);
    }
  });
});

describe("formatRecord()", () => {
  test("says plainly that a proof did not hold", () => {
    const machine = {
      cpu: "a CPU",
      cores: 2,
      memoryGib: 24,
      kernel: "6.1",
      bun: "1.4.5",
      commit: "0123456789ab",
      load: 0,
    };
    const record = {
      proof: "torture",
      summary: "",
      held: false,
      at: "2026-01-02T03:04:05.000Z",
      seconds: 3,
      command: "npm run once -- torture",
      machine,
      figures: { kills: 7, m6P99Ms: 12.345, ways: { starting: 1 } },
    };
    expect(formatRecord(record)).toBe(
      'torture: DID NOT HOLD in 3 s\n  kills    7\n  m6P99Ms  12.35\n  ways     {"starting":1}',
    );
  });
});
