/** `fleet[]` of a scenario: the machines that the file lists one by one. */
import { fillTable } from "../../schema/config/field.ts";
import type { Problems } from "../../reconciler/config/problem.ts";
import type { Section } from "../../reconciler/config/section.ts";
import * as v from "valibot";
import { NodeId, POOL_NAME } from "../../schema/id.ts";
import { LIMIT } from "../../schema/limit.ts";
import { rackNodes } from "./rack.ts";
import { IMPLICIT_POOL, type SimNode } from "./scenario.ts";
import { refuseName } from "./name.ts";
import { readMapping } from "../../reconciler/config/table.ts";
import { NODE } from "./table.ts";
import { sectionsOf } from "./value.ts";

export type Listed = {
  node: SimNode;
  section: Section;
};

/** Reads the list; racks that the file leaves open are filled by neighbourhood. */
export function readFleet(root: Section): Listed[] {
  const listed: Listed[] = [];
  const seen = new Map<string, number>();
  for (const section of sectionsOf(root, "fleet", LIMIT.nodesMax)) {
    const node = readNode(section);
    const before = seen.get(node.id);
    if (before !== undefined) {
      section.fail("id", "duplicate_name", `"${node.id}" already used at line ${before}`);
    } else if (node.id !== "") seen.set(node.id, section.at.line);
    listed.push({ node, section });
  }
  rackNodes(listed.map((one) => one.node));
  return listed;
}

function readNode(section: Section): SimNode {
  const part = readMapping(section, NODE);
  const { id, ...node } = fillTable(NODE, part);
  const checked = v.safeParse(NodeId, id ?? "");
  if (id !== null && !checked.success) {
    section.fail("id", "name", checked.issues[0].message);
  }
  if (!POOL_NAME.test(node.provider)) section.fail("provider", "name", "is not a provider name");
  return { id: id ?? "", ...node, zone: node.zone ?? `${node.region}-a`, rack: node.rack ?? "" };
}

/**
 * Gives each listed node its pool: the one it names, the only one there is, or none. Answers the
 * nodes.
 */
export function placeNodes(
  problems: Problems,
  listed: readonly Listed[],
  pools: readonly string[],
): SimNode[] {
  const only = pools.length === 1 ? (pools[0] ?? null) : null;
  return listed.map(({ node, section }) => {
    if (node.pool !== null && !pools.includes(node.pool)) {
      refuseName(section, "pool", "pool", node.pool, pools);
    }
    if (node.pool === null && only === null && pools.length > 1) {
      const message = `${node.id} names no pool, so it is of none`;
      problems.note(section.at, `${section.path}.pool`, "no_pool", message);
    }
    return { ...node, pool: node.pool ?? only };
  });
}

/** The pools that nodes may name: the file's, or the implicit one. */
export function poolNames(configured: readonly string[]): readonly string[] {
  return configured.length === 0 ? [IMPLICIT_POOL] : configured;
}
