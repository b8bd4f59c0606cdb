import { expect, test } from "bun:test";
import type { Cordon } from "../../../schema/cordon.ts";
import type { Node } from "../../../schema/node.ts";
import { configOnce, poolYaml } from "../../../test/world/setting.ts";
import {
  fleetOf,
  heldOf,
  kubeOf,
  lastSessionOf,
  nodeOf,
  poolStateOf,
  sickOf,
  slurmOf,
  unboughtOf,
} from "../../../test/world/part.ts";
import { openBudgets } from "./budget.ts";
import { countUncounted } from "./uncounted.ts";

const CONFIG = configOnce(poolYaml(20));
const NOW = 10_000_000;
const ours = (cause: Cordon["cause"] = "fault"): Node["cordon"] => {
  return { human: null, product: { by: "navarch", why: "", at: NOW, ...(cause && { cause }) } };
};
const theirs: Node["cordon"] = { product: null, human: { by: "alice", why: "", at: NOW } };
const fallen = [heldOf({ definitive: true }, { code: 79 })];

const uncounted = (nodes: Node[]) => {
  const fleet = fleetOf(nodes.map((node, slot) => ({ ...node, slot: node.slot && slot })));
  const counts = countUncounted(fleet, CONFIG, NOW);
  return Object.fromEntries([...counts].filter(([, nodesOf]) => nodesOf > 0));
};
const bought = (id: string, over: Partial<Node>): Node => nodeOf(id, { slot: 1, ...over });

test.each<[string, Node]>([
  ["evident", sickOf("n", { slot: 1, cordon: ours(), isolatedAt: NOW }, fallen)],
  [
    "suspended_rule",
    bought("n", { cordon: ours(), isolatedAt: NOW, lastSession: lastSessionOf(0, "quarantined") }),
  ],
  ["leaving", bought("n", { cordon: ours("scale_down") })],
  ["past", sickOf("n", { slot: 1, cordon: ours(), isolatedAt: NOW - 3_600_000 })],
  ["silence", bought("n", { cordon: ours(), phase: { kind: "suspect", since: 0 } })],
  ["person", bought("n", { cordon: theirs })],
  ["person", bought("n", { cordon: { ...ours(), human: theirs.human } })],
  ["others", bought("n", { kube: kubeOf({ unschedulable: true, others: ["kured"] }) })],
  ["others", bought("n", { slurm: slurmOf({ held: true }) })],
])("countUncounted() says %s", (kind, node) => {
  expect(uncounted([nodeOf("other"), node])).toEqual({ [kind]: 1 });
});

test("countUncounted() leaves out what the budget counts, and nodes in service", () => {
  const counted = sickOf("a", { slot: 1, cordon: ours(), isolatedAt: NOW });
  expect(uncounted([counted, nodeOf("b"), bought("c", { kube: kubeOf() })])).toEqual({});
  // A person's cordon beside Navarch's gives the budget nothing back.
  const both = { ...counted, cordon: { ...ours(), human: theirs.human } };
  expect(uncounted([both])).toEqual({});
});

test("countUncounted() tells unmanaged machines apart only beside bought ones", () => {
  const stranger = { ...sickOf("a", { cordon: ours(), isolatedAt: NOW }), slot: null };
  const unmanaged: Node = { ...unboughtOf("a"), ...stranger, instance: null };
  expect(uncounted([unmanaged])).toEqual({});
  expect(uncounted([unmanaged, nodeOf("b")])).toEqual({ unmanaged: 1 });
});

test("every cordon is counted in the budget or listed beside it", () => {
  const nodes = [
    sickOf("a", { slot: 0, cordon: ours(), isolatedAt: NOW }),
    sickOf("b", { slot: 1, cordon: ours(), isolatedAt: NOW }, fallen),
    nodeOf("c", { slot: 2, cordon: theirs }),
    nodeOf("d", { slot: 3, cordon: ours("preempted") }),
  ];
  const fleet = fleetOf(nodes, [], [poolStateOf(20)]);
  const rooms = openBudgets(fleet, CONFIG, NOW).rooms();
  const used = rooms.find(({ scope, rung }) => scope === "fleet" && rung === "isolate")?.used;
  const left = [...countUncounted(fleet, CONFIG, NOW).values()].reduce((sum, n) => sum + n, 0);
  expect([used, left]).toEqual([1, 3]);
});
