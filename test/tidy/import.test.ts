import { describe, expect, test } from "bun:test";
import { importsOf, judgeImports, targetOf } from "./import.ts";
import { parseSource } from "./source.ts";

const specifiers = (text: string) =>
  importsOf(parseSource("a/b.ts", text)).map(({ specifier }) => specifier);

const judge = (path: string, specifier: string) =>
  judgeImports(parseSource(path, `import { x } from "${specifier}";\n`)).map(({ what }) => what);

describe("importsOf()", () => {
  test("finds every form of import, over several lines too", () => {
    const text = `import * as v from "valibot";
import type {
  A,
  B,
} from "./a.ts";
export { c } from "./c.ts";
export * from './d.ts';
import "./e.ts";
const f = await import("./f.ts");
const g = new Worker(new URL("./g.ts", import.meta.url).href);
import { version } from "../package.json" with { type: "json" };
`;
    expect(specifiers(text)).toEqual([
      "valibot",
      "./a.ts",
      "./c.ts",
      "./d.ts",
      "./e.ts",
      "./f.ts",
      "../package.json",
    ]);
  });

  test("finds nothing in comments and strings", () => {
    expect(specifiers(`// import "./a.ts";\nconst s = 'import { x } from "./b.ts"';`)).toEqual([]);
    expect(specifiers('const t = `\nimport { x } from "./c.ts";\n`;')).toEqual([]);
  });

  test("does not take an export for an import of a later line", () => {
    const text = `export const a = { b: 1 }\nexport type From = { from: string };\nf("x");`;
    expect(specifiers(text)).toEqual([]);
  });

  test("names the line of the specifier", () => {
    const source = parseSource("a.ts", `import {\n  a,\n} from "./a.ts";`);
    expect(importsOf(source)).toEqual([{ specifier: "./a.ts", line: 3 }]);
  });
});

describe("targetOf()", () => {
  test("resolves from the importing file and leaves packages alone", () => {
    expect(targetOf("a/b/c.ts", "../d.ts")).toBe("a/d.ts");
    expect(targetOf("a.ts", "./d.ts")).toBe("d.ts");
    expect(targetOf("a/b.ts", "valibot")).toBeNull();
  });
});

describe("judgeImports()", () => {
  const allowed: readonly [string, string][] = [
    ["schema/report.ts", "valibot"],
    ["schema/report.ts", "./finding.ts"],
    ["schema/version.ts", "../package.json"],
    ["schema/table.ts", "drizzle-orm/sqlite-core"],
    ["schema/migration/list.ts", "drizzle-orm"],
    ["health/judge.ts", "../schema/finding.ts"],
    ["health/cel.ts", "re2js"],
    ["agent/nvml/bind.ts", "bun:ffi"],
    ["systemd/notify.ts", "bun:ffi"],
    ["agent/probe/ecc.ts", "../../health/catalogue.ts"],
    ["agent/main.ts", "./nvml/library.ts"],
    ["reconciler/loop.ts", "../bootstrap/ssh.ts"],
    ["reconciler/store/libsql.ts", "@libsql/client"],
    ["reconciler/fold/fold.ts", "../../schema/node.ts"],
    ["reconciler/decide/offer.ts", "node:crypto"],
    ["bootstrap/ssh.ts", "node:net"],
    ["cli/main.ts", "../reconciler/main.ts"],
    ["cli/command/simulate.ts", "../../simulator/run.ts"],
    ["simulator/world.ts", "../agent/port.ts"],
    ["simulator/world.ts", "../agent/nvml/reading.ts"],
    ["simulator/world.ts", "../reconciler/loop.ts"],
    ["build/build.ts", "./product.ts"],
  ];
  test.each(allowed)("lets %s import %s", (path, specifier) => {
    expect(judge(path, specifier)).toEqual([]);
  });

  const forbidden: readonly [string, string, string][] = [
    ["schema/report.ts", "drizzle-orm", "schema/ may not import drizzle-orm"],
    ["schema/report.ts", "node:fs", "schema/ may not import node:fs"],
    ["schema/report.ts", "../health/judge.ts", "schema/ may not import health/"],
    ["schema/report.ts", "../tsconfig.json", "schema/ may not import tsconfig.json"],
    ["health/judge.ts", "../agent/port.ts", "health/ may not import agent/"],
    ["health/judge.ts", "node:fs", "health/ may not import node:fs"],
    ["agent/send.ts", "../reconciler/route/report.ts", "agent/ may not import reconciler/"],
    ["agent/send.ts", "../bootstrap/ssh.ts", "agent/ may not import bootstrap/"],
    ["agent/probe/ecc.ts", "bun:ffi", "bun:ffi belongs to agent/nvml/"],
    ["reconciler/loop.ts", "bun:ffi", "bun:ffi belongs to agent/nvml/"],
    ["reconciler/loop.ts", "../agent/port.ts", "reconciler/ may not import agent/"],
    ["reconciler/loop.ts", "../cli/main.ts", "reconciler/ may not import cli/"],
    ["reconciler/loop.ts", "../simulator/world.ts", "reconciler/ may not import simulator/"],
    ["reconciler/loop.ts", "../test/world.ts", "reconciler/ may not import test/"],
    ["reconciler/loop.ts", "./loop.test.ts", "reconciler/loop.test.ts is a test"],
    ["reconciler/decide/decide.ts", "node:fs", "may not import node:fs"],
    ["health/judge.ts", "node:crypto", "health/ may not import node:crypto"],
    ["reconciler/fold/fold.ts", "bun", "may not import bun"],
    ["bootstrap/ssh.ts", "../reconciler/loop.ts", "bootstrap/ may not import reconciler/"],
    ["cli/main.ts", "../agent/main.ts", "cli/ may not import agent/"],
    ["simulator/world.ts", "../agent/main.ts", "simulator/ may not import agent/"],
    ["simulator/world.ts", "../cli/main.ts", "simulator/ may not import cli/"],
    ["build/build.ts", "../schema/version.ts", "build/ may not import schema/"],
    ["schema/report.ts", "../../elsewhere.ts", "outside the repository"],
    ["shared/thing.ts", "valibot", "shared is not a room"],
  ];
  test.each(forbidden)("stops %s from importing %s", (path, specifier, what) => {
    expect(judge(path, specifier).join()).toContain(what);
  });

  test("stops a type-only import as well", () => {
    const text = 'import type { A } from "../agent/port.ts";';
    expect(judgeImports(parseSource("reconciler/loop.ts", text))).toHaveLength(1);
  });

  test("lets tests import anything", () => {
    expect(judge("reconciler/loop.test.ts", "../agent/port.ts")).toEqual([]);
    expect(judge("test/demo/main.ts", "../../cli/main.ts")).toEqual([]);
  });
});
