/** The mutations still fit the sources: one that does not apply proves nothing. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { MUTATIONS } from "./list.ts";

const ROOT = join(import.meta.dir, "../../..");

test.each(MUTATIONS.map((one) => [one.name, one] as const))("%s", (_name, mutation) => {
  for (const { file, from, to } of mutation.patches) {
    expect(readFileSync(join(ROOT, file), "utf8").split(from)).toHaveLength(2);
    expect(to).not.toBe(from);
  }
  expect(existsSync(join(ROOT, mutation.test.file))).toBe(true);
});
