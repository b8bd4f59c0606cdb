/**
 * The linters that are not ours catch what they are there for: a small tree with one violation a
 * line, and one that is clean. An upgrade that turned a rule off would fail here.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { isAdapter } from "./config/oxlint.config.ts";
import { findUnformatted, findUnused, lint } from "./tool.ts";

const HERE = import.meta.dir;
const folders: string[] = [];

/** A folder with these files and the configuration of the linters, gone after the tests. */
function plant(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "navarch-tidy-"));
  folders.push(folder);
  const put = (path: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    return join(folder, path);
  };
  for (const name of ["oxlint.config.ts", "knip.json", "typed.json"]) {
    cpSync(join(HERE, "config", name), put(`test/tidy/config/${name}`));
  }
  writeFileSync(put("tsconfig.json"), '{ "compilerOptions": { "strict": true, "types": [] } }');
  for (const [path, text] of Object.entries(files)) writeFileSync(put(path), text);
  return folder;
}

afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

const CONFIG = ["--config", "test/tidy/config/oxlint.config.ts"];

/** A line that no source may hold, and the rule that says so. */
const EVERYWHERE: readonly (readonly [line: string, rule: string])[] = [
  ["const a: any = 1;", "no-explicit-any"],
  ["const a = b as any;", "no-explicit-any"],
  ["function f(a: any, b: string) {}", "no-explicit-any"],
  ["const a: Record<string, any> = b;", "no-explicit-any"],
  ["type A = string | any;", "no-explicit-any"],
  ["const A = v.object({ a: v.any() });", "no-restricted-properties"],
  ["const a = b!.c;", "no-non-null-assertion"],
  ["const a = b[0]!;", "no-non-null-assertion"],
  ["f(a!, b);", "no-non-null-assertion"],
  ["export default a;", "no-default-export"],
  ["export default function f() {}", "no-default-export"],
  ["export { a as default };", "no-default-export"],
  ["test.only('x', f);", "no-restricted-properties"],
  ["describe.only('x', f);", "no-restricted-properties"],
  ["// @ts-ignore\na();", "ban-ts-comment"],
  ["// @ts-nocheck", "ban-ts-comment"],
  ["// TODO: later", "no-warning-comments"],
  ["/* FIXME */", "no-warning-comments"],
  ["const a = require('./b.ts');", "no-require-imports"],
  ["type A = import('./b.ts').A;", "consistent-type-imports"],
];

/** What only the edge may do, and each with what it would be taken for. */
const AMBIENT: readonly (readonly [line: string, rule: string])[] = [
  ["const a = Date.now();", "no-restricted-properties"],
  ["const { now } = Date;", "no-restricted-properties"],
  ["const a = performance.now();", "no-restricted-properties"],
  ["const a = Math.random();", "no-restricted-properties"],
  ["const a = crypto.randomUUID();", "no-restricted-properties"],
  ["import { randomBytes } from 'node:crypto';", "no-restricted-imports"],
  ["setTimeout(f, 1);", "no-restricted-globals"],
  ["globalThis.setTimeout(f, 1);", "no-restricted-globals"],
  ["const wait = setTimeout;", "no-restricted-globals"],
  ["setInterval(f, 1);", "no-restricted-globals"],
  ["await Bun.sleep(1);", "no-restricted-properties"],
  ['const a = process.env["B"];', "no-restricted-properties"],
  ["const a = Bun.env.B;", "no-restricted-properties"],
  ["await fetch(a);", "no-restricted-globals"],
];

const UNBOUND = ["v.number();", "v.bigint();", "const a = Date.parse(b);"];

const FINE = [
  "const a = await Promise.any(b);",
  "if (a !== b && !c && a != d) {}",
  'const a = f(`no ${name}!`); const b = "any enum test.only(";',
  "// Takes any number of them, as any reader would expect! Enum Foo.\na();",
  "// @ts-expect-error: a name is not an id\nf(a);",
  "const onlyOne = a.only;",
  "const a = new Date(parseInstant(b));",
  "clock.setTimeout(f, 1);",
  "const a = app.fetch(request);",
  "const server = { async fetch(request: Request) {} };",
  "import { createHash } from 'node:crypto';",
];

const ADAPTER = "/**\n * Talks.\n *\n * Adapter: a socket.\n */\n";
const statements = (count: number) => "  a();\n".repeat(count);

type Case = { path: string; text: string; rule: string | null };

const CASES: Case[] = [];
let next = 0;
const add = (folder: string, text: string, rule: string | null, end = ".ts", header = "") =>
  CASES.push({ path: `${folder}/a${next++}${end}`, text: `${header}${text}\n`, rule });

for (const [line, rule] of EVERYWHERE) {
  add("agent/one", line, rule);
  add("agent/one", line, rule, ".ts", ADAPTER);
  add("agent/one", line, rule, ".test.ts");
  add("test/one", line, rule);
}
for (const [line, rule] of AMBIENT) {
  add("reconciler/one", line, rule);
  add("reconciler/one", line, rule, "-domain.ts");
  add("reconciler/one", line, null, ".ts", ADAPTER);
  add("reconciler/one", line, null, ".test.ts");
  add("reconciler/one", line, null, "/main.ts");
  add("build", line, null);
  add("test/one", line, null);
}
for (const line of UNBOUND) {
  add("schema", line, "no-restricted-properties");
  add("agent/one", line, "no-restricted-properties", ".ts", ADAPTER);
  add("agent/one", line, null, ".test.ts");
  add("test/one", line, null);
}
CASES.push({ path: "schema/number.ts", text: "v.number();\n", rule: null });
CASES.push({ path: "schema/instant.ts", text: "const a = Date.parse(b);\n", rule: null });
for (const line of FINE) add("reconciler/one", line, null);
add(
  "schema",
  'declare module "*.sql" {\n  const a: string;\n  export default a;\n}',
  null,
  ".d.ts",
);
CASES.push({ path: "agent/one/Spool.ts", text: "a();\n", rule: "filename-case" });
CASES.push({ path: "agent/one/spool_file.ts", text: "a();\n", rule: "filename-case" });
for (const head of [
  "function f() {",
  "const f = async () => {",
  "class A { method(a: string): void {",
  "function f(a: { b: number }): { c: number } {",
]) {
  const end = head.startsWith("class") ? "}}" : "}";
  add("agent/one", `${head}\n${statements(68)}${end}`, null);
  add("agent/one", `${head}\n${statements(69)}${end}`, "max-lines-per-function");
  add("agent/one", `${head}\n${statements(200)}${end}`, null, ".test.ts");
}

