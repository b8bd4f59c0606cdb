import { expect, test } from "bun:test";
import type { Finding } from "../../schema/finding.ts";
import type { HeldFinding } from "../../schema/held.ts";
import type { NodeId } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import type { Check } from "../../schema/report.ts";
import { newNode } from "../core/fold/new-node.ts";
import { Unheard } from "./unheard.ts";

const ID = "n" as NodeId;
const SLOT = { pool: "p" as never, slot: 0, gen: 1, at: 0, replaces: null };

function holding(more: Partial<Node["health"]> = {}): Node {
  const node = newNode({ id: ID, ...SLOT });
  return { ...node, health: { ...node.health, ...more } };
}
const finding = (more: Partial<Finding>): HeldFinding =>
  ({ finding: { kind: "ecc", reason: "dbe", gpu_uuid: "GPU-0", ...more } }) as HeldFinding;
const check = (...active: string[]): Check => ({ conclusive: true, active }) as unknown as Check;

/** When it asks, of two hours of a check a minute. */
function asked(node: Node, given: Check, unheard = new Unheard()): number[] {
  const minutes = Array.from({ length: 120 }, (_, minute) => minute);
  return minutes.filter((minute) => unheard.asks(ID, node, given, minute * 60_000));
}

test("asks() for what no finding told, not at once, and twice", () => {
  expect(asked(holding(), check("ecc/dbe/GPU-0"))).toEqual([2, 12]);
  expect(asked(holding(), check())).toEqual([]);
  const torn = { ...check("ecc/dbe/GPU-0"), conclusive: false };
  expect(asked(holding(), torn)).toEqual([]);
  expect(new Unheard().asks(ID, null, check("ecc/dbe/GPU-0"), 0)).toBe(false);
});

test("asks() for nothing that is held, kept aside, or dropped by a person", () => {
  const listed = check("ecc/dbe/GPU-0");
  expect(asked(holding({ held: [finding({})] }), listed)).toEqual([]);
  expect(asked(holding({ aside: [finding({})] }), listed)).toEqual([]);
  expect(asked(holding({ dropped: ["ecc/dbe/GPU-0"] }), listed)).toEqual([]);
  expect(asked(holding({ held: [finding({ gpu_uuid: "GPU-1" })] }), listed)).toEqual([2, 12]);
  // The driver's verdict is held by its code, and listed by its reason.
  const verdict = finding({ kind: "xid", code: 154, reason: "recovery_reset" });
  expect(asked(holding({ held: [verdict] }), check("xid/recovery_reset/GPU-0"))).toEqual([]);
});

test("asks() again for what was known in between, and paces a fleet", () => {
  const unheard = new Unheard();
  const listed = check("ecc/dbe/GPU-0");
  expect(asked(holding(), listed, unheard)).toEqual([2, 12]);
  expect(unheard.asks(ID, holding({ held: [finding({})] }), listed, 1e8)).toBe(false);
  expect(unheard.asks(ID, holding(), listed, 2e8)).toBe(false);
  const other = "m" as NodeId;
  expect(unheard.asks(other, holding(), listed, 2e8)).toBe(false);
  expect(unheard.asks(ID, holding(), listed, 3e8)).toBe(true);
  expect(unheard.asks(other, holding(), listed, 3e8 + 39)).toBe(false);
  expect(unheard.asks(other, holding(), listed, 3e8 + 40)).toBe(true);
});
