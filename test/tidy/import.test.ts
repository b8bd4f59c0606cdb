import { describe, expect, test } from "bun:test";
import { importsOf, judgeCycles, judgeImports, targetOf } from "./import.ts";
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
    ["health/policy/judge.ts", "../../schema/finding.ts"],
    ["health/cel/cel.ts", "re2js"],
    ["agent/nvml/bind.ts", "bun:ffi"],
    ["systemd/notify.ts", "bun:ffi"],
    ["agent/probe/ecc.ts", "../../health/catalogue.ts"],
    ["agent/main.ts", "./nvml/library.ts"],
    ["reconciler/runtime/loop.ts", "../../bootstrap/ssh.ts"],
    ["reconciler/store/libsql.ts", "@libsql/client"],
    ["reconciler/core/fold/fold.ts", "../../../schema/node.ts"],
    ["reconciler/core/decide/decide.ts", "../fold/fold.ts"],
    ["reconciler/core/fold/fold.ts", "../fleet.ts"],
    ["reconciler/http/port.ts", "./route/listen.ts"],
    ["reconciler/provider/open.ts", "./new/new.ts"],
    ["reconciler/provider/new/new.ts", "../call/fence.ts"],
    ["deploy/stage.ts", "./kwok/stage.yaml"],
    ["reconciler/server/main.ts", "../kubernetes/connect.ts"],
    ["reconciler/runtime/loop.ts", "../core/fold/fold.ts"],
    ["reconciler/core/decide/offer.ts", "node:crypto"],
    ["bootstrap/ssh/a.ts", "node:net"],
    ["cli/main.ts", "../reconciler/server/main.ts"],
    ["cli/command/simulate.ts", "../../simulator/run.ts"],
    ["simulator/engine/process.ts", "../../agent/port/port.ts"],
    ["simulator/engine/process.ts", "../../agent/nvml/healthy.ts"],
    ["simulator/engine/process.ts", "../../reconciler/runtime/loop.ts"],
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
    ["health/policy/judge.ts", "../../agent/port/port.ts", "health/ may not import agent/"],
    ["health/policy/judge.ts", "node:fs", "health/policy/ may not import node:fs"],
    ["agent/report/send.ts", "../../reconciler/core/a.ts", "agent/ may not import reconciler/"],
    ["agent/report/send.ts", "../../bootstrap/ssh.ts", "agent/ may not import bootstrap/"],
    ["agent/probe/ecc.ts", "bun:ffi", "bun:ffi belongs to agent/nvml/"],
    ["reconciler/runtime/loop.ts", "bun:ffi", "bun:ffi belongs to agent/nvml/"],
    ["reconciler/core/a.ts", "../../agent/port/port.ts", "reconciler/ may not import agent/"],
    ["reconciler/core/a.ts", "../../cli/main.ts", "reconciler/ may not import cli/"],
    [
      "reconciler/core/a.ts",
      "../../simulator/engine/process.ts",
      "reconciler/ may not import simulator/",
    ],
    ["reconciler/core/a.ts", "../../test/world.ts", "reconciler/ may not import test/"],
    ["reconciler/core/a.ts", "./a.test.ts", "reconciler/core/a.test.ts is a test"],
    ["reconciler/core/a.ts", "../store/b.ts", "reconciler/core/ may not import reconciler/store/"],
    ["reconciler/http/a.ts", "../server/b.ts", "http/ may not import reconciler/server/"],
    ["agent/probe/a.ts", "../report/b.ts", "agent/probe/ may not import agent/report/"],
    [
      "reconciler/core/fold/fold.ts",
      "../decide/offer.ts",
      "may not import reconciler/core/decide/",
    ],
    ["reconciler/provider/new/a.ts", "../aws/b.ts", "may not import reconciler/provider/aws/"],
    ["reconciler/provider/new/a.ts", "../open.ts", "may not import reconciler/provider/ ("],
    ["reconciler/core/cost/a.ts", "../safety/b.ts", "may not import reconciler/core/safety/"],
    ["bootstrap/run/a.ts", "../ssh/b.ts", "bootstrap/run/ may not import bootstrap/ssh/"],
    ["bootstrap/template/a.ts", "../claim.ts", "bootstrap/template/ may not import bootstrap/"],
    ["bootstrap/claim.ts", "./template/a.ts", "bootstrap/ may not import bootstrap/template/"],
    ["reconciler/loop.ts", "valibot", "reconciler/ is not a room of reconciler/"],
    ["reconciler/misfit/a.ts", "valibot", "reconciler/misfit/ is not a room of reconciler/"],
    ["reconciler/core/misfit/a.ts", "valibot", "reconciler/core/misfit/ is not a room"],
    ["reconciler/core/decide/decide.ts", "node:fs", "may not import node:fs"],
    ["health/policy/judge.ts", "node:crypto", "health/policy/ may not import node:crypto"],
    ["reconciler/core/fold/fold.ts", "bun", "may not import bun"],
    ["bootstrap/ssh/a.ts", "../../reconciler/core/a.ts", "bootstrap/ may not import reconciler/"],
    ["cli/main.ts", "../agent/main.ts", "cli/ may not import agent/"],
    ["cli/command/simulate.ts", "../main.ts", "cli/main.ts is a program"],
    ["agent/port.ts", "valibot", "agent/ is not a room of agent/"],
    ["simulator/engine/process.ts", "../../agent/main.ts", "simulator/ may not import agent/"],
    ["simulator/engine/process.ts", "../../cli/main.ts", "simulator/ may not import cli/"],
    ["build/build.ts", "../schema/version.ts", "build/ may not import schema/"],
    ["schema/report.ts", "../../elsewhere.ts", "outside the repository"],
    ["shared/thing.ts", "valibot", "shared is not a room"],
  ];
  test.each(forbidden)("stops %s from importing %s", (path, specifier, what) => {
    expect(judge(path, specifier).join()).toContain(what);
  });

  test("stops a type-only import as well", () => {
    const text = 'import type { A } from "../../agent/port/port.ts";';
    expect(judgeImports(parseSource("reconciler/core/a.ts", text))).toHaveLength(1);
  });

  test("lets tests import anything", () => {
    expect(judge("reconciler/core/a.test.ts", "../../agent/port/port.ts")).toEqual([]);
    expect(judge("test/demo/main.ts", "../../cli/main.ts")).toEqual([]);
  });
});

