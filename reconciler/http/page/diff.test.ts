import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { html } from "hono/html";
import { diff, joinRegion, type Patch, type Region, snapshotOf } from "./diff.ts";
import { formatBlock } from "./layout.ts";
import type { Block } from "./page.ts";

const tableOf = (id: string, rows: readonly (readonly [string, string])[]): Block => ({
  id,
  heading: id,
  kind: "table",
  above: null,
  columns: [{ name: "A" }],
  rows: rows.map(([row, text]) => ({ id: `${id}-${row}`, cells: [html`${text}`] })),
  empty: "none",
  below: null,
});

const textOf = (id: string, text: string): Block => {
  return { id, heading: id, kind: "text", body: html`${text}` };
};

/** What the script makes of a patch, on regions instead of elements. */
function applyTo(old: readonly Region[], patch: Patch): string[] {
  return old.map((region) => {
    const change = patch.blocks.find(({ id }) => id === region.id);
    if (change === undefined) return joinRegion(region);
    if ("html" in change) return change.html;
    const rows = new Map(region.rows.map((row) => [row.id, row.html]));
    for (const row of change.rows) rows.set(/id="([^"]+)"/.exec(row)?.[1] ?? "", row);
    const order = change.order ?? region.rows.map(({ id }) => id);
    const next = order.map((id) => ({ id, html: rows.get(id) ?? "absent" }));
    return joinRegion({ ...region, rows: next });
  });
}

const someRows = fc.uniqueArray(fc.tuple(fc.constantFrom(..."abcdef"), fc.constantFrom("x", "y")), {
  selector: ([id]) => id,
  maxLength: 6,
});
const somePage = fc.tuple(someRows, fc.constantFrom("p", "q"), someRows).map(([a, text, b]) => {
  return [tableOf("one", a), textOf("two", text), tableOf("three", b)];
});

test("C24: a patch makes of the old page the new one, and of equal pages nothing", () => {
  fc.assert(
    fc.property(somePage, somePage, (before, after) => {
      const [old, now] = [before.map(formatBlock), after.map(formatBlock)];
      const [was, is] = [snapshotOf("t", old), snapshotOf("t", now)];
      const patch = diff(was, is, now);
      if (patch === null) throw new Error("the blocks are the same");
      expect(applyTo(old, patch)).toEqual(now.map(joinRegion));
      const same = JSON.stringify(old) === JSON.stringify(now);
      expect([was.version === is.version, patch.blocks.length === 0]).toEqual([same, same]);
    }),
    { numRuns: 300 },
  );
});

test("C24: a row that changes is sent alone", () => {
  const rows = (text: string) =>
    [
      ["a", "x"],
      ["b", text],
      ["c", "x"],
    ] as const;
  const [old, now] = [[tableOf("t", rows("1"))], [tableOf("t", rows("2"))]].map((one) =>
    one.map(formatBlock),
  );
  const regions = now ?? [];
  const patch = diff(snapshotOf("t", old ?? []), snapshotOf("t", regions), regions);
  expect(patch?.blocks).toMatchObject([{ id: "t", order: null }]);
  expect(JSON.stringify(patch)).toContain("t-b");
  expect(JSON.stringify(patch)).not.toContain("t-a");
});

test("C24: other blocks, or blocks in another order, are a page of its own", () => {
  const [a, b] = [formatBlock(textOf("a", "x")), formatBlock(textOf("b", "x"))];
  expect(diff(snapshotOf("t", [a]), snapshotOf("t", [a, b]), [a, b])).toBeNull();
  expect(diff(snapshotOf("t", [b, a]), snapshotOf("t", [a, b]), [a, b])).toBeNull();
});
