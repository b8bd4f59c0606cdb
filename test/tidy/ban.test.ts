import { describe, expect, test } from "bun:test";
import { isAdapter, judgeBans } from "./ban.ts";
import { parseSource } from "./source.ts";

const judge = (text: string, path = "reconciler/loop.ts") =>
  judgeBans(parseSource(path, text)).map(({ what }) => what);

describe("judgeBans() everywhere", () => {
  const bad: readonly [string, string][] = [
    ["const a: any = 1;", "any"],
    ["const a = b as any;", "any"],
    ["const a = x ? (b as any) : c;", "any"],
    ["function f(a: any, b: string) {}", "any"],
    ["const a: Promise<any> = b;", "any"],
    ["const a: Record<string, any> = b;", "any"],
    ["type A = string | any;", "any"],
    ["const a: any[] = [];", "any"],
    ["type A = any;", "any"],
    ["const A = v.object({ a: v.any() });", "any"],
    ["const a = b!.c;", "non-null"],
    ["const a = b()!;", "non-null"],
    ["const a = b[0]!;", "non-null"],
    ["f(a!, b);", "non-null"],
    ["class A { b!: string; }", "non-null"],
    ["enum A { B }", "enum"],
    ["export const enum A { B }", "enum"],
    ["export default a;", "default export"],
    ["export default function f() {}", "default export"],
    ["export { a as default };", "default export"],
    ["test.only('x', f);", ".only"],
    ["describe.only(", ".only"],
    ["// @ts-ignore\na();", "silenced"],
    ["// @ts-nocheck", "silenced"],
    ["// TODO: later", "unfinished"],
    ["/* FIXME */", "unfinished"],
  ];
  test.each(bad)("fires on %s", (text, what) => {
    expect(judge(text).join()).toContain(what);
    expect(judge(text, "agent/main.ts").join()).toContain(what);
    expect(judge(text, "agent/a.test.ts").join()).toContain(what);
  });

  test("keeps numbers without bounds out of every schema but that of numbers", () => {
    const text = "const A = v.object({ gi: v.number() });";
    expect(judge(text, "schema/finding.ts").join()).toContain("without bounds");
    expect(judge(text, "agent/nvml/simulated.ts").join()).toContain("without bounds");
    expect(judge(text, "schema/number.ts")).toEqual([]);
    expect(judge(text, "test/bench/load.ts")).toEqual([]);
  });

  test("refuses a method that an adapter may leave out", () => {
    const bad = [
      "type Clock = {\n  turn?(): Promise<void>;\n};",
      "type A = {\n  readonly backup?: (() => Promise<string>) | null;\n};",
      "type A = {\n  key?: (path: string, at: number) => string | undefined;\n};",
    ];
    for (const text of bad) {
      for (const room of ["core", "runtime", "http", "server"]) {
        expect(judge(text, `reconciler/${room}/a.ts`).join()).toContain("optional method");
      }
      expect(judge(text, "cli/show.ts")).toEqual([]);
      expect(judge(text, "reconciler/core/a.test.ts")).toEqual([]);
    }
    const good = [
      "type A = {\n  hostKeys?: readonly string[];\n};",
      "async accept(\n    report: Report,\n    originOf?: (node: NodeId) => Origin,\n  ): Answer {\n    a();\n  }",
      "const a = {\n  a: b?.(c),\n};",
    ];
    for (const text of good) expect(judge(text, "reconciler/core/a.ts")).toEqual([]);
  });

  test("lets a declaration file say what an import of text yields", () => {
    const text = 'declare module "*.sql" {\n  const text: string;\n  export default text;\n}';
    expect(judge(text, "schema/text.d.ts")).toEqual([]);
  });

  test.each([
    "const a = await Promise.any(b);",
    "const a = { any: 1, b: c.any };",
    "const company = many(anything);",
    'const a = "any enum TODO test.only(";',
    "// Takes any number of them, as any reader would expect! Enum Foo.",
    "const a = `is any ${b} enum A`;",
    "if (a !== b && !c && a != d) {}",
    "const a = !b; const c = !!d;",
    'throw new Error(`no ${name}!`); const b = "hello!";',
    "return !a;",
    "const a = /any!.x enum A/.test(b);",
    "const enumerate = 1; a.enum;",
    "const a = b as string; import { c as d } from 'e';",
    "const onlyOne = a.only;",
    "// @ts-expect-error: a name is not an id\nf(a);",
    "// The operator's to-do list; todo in lower case is a word.",
  ])("does not fire on %s", (text) => {
    expect(judge(text)).toEqual([]);
  });
});

describe("judgeBans() away from the edge", () => {
  const ambient = [
    "const a = Date.now();",
    "const a = new Date();",
    "const a = new Date( );",
    "const a = new Date;",
    "const a = performance.now();",
    "const a = Math.random();",
    "const a = crypto.randomUUID();",
    "setTimeout(f, 1);",
    "globalThis.setTimeout(f, 1);",
    "const wait = setTimeout;",
    "setInterval(f, 1);",
    "await Bun.sleep(1);",
    'const a = process.env["B"];',
    "const a = Bun.env.B;",
    "await fetch(a);",
    "return fetch (a);",
  ];
  test.each(ambient)("fires on %s", (text) => {
    expect(judge(text)).toHaveLength(1);
  });

  test.each(ambient)("lets the edge do %s", (text) => {
    for (const path of ["agent/main.ts", "cli/main.ts", "a/b.test.ts", "build/b.ts", "test/b.ts"]) {
      expect(judge(text, path)).toEqual([]);
    }
    expect(judge(`/**\n * Talks.\n * Adapter: a socket.\n */\n${text}`)).toEqual([]);
  });

  test.each([
    "const a = new Date(atMs);",
    "const a = new Date(Date.parse(b));",
    "const a = Date.parse(b);",
    "clock.setTimeout(f, 1);",
    "const a = app.fetch(request);",
    "const server = { async fetch(request: Request) {} };",
    "export async function fetch(a: string) {}",
    "// Date.now() is not used here, nor setTimeout.",
    'const a = "process.env";',
    "type Prefetch = number; prefetch(a);",
  ])("does not fire on %s", (text) => {
    expect(judge(text)).toEqual([]);
  });

  test("is not fooled by a file that is merely called like an entry", () => {
    expect(judge("Date.now();", "agent/domain.ts")).toHaveLength(1);
  });
});

describe("isAdapter()", () => {
  test("reads the header only, and wants a thing touched", () => {
    expect(isAdapter("/**\n * Reads.\n *\n * Adapter: /dev/kmsg.\n */\n")).toBe(true);
    expect(isAdapter("/** Adapter: a timer. */\n")).toBe(true);
    expect(isAdapter("#!/usr/bin/env bun\n/**\n * Adapter: x.\n */")).toBe(true);
    expect(isAdapter("/** Reads. */\n/** Adapter: a timer. */\n")).toBe(false);
    expect(isAdapter("/**\n * Adapter:\n */\n")).toBe(false);
    expect(isAdapter("/**\n * Not an Adapter: no.\n */\n")).toBe(false);
  });
});
