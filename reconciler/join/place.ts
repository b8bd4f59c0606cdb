/**
 * Which node a machine that joins is, and whether its token may make it that one. A token opens a
 * pool, never somebody else's place in it. Taken is what has spoken, what was given a credential,
 * and every machine that we buy: that one has its credential from us before it can ask. Of a bought
 * one that is still silent only itself may join by a pool's token, and the one thing that a
 * stranger cannot say in its place is the address from which it calls. Pure.
 */
import { isIP } from "node:net";
import type { Credential } from "../../schema/credential.ts";
import type { NodeId } from "../../schema/id.ts";
import type { JoinRequest, JoinToken } from "../../schema/join.ts";
import { isLeaving, type Node } from "../../schema/node.ts";

/** What is known of the fleet. */
export type Sight = {
  node(id: NodeId): Node | null;
  nodes(): Iterable<Node>;
  /** Nodes whose instance has this identity at any provider. */
  nodeOfProviderId(id: string): NodeId[];
  /** Nodes whose object in Kubernetes has this name: whoever bears it speaks for its machine. */
  nodeOfObject(name: string): NodeId[];
  /** Whether a machine that this control plane buys could be called so. */
  isOwnName(id: NodeId): boolean;
};

export type Place =
  { kind: "ok"; node: NodeId } | { kind: "refused"; why: "other" | "gone"; message: string };

/** `credentialOf` is what is stored of a node's; `remote` is the caller's address. */
export function judgePlace(from: {
  request: JoinRequest;
  token: JoinToken;
  remote: string;
  sight: Sight;
  credentialOf(node: NodeId): Credential | null;
}): Place {
  const { request, token, remote, sight, credentialOf } = from;
  const asked = request.node_id;
  // Nobody may be called what another machine is called at its provider.
  const read = [asked, ...(request.provider_ids ?? [])].flatMap(sight.nodeOfProviderId);
  const matched = new Set([...read, ...sight.nodeOfObject(asked)]);
  if (matched.size > 1) {
    return refuse("other", `${asked} matches several instances: ${[...matched].join(", ")}`);
  }
  const [machine] = matched;
  const id = machine ?? asked;
  const node = sight.node(id);
  if (node?.phase.kind === "gone") return refuse("gone", `node ${id} is gone`);
  if (node !== null && node.pool !== null && node.pool !== token.pool) {
    return refuse("other", `node ${id} is not of pool ${token.pool}`);
  }
  const bound = token.node;
  if (bound !== null && bound !== id && bound !== asked) {
    return refuse("other", `this join token is for node ${bound}`);
  }
  const stored = credentialOf(id);
  // By its identity the machine may be another node than the one it names, and the token's.
  if (bound === id) {
    const since = stored?.revokedAt ?? null;
    if (since === null || token.createdAt >= since) return { kind: "ok", node: id };
    return refuse("other", `node ${id} was revoked after this join token was made`);
  }
  const hint = `make a join token with --node ${id} if it is the same machine`;
  if (stored !== null || (node !== null && node.agent !== null)) {
    return refuse("other", `node ${id} is known already: ${hint}`);
  }
  const bought = node !== null && (node.instance !== null || node.pool !== null);
  if (bought && !callsFrom(node, remote, sight)) {
    return refuse("other", `node ${id} is a machine of ours with another address: ${hint}`);
  }
  // Its credential would be that of the machine which is bought under this name one day.
  if (node === null && sight.isOwnName(id)) {
    return refuse("other", `${id} is what machines are called that are bought here: ${hint}`);
  }
  return { kind: "ok", node: id };
}

/**
 * Whether `remote` is the address of this node's instance, and of no other's: behind a translation
 * of addresses many are one, and two networks may use the same private ones.
 */
function callsFrom(node: Node, remote: string, sight: Sight): boolean {
  const caller = plainAddress(remote);
  if (caller === null || !addressesOf(node).includes(caller)) return false;
  for (const other of sight.nodes()) {
    if (other.id !== node.id && addressesOf(other).includes(caller)) return false;
  }
  return true;
}

/** None of what is on its way out: the cloud may have given its address to somebody else. */
function addressesOf({ instance, phase }: Node): string[] {
  if (instance === null || instance.absentSince !== null || isLeaving(phase)) return [];
  if (instance.state !== "provisioning" && instance.state !== "running") return [];
  const both = [instance.internalIp, instance.externalIp];
  return both.flatMap((address) => plainAddress(address ?? "") ?? []);
}

/**
 * One text for each address; `null` for what is none, and for one that names no machine: loopback
 * is whoever is on this computer, such as a proxy, and link-local ones are the same in every
 * network.
 */
export function plainAddress(text: string): string | null {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)?.[1] ?? text;
  const kind = isIP(mapped);
  if (kind === 4) return /^(?:0|127|169\.254)\./.test(mapped) ? null : mapped;
  // The URL standard shortens it in one way; with a zone it is link-local, and no URL at all.
  if (kind !== 6 || !URL.canParse(`http://[${mapped}]`)) return null;
  const address = new URL(`http://[${mapped}]`).hostname.slice(1, -1);
  return /^(?:::1?$|::ffff:|fe[89ab])/.test(address) ? null : address;
}

function refuse(why: Extract<Place, { kind: "refused" }>["why"], message: string): Place {
  return { kind: "refused", why, message };
}
