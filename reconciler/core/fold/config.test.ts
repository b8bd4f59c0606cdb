import { expect, test } from "bun:test";
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { nodeOf, slurmOf, slurmRowOf } from "../../../test/world/part.ts";
import { configOf } from "../../../test/world/setting.ts";
import { slotNames } from "../slurm/slot-name.ts";
import { newMirror, UnitOfWork } from "../unit-of-work.ts";
import { refuseConfig } from "./config.ts";
import { foldSlurm } from "./slurm.ts";

const yamlOf = (nodes: string, more = "") =>
  configOf(`slurm: { enabled: true${more} }
providers: { fake: {} }
pools:
  - { name: p, provider: fake, instance_type: h100-8x, scaling: { min_nodes: 2, max_nodes: 3 },
      slurm: { nodes: "${nodes}" } }
`);
const bound = (id: string, slot: number, name: string): [NodeId, Node] => {
  const node = nodeOf(id, { slot, slurm: slurmOf({ name, by: "slot" }) });
  return [node.id, node];
};
const nodes = new Map([bound("a", 0, "n0"), bound("b", 1, "n1")]);
const fleet = { fleetId: "f", nodes, pools: new Map(), operations: new Map(), facts: new Map() };
const refused = (to: string, more = "") => {
  const asked = { running: yamlOf("n[0-1]"), next: yamlOf(to, more), removesPools: true };
  return refuseConfig(fleet, asked);
};

test("S19: another order of slurm.nodes is refused while its nodes live, with what to do", () => {
  expect(refused("n1,n0")).toEqual([
    "node a is n0 in Slurm, but slot 0 of pool p has n1 now: keep the order of slurm.nodes " +
      "until the node is gone, and add names at the end",
    expect.stringContaining("node b is n1 in Slurm, but slot 1 of pool p has n0 now"),
  ]);
  expect(refused("n0")).toEqual([expect.stringContaining("slot 1 of pool p has no name now")]);
});

test("S19: names may be added at the end, and an alias moves one", () => {
  expect(refused("n[0-9]")).toEqual([]);
  expect(refused("n[0,9]", ", node_aliases: { n1: b }")).toEqual([]);
});

test("S19: a start with another order leaves the nodes bound as they are, and tells it", () => {
  const mirror = newMirror();
  for (const [id, node] of nodes) mirror.nodes.set(id, node);
  const work = new UnitOfWork(mirror);
  const names = { aliases: {}, slots: slotNames(yamlOf("n1,n0").pools) };
  const rows = ["n0", "n1"].map((name) => slurmRowOf({ name }));
  const news = { nodes: rows, names, onUndrain: "cancel", onForeignDrain: "hold" } as const;
  const { ambiguous, alarms } = foldSlurm(news, nodes.keys(), 1_000, work);
  expect([...ambiguous.keys()].map(String)).toEqual(["a", "b"]);
  expect(alarms.join()).toContain("node a is n0 in Slurm, but slot 0 of pool p has n1 now");
  expect(work.finish()).toBeNull();
});
