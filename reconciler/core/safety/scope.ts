/**
 * The scopes of limits: the fleet, each pool and each failure domain
 * (docs/reference/safety.md#budgets). They overlap: a node is in one pool and several domains, and
 * an action must fit into all of them. Pure.
 */
import type { Config } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import { desiredOf, type Fleet, isUnbought, isWorker } from "../fleet.ts";

export const FLEET = "fleet";
/** Unmanaged machines without a configured pool. */
const STRANGERS = "domain:unmanaged";

/** Inventory labels that name a rack, most specific first. */
const RACK_LABELS = ["navarch.dev/rack", "topology.kubernetes.io/rack", "rack"];

/**
 * A node's failure domains, coarsest first: `provider:aws`, `zone:aws/us-east-1a`, `rack:r17`. A
 * node without an instance has none; the caller uses its predecessor.
 */
export function domainsOf(node: Node): readonly string[] {
  const known = DOMAINS.get(node);
  if (known !== undefined) return known;
  const domains = readDomains(node);
  DOMAINS.set(node, domains);
  return domains;
}

/** A node is never changed in place, so results are cached by it. */
const DOMAINS = new WeakMap<Node, readonly string[]>();
const SCOPES = new WeakMap<Node, readonly string[]>();

function readDomains({ instance, agent }: Node): string[] {
  if (instance === null) return [];
  const out = [`provider:${instance.provider}`];
  if (instance.zone !== null) out.push(`zone:${instance.provider}/${instance.zone}`);
  const labels = agent?.inventory.labels ?? {};
  const labelled = RACK_LABELS.map((name) => labels[name]).find((value) => value !== undefined);
  // The inventory of owned machines may have it too.
  const rack = labelled ?? instance.host?.rack ?? "";
  if (rack !== "") out.push(`rack:${rack}`);
  return out;
}

/** `fleet`, `pool:<name>` and `domain:<domain>` of a node, widest first. */
export function scopesOf(node: Node, stoodFor: Node | null = null): readonly string[] {
  if (node.instance === null && stoodFor !== null) return readScopes(node, stoodFor);
  const known = SCOPES.get(node);
  if (known !== undefined) return known;
  const scopes = readScopes(node, node);
  SCOPES.set(node, scopes);
  return scopes;
}

function readScopes(node: Node, placed: Node): string[] {
  // Pools of pods grow and shrink all day: they neither spend nor enlarge a machine's budgets.
  if (isWorker(node)) return [];
  // Unmanaged machines must not spend the fleet's budgets.
  if (isUnbought(node) && node.pool === null) return [STRANGERS];
  const out = [FLEET];
  if (node.pool !== null) out.push(`pool:${node.pool}`);
  for (const domain of domainsOf(placed)) out.push(`domain:${domain}`);
  return out;
}

/** The kind of limit of a scope: a column of docs/reference/safety.md#budgets. */
export function columnOf(scope: string): "fleet" | "pool" | "domain" {
  if (scope === FLEET) return "fleet";
  return scope.startsWith("pool:") ? "pool" : "domain";
}

/** The node's slot, or its id if it has none. */
export function slotKeyOf(node: Node): string {
  return node.slot === null ? node.id : `${node.pool}/${node.slot}`;
}

export type Size = { slots: number; pools: number };

/**
 * Each scope's size: wanted nodes of the fleet and of a pool, slots placed in a domain. The current
 * count would shrink as nodes leave, and the limits with it. `ownOnly`: without unmanaged machines.
 */
export function sizesOf(fleet: Fleet, config: Config, ownOnly = false): Map<string, Size> {
  const sizes = new Map<string, Size>();
  let wanted = 0;
  for (const pool of config.pools) {
    const desired = desiredOf(pool, fleet.pools.get(pool.name));
    sizes.set(`pool:${pool.name}`, { slots: desired, pools: 1 });
    wanted += desired;
  }
  const adopting = new Set(config.pools.filter(({ adopt }) => adopt).map(({ name }) => name));
  let strangers = 0;
  for (const node of fleet.nodes.values()) {
    if (ownOnly || !isUnbought(node) || isWorker(node) || node.phase.kind === "gone") continue;
    if (node.pool === null) {
      strangers += 1;
      continue;
    }
    // Already counted in the wanted size.
    if (adopting.has(node.pool)) continue;
    wanted += 1;
    const size = sizes.get(`pool:${node.pool}`);
    if (size !== undefined) size.slots += 1;
  }
  if (strangers > 0) sizes.set(STRANGERS, { slots: strangers, pools: 1 });
  sizes.set(FLEET, { slots: wanted, pools: Math.max(1, config.pools.length) });
  const slots = new Map<string, { slots: Set<string>; pools: Set<string> }>();
  for (const node of fleet.nodes.values()) {
    if (node.pool === null) continue;
    // A slot counts in the domain of its last node until the next one is placed.
    for (const domain of domainsOf(node)) {
      const key = `domain:${domain}`;
      const known = slots.get(key) ?? { slots: new Set<string>(), pools: new Set<string>() };
      known.slots.add(slotKeyOf(node));
      known.pools.add(node.pool);
      slots.set(key, known);
    }
  }
  for (const [key, known] of slots) {
    sizes.set(key, { slots: known.slots.size, pools: known.pools.size });
  }
  return sizes;
}

/** The node that this one replaces, while its record exists. */
export function predecessorOf(fleet: Fleet, node: Node): Node | null {
  return node.replaces === null ? null : (fleet.nodes.get(node.replaces) ?? null);
}
