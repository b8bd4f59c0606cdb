/**
 * The scopes that every limit is counted in: the fleet, each pool, and each failure domain
 * (docs/reference/safety.md#budgets). They overlap and are no tree: a node is in one pool and in
 * several domains, and what is done to it must fit into all of them. Pure.
 */
import type { Config } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import { desiredOf, type Fleet, isUnbought } from "../fleet.ts";

export const FLEET = "fleet";
/** Machines that this fleet did not buy and that name no pool of it. */
const STRANGERS = "domain:unmanaged";

/** Inventory labels that name a rack, most specific first. */
const RACK_LABELS = ["navarch.dev/rack", "topology.kubernetes.io/rack", "rack"];

/**
 * A node's failure domains, coarsest first: `provider:aws`, `zone:aws/us-east-1a`, `rack:r17`. One
 * that has no instance yet is in none; the caller uses the node whose place it takes.
 */
export function domainsOf(node: Node): readonly string[] {
  const known = DOMAINS.get(node);
  if (known !== undefined) return known;
  const domains = readDomains(node);
  DOMAINS.set(node, domains);
  return domains;
}

/** A node is never changed in place, so what follows from it is worked out once. */
const DOMAINS = new WeakMap<Node, readonly string[]>();
const SCOPES = new WeakMap<Node, readonly string[]>();

function readDomains({ instance, agent }: Node): string[] {
  if (instance === null) return [];
  const out = [`provider:${instance.provider}`];
  if (instance.zone !== null) out.push(`zone:${instance.provider}/${instance.zone}`);
  const labels = agent?.inventory.labels ?? {};
  const rack = RACK_LABELS.map((name) => labels[name]).find((value) => value !== undefined);
  if (rack !== undefined && rack !== "") out.push(`rack:${rack}`);
  return out;
}

/** `fleet`, `pool:<name>` and `domain:<domain>` of a node, from the widest on. */
export function scopesOf(node: Node, stoodFor: Node | null = null): readonly string[] {
  if (node.instance === null && stoodFor !== null) return readScopes(node, stoodFor);
  const known = SCOPES.get(node);
  if (known !== undefined) return known;
  const scopes = readScopes(node, node);
  SCOPES.set(node, scopes);
  return scopes;
}

function readScopes(node: Node, placed: Node): string[] {
  // Agents that nobody asked for must not use up what the fleet may lose at once.
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

/** A place in a pool; a node that has none is a place of its own. */
export function slotKeyOf(node: Node): string {
  return node.slot === null ? node.id : `${node.pool}/${node.slot}`;
}

/** How many places a scope has, and in how many pools. */
export type Size = { slots: number; pools: number };

/**
 * Each scope's size: wanted nodes of the fleet and of a pool, slots placed in a domain. Never the
 * current count, which shrinks as nodes go and takes the limit with it. `ownOnly`: without machines
 * that this fleet did not buy.
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
    if (ownOnly || !isUnbought(node) || node.phase.kind === "gone") continue;
    if (node.pool === null) {
      strangers += 1;
      continue;
    }
    // Counted in the wanted size already.
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
    // A slot stays where its last node was until the next one is placed.
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

/** The node whose place this one takes, while it is known. */
export function predecessorOf(fleet: Fleet, node: Node): Node | null {
  return node.replaces === null ? null : (fleet.nodes.get(node.replaces) ?? null);
}