describe("judgeCycles()", () => {
  const cycles = (
    files: Readonly<Record<string, string>>,
    knots: Readonly<Record<string, number>> = {},
  ) =>
    judgeCycles(
      Object.entries(files).map(([path, specifier]) =>
        parseSource(path, `import type { X } from "${specifier}";\n`),
      ),
      knots,
    ).map(({ what }) => what);

  test("finds rooms that import each other, types counted", () => {
    expect(cycles({ "x/a/one.ts": "../b/two.ts", "x/b/three.ts": "../a/four.ts" })).toEqual([
      "a cycle: x/a → x/b → x/a",
    ]);
  });

  test("finds a cycle over a third room", () => {
    expect(
      cycles({ "x/a/a.ts": "../b/b.ts", "x/b/b.ts": "../c/c.ts", "x/c/c.ts": "../a/d.ts" }),
    ).toEqual(["a cycle: x/a → x/b → x/c → x/a"]);
  });

  test("takes the files beside rooms for one room, whichever of them is meant", () => {
    expect(cycles({ "x/main.ts": "./a/a.ts", "x/a/a.ts": "../port.ts" })).toContain(
      "a cycle: x → x/a → x",
    );
  });

  test("finds a cycle of rooms on the third level, and of what they lie in", () => {
    expect(cycles({ "x/a/p/a.ts": "../q/b.ts", "x/a/q/c.ts": "../p/d.ts" })).toEqual([
      "a cycle: x/a/p → x/a/q → x/a/p",
    ]);
    expect(cycles({ "x/a/p/a.ts": "../../b/r/b.ts", "x/b/s/c.ts": "../../a/q/d.ts" })).toEqual([
      "a cycle: x/a → x/b → x/a",
    ]);
    expect(
      cycles({ "x/a/p/deep/a.ts": "../other/b.ts", "x/a/p/other/c.ts": "../deep/d.ts" }),
    ).toEqual([]);
  });

  test("spares a knot that is known, as long as its number is right", () => {
    const files = { "x/a/one.ts": "../b/two.ts", "x/b/three.ts": "../a/four.ts" };
    expect(cycles(files, { "x/b → x/a": 1 })).toEqual([]);
    expect(cycles(files, { "x/b → x/a": 2 })).toEqual([
      "x/b → x/a has 1 imports, and KNOTS says 2: it may only shrink",
    ]);
    const more = { ...files, "x/b/five.ts": "../a/four.ts" };
    expect(cycles(more, { "x/b → x/a": 1 }).join()).toContain("has 2 imports, and KNOTS says 1");
  });

  test("takes a way that ends for none, nor what a test or the same room imports", () => {
    expect(cycles({ "x/a/a.ts": "../b/b.ts", "x/b/b.ts": "../c/c.ts" })).toEqual([]);
    expect(cycles({ "x/a/a.ts": "../b/b.ts", "x/b/b.test.ts": "../a/a.ts" })).toEqual([]);
    expect(cycles({ "x/a/a.ts": "./b.ts", "x/a/b.ts": "./a.ts" })).toEqual([]);
  });
});
