/** Which citations are found, and which of them lead nowhere. `test/house.test.ts` judges the tree. */
import { describe, expect, test } from "bun:test";
import { judgeCitations } from "./cite.ts";

/** Spelled apart, so that this file does not find itself. */
const cite = (...parts: string[]) => parts.join("");

describe("judgeCitations()", () => {
  test.each([
    cite("see gpu/", "nvml.md"),
    cite("(`navarch/", "config.md` §8)"),
    cite("(safety", ".md §4.2)"),
    cite("docs/reference/", "nvml.md#no-such-section"),
    cite("law", " 11"),
    cite("(invariant", " I99)"),
    cite("(promise", " N37)"),
    cite("(decision", " 22)"),
    cite("kept (decision\n * ", "8)"),
    cite("as the kind (SF", "12, SF15)"),
  ])("fires on %s", (text) => {
    expect(judgeCitations("agent/x.ts", text)).toHaveLength(text.includes("§") ? 2 : 1);
  });

  test.each([
    "docs/reference/nvml.md#return-codes",
    "see docs/reference/xid.md",
    "[deploy](deploy/README.md)",
    "law 4, and invariant\n * I12",
    "RFC 9110 §5.6.2",
    "a decision of 22 nodes",
  ])("does not fire on %s", (text) => {
    expect(judgeCitations("agent/x.ts", text)).toEqual([]);
  });
});
