/** Evidence that stands by itself, and evidence that cannot be a passing state. */
import { expect, test } from "bun:test";
import { heldOf, nodeOf, sickOf } from "../../../test/world/part.ts";
import { isDefinitive, isEvident } from "./evident.ts";

const passing = heldOf();
const fallen = heldOf({ definitive: true }, { code: 79 });
const doubted = heldOf({ definitive: true, result: "degraded" }, { code: 79 });

test.each([
  ["nothing held", [], false, false],
  ["what may pass", [passing], false, false],
  ["a GPU off the bus", [fallen], true, true],
  ["one of several", [passing, fallen], true, true],
  ["a rule that finds it degraded only", [doubted], false, false],
  ["an uncontained error under a rule that waits", [heldOf({}, { code: 95 })], true, false],
  ["proof of another kind", [heldOf({ definitive: true })], false, true],
  ["an SXid of the same number", [heldOf({}, { kind: "sxid", code: 79 })], false, false],
  ["no number", [heldOf({}, { code: null })], false, false],
])("with %s", (_, held, evident, definitive) => {
  const node = held.length === 0 ? nodeOf("n") : sickOf("n", {}, held);
  expect(isEvident(node)).toBe(evident);
  expect(isDefinitive(node)).toBe(definitive);
});
