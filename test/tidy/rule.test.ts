import { describe, expect, test } from "bun:test";
import { judgeBarrel, judgeClock, judgeHeader } from "./rule.ts";
import { judgeNames, judgePorts, judgeSilence } from "./rule.ts";
import { lineAt, parseSource } from "./source.ts";
import type { Source, Violation } from "./source.ts";

const judge = (rule: (source: Source) => Violation[], path: string, text = "") =>
  rule(parseSource(path, text)).map(({ line, what }) => `${line}: ${what}`);

describe("judgeNames()", () => {
  test.each([
    "agent/Spool.ts",
    "agent/spool_file.ts",
    "agent/-spool.ts",
    "agent/Probe/ecc.ts",
    "agent/utils/time.ts",
    "reconciler/common/time.ts",
    "schema/lib/x.ts",
    "schema/helpers.ts",
  ])("fires on %s", (path) => {
    expect(judge(judgeNames, path)).toHaveLength(1);
  });

  test.each([
    "agent/spool-file.test.ts",
    "reconciler/provider/provider.contract.ts",
    "schema/text.d.ts",
    "reconciler/console/page.tsx",
    "health/xid-154.ts",
  ])("does not fire on %s", (path) => {
    expect(judge(judgeNames, path)).toEqual([]);
  });
});

describe("judgeBarrel()", () => {
  test.each([
    ["agent/index.ts", "const a = 1;"],
    ["agent/all.ts", 'const a = 1;\nexport * from "./a.ts";'],
    ["agent/all.ts", 'export * as a from "./a.ts";\nexport const b = 1;'],
    ["agent/all.ts", 'export type * from "./a.ts";'],
    [
      "agent/all.ts",
      '/** All. */\nexport { a } from "./a.ts";\nexport type { B } from "./b.ts";\n',
    ],
  ])("fires on %s with %s", (path, text) => {
    expect(judge(judgeBarrel, path, text)).toHaveLength(1);
  });

  test.each([
    'export { a } from "./a.ts";\nexport const b = 1;',
    "export function* f() {}",
    'import { a } from "./a.ts";\nexport { a as c };',
    '// export * from "./a.ts";\nexport const a = 1;',
    "",
  ])("does not fire on %s", (text) => {
    expect(judge(judgeBarrel, "agent/a.ts", text)).toEqual([]);
  });
});

describe("judgeHeader()", () => {
  test.each([
    'import { a } from "./a.ts";',
    "// One line.\nconst a = 1;",
    "/* One star only, and a sentence. */",
    "/** Short. */",
    "/** spool of the agent and everything that goes with it. */",
    "/** A sentence that never comes to its end but goes on */",
    "const a = 1;\n/** The header must come before all code, this one does not. */",
    "",
  ])("fires on %s", (text) => {
    expect(judge(judgeHeader, "agent/spool.ts", text)).toHaveLength(1);
    expect(judge(judgeHeader, "agent/spool.test.ts", text)).toEqual([]);
  });

  test.each([
    "/** Keeps what could not be sent, in order and bounded. */",
    "/**\n * Keeps what could not be sent.\n * In order and bounded.\n */\nconst a = 1;",
    "#!/usr/bin/env bun\n/** Runs the demo and says what it does as it goes. */",
  ])("does not fire on %s", (text) => {
    expect(judge(judgeHeader, "agent/spool.ts", text)).toEqual([]);
  });
});

describe("judgeClock()", () => {
  const reads = ["const a = new Date();", "const a = new Date( );", "f(\n  new Date,\n);"];
  test.each(reads)("fires on %s, away from the edge", (text) => {
    expect(judge(judgeClock, "agent/domain.ts", text)).toHaveLength(1);
    const adapter = `/**\n * Talks.\n * Adapter: a socket.\n */\n${text}`;
    expect(judge(judgeClock, "agent/domain.ts", adapter)).toEqual([]);
    for (const path of ["agent/main.ts", "a/b.test.ts", "build/b.ts", "test/b.ts"]) {
      expect(judge(judgeClock, path, text)).toEqual([]);
    }
  });

  test.each(["new Date(at);", "// new Date()\na();", 'const a = "new Date()";'])(
    "does not fire on %s",
    (text) => {
      expect(judge(judgeClock, "agent/domain.ts", text)).toEqual([]);
    },
  );
});

describe("judgeSilence()", () => {
  test.each([
    "// oxlint-disable-next-line no-explicit-any\na();",
    "/* eslint-disable */\na();",
    "class A {\n  b!: string;\n}",
    "let a!: string;",
  ])("fires on %s", (text) => {
    expect(judge(judgeSilence, "agent/a.test.ts", text)).toHaveLength(1);
  });

  test.each(['const a = "// oxlint-disable";', "// `oxlint-disable` is banned.", "a ? !b : c;"])(
    "does not fire on %s",
    (text) => {
      expect(judge(judgeSilence, "agent/a.ts", text)).toEqual([]);
    },
  );
});

describe("judgePorts()", () => {
  test.each([
    "type Clock = {\n  turn?(): Promise<void>;\n};",
    "type A = {\n  readonly backup?: (() => Promise<string>) | null;\n};",
    "type A = {\n  key?: (path: string, at: number) => string | undefined;\n};",
    "export interface A { turn?(): void }",
  ])("refuses %s, which an adapter may leave out", (text) => {
    for (const room of ["core", "runtime", "http", "server"]) {
      expect(judge(judgePorts, `reconciler/${room}/a.ts`, text)).toHaveLength(1);
    }
    for (const file of ["port", "report/part"]) {
      expect(judge(judgePorts, `agent/${file}.ts`, text)).toHaveLength(1);
    }
    expect(judge(judgePorts, "cli/show.ts", text)).toEqual([]);
    expect(judge(judgePorts, "reconciler/core/a.test.ts", text)).toEqual([]);
  });

  test.each([
    "type A = {\n  hostKeys?: readonly string[];\n};",
    "class A {\n  async accept(report: Report, originOf?: (node: NodeId) => Origin): Answer {}\n}",
    "const a = {\n  a: b?.(c),\n};",
  ])("lets %s be", (text) => {
    expect(judge(judgePorts, "reconciler/core/a.ts", text)).toEqual([]);
  });
});

test("lineAt() counts from one", () => {
  expect([0, 1, 2, 4, 5].map((offset) => lineAt("a\nbb\nc", offset))).toEqual([1, 1, 2, 2, 3]);
});

test("parseSource() refuses a text that does not parse", () => {
  expect(() => parseSource("a.ts", "const = 1;")).toThrow("a.ts: ");
});
