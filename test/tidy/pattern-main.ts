/**
 * Writes `pattern.json` again: proves the patterns that are new, drops those that are gone, and
 * names those that are not linear. `sh build/bun.sh run test/tidy/pattern-main.ts [SECONDS]`
 */
import { dirname, join } from "node:path";
import { judgePattern, patternsIn, type PatternRecord } from "./pattern.ts";
import { parseSource } from "./source.ts";

const root = dirname(dirname(import.meta.dir));
const file = join(import.meta.dir, "pattern.json");
const timeoutMs = Number(process.argv[2] ?? "60") * 1_000;
const record = (await Bun.file(file).json()) as PatternRecord;
const next: PatternRecord = { linear: [], bounded: {}, open: [] };
const judged = new Set<string>();
for (const path of new Bun.Glob("*/**/*.ts").scanSync({ cwd: root })) {
  if (path.includes("node_modules")) continue;
  const text = await Bun.file(join(root, path)).text();
  for (const { key, pattern, line } of patternsIn(parseSource(path, text))) {
    if (judged.has(key)) continue;
    judged.add(key);
    const bound = record.bounded[key];
    if (bound !== undefined) next.bounded[key] = bound;
    else if (record.linear.includes(key)) next.linear.push(key);
    else {
      const why = pattern === null ? "made while it runs" : await judgePattern(key, timeoutMs);
      if (why === null) next.linear.push(key);
      else if (record.open.includes(key)) next.open.push(key);
      else console.log(`${path}:${line}: ${key}: ${why}`);
    }
  }
}
next.linear.sort();
next.open.sort();
await Bun.write(file, `${JSON.stringify(next, null, 1)}\n`);
process.exit(0);
