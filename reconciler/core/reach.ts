/**
 * Which machines a provider reaches: those of one account, and in some clouds of one region. A
 * machine is the same for every provider that lists it, and one whose provider no longer reaches it
 * is *stranded*: what the lists say proves nothing about it. Pure.
 */
import type { InstanceFact, Node } from "../../schema/node.ts";
import type { Operation } from "../../schema/operation.ts";
import type { Fleet } from "./fleet.ts";
import type { Instance, Reach } from "./provider.ts";
import type { Unreached } from "./say/loss.ts";

/** Providers by name, as a plan sees them. */
type Reaches = ReadonlyMap<string, { reach: Reach }>;

export const REACHES_ANY: Reach = { type: null, account: null, region: null };

/** Account, region and id of a machine; `null` where the account is not known. */
export function machineOf({
  account,
  region,
  id,
}: Pick<Instance, "region" | "id"> & { account?: string | null | undefined }): string | null {
  return account == null ? null : `${account}/${region ?? ""}/${id}`;
}

/**
 * Whether the instance that a provider lists is the node's own. Where no account is known, an equal
 * id that is tagged with the node's name is the same machine: a doubled purchase has another id.
 */
export function isInstanceOf(
  node: Node,
  listed: { provider: string; reach: Reach; instance: Instance },
): boolean {
  const { instance: fact } = node;
  const { provider, reach, instance } = listed;
  if (fact === null || fact.id !== instance.id) return false;
  if (fact.provider === provider) return true;
  const machine = machineOf(fact);
  if (machine !== null && machine === machineOf({ ...instance, account: reach.account })) {
    return true;
  }
  return instance.tags["navarch-node"] === node.id || String(node.id) === String(instance.id);
}

/** Where a machine is; what is not known is in nobody's way. */
type Belonging = Pick<InstanceFact, "type" | "account" | "region">;

/** Why the provider does not reach the account and region, `null` if it does. */
export function unreached(
  provider: string,
  reach: Reach | undefined,
  { type, account, region }: Belonging,
): Unreached | null {
  if (reach === undefined) return { code: "unconfigured", provider };
  if (reach.type !== null && type !== undefined && reach.type !== type) {
    return { code: "other_type", provider, now: reach.type, before: type };
  }
  if (reach.account !== null && account !== undefined && reach.account !== account) {
    return { code: "other_account", provider, now: reach.account, before: account };
  }
  if (reach.region !== null && region !== null && reach.region !== region) {
    return { code: "other_region", provider, now: reach.region, before: region };
  }
  return null;
}

/** Why the node's machine is out of its provider's reach; `null` if it is not. */
export function strandedWhy(
  { instance, phase }: Pick<Node, "instance" | "phase">,
  reaches: Reaches,
): Unreached | null {
  if (instance === null || phase.kind === "gone") return null;
  return unreached(instance.provider, reaches.get(instance.provider)?.reach, instance);
}

/** The same of a call that is not answered yet. */
export function strandedCall(
  { payload }: Pick<Operation, "payload">,
  providers: Reaches,
): Unreached | null {
  if (payload.kind !== "create") return null;
  const { provider, type, account, request } = payload;
  const asked = { type, account, region: request.region };
  return unreached(provider, providers.get(provider)?.reach, asked);
}

/** What a provider does not reach any more. */
export type Stranded = { provider: string; why: Unreached; nodes: Node[] };

/** Stranded nodes by provider and reason, by name. */
export function strandedIn(
  { nodes, operations }: Pick<Fleet, "nodes" | "operations">,
  providers: Reaches,
): Stranded[] {
  const found = new Map<string, Stranded>();
  for (const node of nodes.values()) {
    const open = node.operation === null ? undefined : operations.get(node.operation);
    const called = open === undefined ? null : strandedCall(open, providers);
    const why = strandedWhy(node, providers) ?? called;
    if (why === null) continue;
    const asked = open !== undefined && "provider" in open.payload ? open.payload.provider : "";
    const provider = node.instance?.provider ?? asked;
    const key = JSON.stringify(why);
    const one = found.get(key) ?? { provider, why, nodes: [] };
    one.nodes.push(node);
    found.set(key, one);
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

/**
 * Providers that buy in one account and region, each with a sentence. An account that is not known
 * is nobody's, and one that is its type's name only says that ids are unique.
 */
export function sharedIn(providers: Reaches): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, { reach }] of providers) {
    const alike = [...providers].filter(([, other]) => meet(reach, other.reach));
    if (alike.length < 2) continue;
    const names = alike.map(([other]) => other).sort();
    const where = reach.region === null ? "" : ` in ${reach.region}`;
    const message = sayShared(names, `account ${reach.account}${where}`);
    found.set(name, `${message}; ${SHARED_REMEDY}`);
  }
  return found;
}

function meet(a: Reach, b: Reach): boolean {
  if (a.account === null || a.account !== b.account || a.type !== b.type) return false;
  if (a.account === a.type) return false;
  return a.region === b.region || a.region === null || b.region === null;
}

export function sayShared(names: readonly string[], where: string): string {
  const all = `${names.slice(0, -1).join(", ")} and ${names.at(-1) ?? ""}`;
  return (
    `providers ${all} buy with one ${where}: each lists the other's machines and ends none of ` +
    "them, but ceilings, limits of calls and back-offs of one do not count for the other"
  );
}

export const SHARED_REMEDY =
  "keep one of them, and write what differs (image, disk_gb, prices, …) in the pools";
