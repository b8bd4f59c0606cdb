import { describe, expect, test } from "bun:test";
import { judgeDead } from "./dead.ts";
import { parseSource } from "./source.ts";

const dead = (files: Readonly<Record<string, string>>, scripts: readonly string[] = []) =>
  judgeDead(
    Object.entries(files).map(([path, text]) => parseSource(path, text)),
    scripts,
  ).map(({ path }) => path);

describe("judgeDead()", () => {
  test("finds a file that nobody imports", () => {
    expect(dead({ "agent/a.ts": "", "agent/main.ts": "" })).toEqual(["agent/a.ts"]);
  });

  test("finds a file that only its own test imports", () => {
    const files = { "agent/a.ts": "", "agent/a.test.ts": 'import { a } from "./a.ts";' };
    expect(dead(files)).toEqual(["agent/a.ts"]);
  });

  test("finds a file that only itself and comments name", () => {
    const files = {
      "agent/a.ts": 'const me = "agent/a.ts";',
      "agent/main.ts": '// import { a } from "./a.ts";',
    };
    expect(dead(files)).toEqual(["agent/a.ts"]);
  });

  test("takes an import, a type-only import or another test for a use", () => {
    expect(
      dead({
        "agent/a.ts": "",
        "agent/b.ts": "",
        "agent/fake.ts": "",
        "agent/main.ts": 'import { a } from "./a.ts";\nimport type { B } from "./b.ts";',
        "agent/loop.test.ts": 'import { fake } from "./fake.ts";',
      }),
    ).toEqual([]);
  });

  test("takes a file named in a string or in a script for used", () => {
    const files = {
      "test/sim/child.ts": "",
      "test/sim/other.ts": "",
      "build/build.ts": "",
      "test/sim/kill.test.ts": 'spawn(["bun", "test/sim/child.ts"]); spawn("./other.ts");',
    };
    expect(dead(files, ["bun run build/build.ts"])).toEqual([]);
  });

  test("leaves entries, workers, declarations and tests alone", () => {
    const files = ["cli/main.ts", "agent/nvml/worker.ts", "schema/text.d.ts", "a/b.test.ts"];
    expect(dead(Object.fromEntries(files.map((path) => [path, ""])))).toEqual([]);
  });
});
