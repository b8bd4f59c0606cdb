/**
 * The rules that need types: a promise that nobody awaits, one taken for a condition, and a tag that
 * a `switch` forgets. Apart from `test/tidy.test.ts`, because reading every type takes seconds.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { lint } from "./tool.ts";

test("no promise is left alone and no switch forgets a tag", () => {
  const root = join(import.meta.dir, "../..");
  expect(lint(root, ["--type-aware", "--config", "test/tidy/config/typed.json"])).toEqual([]);
}, 120_000);
