import { describe, expect, test } from "bun:test";
import { judgeBarrel, judgeHeader, judgeNames } from "./name.ts";
import { parseSource } from "./source.ts";
import type { Rule } from "./source.ts";

const judge = (rule: Rule, path: string, text = "") =>
  rule(parseSource(path, text)).map(({ what }) => what);

describe("judgeNames()", () => {
  test.each([
    "agent/Spool.ts",
    "agent/spoolFile.ts",
    "agent/spool_file.ts",
    "agent/-spool.ts",
    "agent/Probe/ecc.ts",
    "agent/utils/time.ts",
    "reconciler/common/time.ts",
    "schema/helpers/x.ts",
    "schema/lib/x.ts",
    "schema/util.ts",
    "schema/helpers.ts",
  ])("fires on %s", (path) => {
    expect(judge(judgeNames, path)).toHaveLength(1);
  });

  test.each([
    "agent/spool-file.ts",
    "agent/spool-file.test.ts",
    "reconciler/provider/provider.contract.ts",
    "schema/text.d.ts",
    "reconciler/console/page.tsx",
    "test/fixture/nvml/build.ts",
    "health/xid-154.ts",
  ])("does not fire on %s", (path) => {
    expect(judge(judgeNames, path)).toEqual([]);
  });
});

describe("judgeBarrel()", () => {
  test.each([
    ["agent/index.ts", "const a = 1;"],
    ["agent/all.ts", 'const a = 1;\nexport * from "./a.ts";'],
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
    'import { a } from "./a.ts";\nexport { b as c };',
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
  });

  test.each([
    "/** Keeps what could not be sent, in order and bounded. */",
    "/**\n * Keeps what could not be sent.\n * In order and bounded.\n */\nconst a = 1;",
    "#!/usr/bin/env bun\n/** Runs the demo and says what it does as it goes. */",
    "/** `npm test`: builds, runs and counts the tests of the tree. */",
  ])("does not fire on %s", (text) => {
    expect(judge(judgeHeader, "agent/spool.ts", text)).toEqual([]);
  });

  test("leaves tests alone", () => {
    expect(judge(judgeHeader, "agent/spool.test.ts", "test();")).toEqual([]);
  });
});