describe("oxlint", () => {
  const folder = plant(Object.fromEntries(CASES.map(({ path, text }) => [path, text])));
  const found = lint(folder, CONFIG);
  const rulesOf = (path: string) =>
    found
      .filter((line) => line.startsWith(`${path}:`))
      .map((line) => /^\S+ \S+\((.*?)\):/.exec(line)?.[1] ?? line);

  test.each(
    CASES.map(({ path, text, rule }) => [
      rule,
      path,
      text.slice(0, text.indexOf("\n")),
      rulesOf(path),
    ]),
  )("says %j of %s: %s", (rule, _path, _text, rules) => {
    if (rule === null) expect(rules).toEqual([]);
    else expect(rules).toContain(rule);
  });

  test("a folder without sources is an error, not a clean one", () => {
    expect(() => lint(plant({}), [...CONFIG, "--ignore-pattern=**"])).toThrow("oxlint ended");
  });

  test("a configuration that cannot be read is an error", () => {
    expect(() => lint(folder, ["--config", "none.json"])).toThrow("oxlint ended");
  });
});

describe("oxlint with types", () => {
  test("finds a promise that nobody awaits, and a tag without its case", () => {
    const text = `type A = "b" | "c";
export async function f(): Promise<void> {}
export function g(a: A): void {
  f();
  if (f()) return;
  switch (a) {
    case "b":
      return;
  }
}
`;
    const typed = ["--type-aware", "--config", "test/tidy/config/typed.json"];
    const found = lint(plant({ "agent/a.ts": text }), typed);
    expect(found.map((line) => /:(\d+): .*\((.*?)\)/.exec(line)?.slice(1))).toEqual([
      ["4", "no-floating-promises"],
      ["5", "no-misused-promises"],
      ["6", "switch-exhaustiveness-check"],
    ]);
  });
});

describe("knip", () => {
  const manifest = (dependencies: object) =>
    JSON.stringify({ name: "a", private: true, dependencies, devDependencies: { oxlint: "1" } });
  const KNIP = ["--config", "test/tidy/config/knip.json"];
  const files = {
    "package.json": manifest({ valibot: "1.5.0", hono: "4.13.19" }),
    "agent/main.ts": 'import "valibot";\nimport { used } from "./used.ts";\nused();\n',
    "agent/used.ts":
      "export const used = () => 1;\nexport const spare = 2;\nexport type Spare = string;\n" +
      "export const tested = 3;\n",
    "agent/own.ts": "export const own = 1;\n",
    "agent/own.test.ts":
      'import { own } from "./own.ts";\nimport { tested } from "./used.ts";\nown + tested;\n',
    "agent/alone.ts": "export const alone = 1;\n",
  };

  test("finds a file, an export, a type and a dependency that nothing uses", () => {
    const found = findUnused(plant(files), KNIP).join("\n");
    expect(found).toMatch(/Unused files.*\n.*agent\/alone\.ts/);
    expect(found).toMatch(/Unused dependencies.*\n.*hono/);
    expect(found).toMatch(/Unused exports.*\nagent\/used\.ts: spare\n/);
    expect(found).toMatch(/Unused exported types.*\nagent\/used\.ts: Spare/);
  });

  test("finds what tests alone use of the product", () => {
    const found = findUnused(plant(files), [...KNIP, "--production"]).join("\n");
    expect(found).toMatch(/agent\/own\.ts/);
    expect(found).toMatch(/agent\/used\.ts: spare, tested/);
  });

  test("says nothing of a tree in which everything is used", () => {
    const { "package.json": _, "agent/alone.ts": _alone, ...rest } = files;
    const clean = {
      "package.json": manifest({ valibot: "1.5.0" }),
      "agent/main.ts": rest["agent/main.ts"],
      "agent/used.ts": "export const used = () => 1;\n",
    };
    expect(findUnused(plant(clean), KNIP)).toEqual([]);
  });

  test("a configuration that cannot be read is an error", () => {
    expect(() => findUnused(plant(files), ["--config", "none.json"])).toThrow("knip ended");
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

describe("oxfmt", () => {
  test("finds a source that it would write in another way", () => {
    const folder = plant({ "agent/a.ts": "const a = {b:1}\n", "agent/b.ts": "const a = 1;\n" });
    writeFileSync(join(folder, ".oxfmtrc.json"), "{}");
    expect(findUnformatted(join(folder, "agent"))).toEqual(["a.ts"]);
    writeFileSync(join(folder, "agent/a.ts"), "const a = { b: 1 };\n");
    expect(findUnformatted(join(folder, "agent"))).toEqual([]);
  });

  test("a configuration that cannot be read is an error", () => {
    const folder = plant({ "agent/a.ts": "const a = 1;\n" });
    writeFileSync(join(folder, ".oxfmtrc.json"), "{");
    expect(() => findUnformatted(folder)).toThrow("oxfmt ended with");
  });
});
