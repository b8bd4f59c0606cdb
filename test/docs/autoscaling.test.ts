/** Every block of docs/autoscaling.md is a valid pool without a warning, and each type has one. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { formatProblem } from "../../reconciler/config/problem.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import { TYPES } from "../../schema/config/autoscaler.ts";

const text = readFileSync(join(ROOT, "docs/autoscaling.md"), "utf8");
const blocks = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block = ""]) => block);
const HEAD = `server: { address: "127.0.0.1:1" }
providers: { fake: {} }
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
`;
const read = (block: string) =>
  readConfig([{ name: "f", text: HEAD + block.replaceAll(/^(?=.)/gm, "    ") }]);

test("each block is a pool's scaling without a problem", () => {
  expect(blocks.map((block) => read(block).problems.map(formatProblem))).toEqual(
    blocks.map(() => []),
  );
});

test("each type of autoscaler has a block", () => {
  const types = blocks.map((block) => read(block).config?.pools[0]?.scaling.autoscaler?.type);
  expect([...new Set(types)].sort() as string[]).toEqual([...TYPES].sort());
});
