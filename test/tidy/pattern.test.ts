/** Each native pattern over text that others supply is proven linear, or its text is bounded. */
import { expect, test } from "bun:test";
import { dirname, join } from "node:path";
import { judgePattern, judgePatterns, patternsIn, type PatternRecord } from "./pattern.ts";
import { parseSource } from "./source.ts";

const ROOT = dirname(dirname(import.meta.dir));
/** A new pattern is proven at once, or by `pattern-main.ts`, which has more time. */
const TIMEOUT_MS = 5_000;
const of = (text: string) => patternsIn(parseSource("agent/x.ts", text));

test("patterns over foreign text are proven linear, or their text is bounded", async () => {
  const record = (await Bun.file(join(import.meta.dir, "pattern.json")).json()) as PatternRecord;
  const paths = [...new Bun.Glob("*/**/*.ts").scanSync({ cwd: ROOT })];
  const sources = paths.filter((path) => !path.includes("node_modules"));
  const texts = sources.map(async (path) => patternsIn(parseSource(path, await read(path))));
  const patterns = (await Promise.all(texts)).flat();
  expect(patterns.length).toBeGreaterThan(500);
  expect(await judgePatterns(patterns, record, TIMEOUT_MS)).toEqual([]);
  // Patterns that are neither proven nor bounded.
  expect(record.open).toEqual([]);
  expect(Object.values(record.bounded).filter((why) => why.length < 20)).toEqual([]);
}, 120_000);

const read = (path: string): Promise<string> => Bun.file(join(ROOT, path)).text();

test("patterns are found in literals, in constants and as texts made while they run", () => {
  expect(of("const a = /x+$/gi;").map(({ key }) => key)).toEqual(["/x+$/gi"]);
  const parts = 'const A = "a{1,3}"; const b = new RegExp(`^${A}` + String.raw`\\d`, "i");';
  expect(of(parts).map(({ key }) => key)).toEqual(["/^a{1,3}\\d/i"]);
  expect(of("const c = new RegExp(`${a.source}|b`);").map(({ pattern }) => pattern)).toEqual([
    null,
  ]);
});

test.each(["/[,\\s]+(?![^[\\]]*\\])/", "/-+$/", "/^(a+)+$/", "/^\\s*(.*?)\\s*$/"])(
  "the checker does not pass %s",
  async (key) => {
    expect(await judgePattern(key, TIMEOUT_MS)).not.toBeNull();
  },
  30_000,
);

test("a pattern that is not linear, or is excused and gone, is named", async () => {
  const [pattern] = of("const a = /-+$/;");
  if (pattern === undefined) throw new Error("no pattern");
  const record: PatternRecord = { linear: [], bounded: {}, open: ["/gone/"] };
  const problems = await judgePatterns([pattern], record, TIMEOUT_MS);
  expect(problems[0]).toBe("gone: /gone/");
  expect(problems[1]).toContain("agent/x.ts:1: /-+$/: 2nd degree polynomial");
}, 30_000);
