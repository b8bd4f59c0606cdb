/**
 * Which node a machine that joins is, and whether its token may make it that one. A token opens a
 * pool, never somebody else's place in it. Taken is what has spoken, what was given a credential,
 * and every machine that we buy: that one has its credential from us, with the call that bought it
 * or over SSH, before it can ask. Nothing that a caller says or shows makes it a machine of ours:
 * names and ids can be read by its neighbours, and an address can be taken in its network. So a
 * bought machine joins only by a token that was made for it. Pure.
 */
import type { Credential } from "../../../schema/credential.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { JoinRequest, JoinToken } from "../../../schema/join.ts";
import type { Node } from "../../../schema/node.ts";

/** What is known of the fleet. */
export type Sight = {
  node(id: NodeId): Node | null;
  /** Nodes whose instance has this identity at any provider. */
  nodeOfProviderId(id: string): NodeId[];
  /** Nodes whose object in Kubernetes has this name: whoever bears it speaks for its machine. */
  nodeOfObject(name: string): NodeId[];
  /** Whether a machine that this control plane buys could be called so, in any case. */
  isOwnName(id: NodeId): boolean;
  /** The node whose id differs from this one in case at most. */
  nodeLike(id: NodeId): NodeId | null;
};

export type Place =
  { kind: "ok"; node: NodeId } | { kind: "refused"; why: "other" | "gone"; message: string };

/** `credentialOf` is what is stored of a node's. */
export function judgePlace(from: {
  request: JoinRequest;
  token: JoinToken;
  sight: Sight;
  credentialOf(node: NodeId): Credential | null;
}): Place {
  const { request, token, sight, credentialOf } = from;
  const asked = request.node_id;
  // Nobody may be called what another machine is called at its provider.
  const read = [asked, ...(request.provider_ids ?? [])].flatMap(sight.nodeOfProviderId);
  const matched = new Set([...read, ...objectsOf(asked, sight)]);
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
  const hint = `make a join token with --node ${id} if it is the same machine`;
  const bound = token.node;
  if (bound !== null && bound !== id) {
    const other = bound === asked ? `, and this machine is node ${id}: ${hint}` : "";
    return refuse("other", `this join token is for node ${bound}${other}`);
  }
  const like = node === null ? sight.nodeLike(id) : null;
  if (like !== null && like !== id) {
    const other = `node ${id} differs from node ${like} in case only`;
    return refuse("other", `${other}: give it another name, or forget ${like}`);
  }
  const stored = credentialOf(id);
  if (bound !== null) {
    const since = stored?.revokedAt ?? null;
    if (since === null || token.createdAt >= since) return { kind: "ok", node: id };
    return refuse("other", `node ${id} was revoked after this join token was made`);
  }
  if (stored !== null || (node !== null && node.agent !== null)) {
    return refuse("other", `node ${id} is known already: ${hint}`);
  }
  if (node !== null && (node.instance !== null || node.pool !== null)) {
    return refuse("other", `node ${id} is a machine of ours with its own credential: ${hint}`);
  }
  // Its credential would be that of the machine which is bought under this name one day.
  if (node === null && sight.isOwnName(id)) {
    return refuse("other", `${id} is what machines are called that are bought here: ${hint}`);
  }
  return { kind: "ok", node: id };
}

/** Kubernetes has its names in lower case, so a host's own name may differ from its Node's. */
function objectsOf(asked: NodeId, { nodeOfObject }: Sight): NodeId[] {
  return [asked, asked.toLowerCase()].flatMap(nodeOfObject);
}

function refuse(why: Extract<Place, { kind: "refused" }>["why"], message: string): Place {
  return { kind: "refused", why, message };
}
