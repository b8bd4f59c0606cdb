/** How many nodes of one pool may be out at once, and what counts as out. */
import { describe, expect, test } from "bun:test";
import type { OperationId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { drainingOf, orderOf, OURS, poolOf, THEIRS } from "../../../test/world/ask.ts";
import { heldOf, nodeOf, sickOf, unboughtOf } from "../../../test/world/part.ts";
import { type Budget, isMuted, isOut, openBudget } from "./budget.ts";
import { sayWait } from "../say/wait.ts";

const tell = (budget: Budget, node: Node): string => sayWait(budget.full(node));

const operation = (kind: string) => ({ operation: `n.1.${kind}` as OperationId });
const both = { cordon: { ...OURS, human: THEIRS.human } };
const silent = (over: Partial<Node> = {}) => {
  const node = nodeOf("n", { phase: { kind: "suspect", since: 0 }, ...over });
  return { ...node, health: { ...node.health, silentSince: 1 } };
};

test.each<[string, Node, boolean]>([
  ["sick and cordoned", sickOf("n", { cordon: OURS }), true],
  ["sick and about to be cordoned", sickOf("n", operation("cordon")), true],
  ["sick and being drained", sickOf("n", operation("drain")), true],
  ["sick and given back", sickOf("n", operation("uncordon")), false],
  ["sick and not cordoned", sickOf("n"), false],
  ["cordoned and silent only", silent({ cordon: OURS }), false],
  ["serving and cordoned", nodeOf("n", { cordon: OURS }), false],
  ["a person's", sickOf("n", { cordon: THEIRS }), false],
  ["both a person's and cordoned by us", sickOf("n", both), false],
  ["ordered by a person", sickOf("n", { ...both, order: orderOf("drain") }), true],
  ["evidently dead", sickOf("n", { cordon: OURS }, [heldOf({}, { code: 79 })]), false],
  ["being replaced", nodeOf("n", { phase: drainingOf() }), true],
])("isOut() of one that is %s: %#", (_, node, out) => {
  expect(isOut(node)).toBe(out);
});

test("isMuted() is one that was cordoned for its silence alone", () => {
  expect(isMuted(silent({ cordon: OURS }))).toBe(true);
  expect(isMuted(silent(operation("cordon")))).toBe(true);
  expect(isMuted(silent(operation("drain")))).toBe(false);
  expect(isMuted(silent())).toBe(false);
  expect(isMuted(sickOf("n", { cordon: OURS }))).toBe(false);
  expect(isMuted(nodeOf("n", { cordon: OURS }))).toBe(false);
});

describe("openBudget()", () => {
  const max = (nodes: number) =>
    poolOf({ health: { ...poolOf().health, maxUnavailable: { kind: "nodes", nodes } } });
  const size = { desired: 10, places: 20 };
  const at = (slot: number) => nodeOf(`n${slot}`, { slot });
  const stranger = (id: string) => unboughtOf(id);
  const all = () => true;

  test("counts those that are out, each slot once", () => {
    const twice = [at(0), { ...at(0), id: "x" as Node["id"] }, at(1)];
    const budget = openBudget(max(3), size, twice, all);
    expect(tell(budget, at(9))).toBe("2 of at most 3 nodes of pool p are out of service");
    expect(
      tell(
        openBudget(max(3), size, twice, () => false),
        at(9),
      ),
    ).toContain("0 of at most 3");
    const vacant = openBudget(
      max(3),
      size,
      twice,
      () => false,
      () => [at(5)],
    );
    expect(tell(vacant, at(9))).toContain("1 of at most 3");
  });

  test("lets go as many as it may, and one that is out already", () => {
    const budget = openBudget(max(2), size, [at(0)], all);
    expect(budget.take(at(0))).toBe(true);
    expect(budget.take(at(1))).toBe(true);
    expect(tell(budget, at(9))).toContain("2 of at most 2");
    expect(budget.take(at(2))).toBe(false);
    expect(budget.take(at(1))).toBe(true);
    expect(openBudget(max(0), size, [], all).take(at(0))).toBe(false);
  });

  test("is a share of the wanted size for ours, and of all places for the others", () => {
    const half = poolOf({
      health: { ...poolOf().health, maxUnavailable: { kind: "percent", percent: 50 } },
    });
    const budget = openBudget(half, size, [at(0), stranger("u")], all);
    expect(tell(budget, at(9))).toBe("1 of at most 5 nodes of pool p are out of service");
    expect(tell(budget, stranger("v"))).toBe("2 of at most 10 nodes of pool p are out of service");
  });

  test("what ours spend is spent for the others, and not the other way round", () => {
    const budget = openBudget(max(1), size, [], all);
    expect(budget.take(stranger("u"))).toBe(true);
    expect(budget.take(stranger("v"))).toBe(false);
    expect(budget.take(at(0))).toBe(true);
    const other = openBudget(max(1), size, [], all);
    expect(other.take(at(0))).toBe(true);
    expect(other.take(stranger("u"))).toBe(false);
  });

  test("counts only when asked, and once", () => {
    let counted = 0;
    const budget = openBudget(max(2), size, [at(0)], () => (counted++, true));
    expect(counted).toBe(0);
    budget.take(at(1));
    budget.take(at(2));
    budget.full(at(3));
    expect(counted).toBe(1);
  });
});
