/**
 * Decides which node a joining machine is, and whether its token admits it. A place is taken if its
 * node has reported or has a credential, or if it is of a machine that we buy: that machine got its
 * credential from us, at the purchase or over SSH. Nothing that a caller sends proves that it is
 * this machine: neighbours can read names and ids, and take over addresses. So a bought machine
 * joins only with a token for exactly that node. Pure.
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
  /** Nodes whose Kubernetes object has this name: a caller of that name acts for them. */
  nodeOfObject(name: string): NodeId[];
  /** Whether a machine that is bought here could have this name, compared without case. */
  isOwnName(id: NodeId): boolean;
  /** The node whose id equals this one, apart from case. */
  nodeLike(id: NodeId): NodeId | null;
};

export type Place =
  | { kind: "ok"; node: NodeId }
  | { kind: "refused"; why: "other" | "gone"; message: string };

/** `credentialOf` reads a node's stored credential. */
export function judgePlace(from: {
  request: JoinRequest;
  token: JoinToken;
  sight: Sight;
  credentialOf(node: NodeId): Credential | null;
}): Place {
  const { request, token, sight, credentialOf } = from;
  const asked = request.node_id;
  // No machine may take the name that another one has at its provider.
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
    const other = `node ${id} differs from node ${like} only in case`;
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
    return refuse("other", `node ${id} was bought here and has its own credential: ${hint}`);
  }
  // A machine bought later under this name would share its credential.
  if (node === null && sight.isOwnName(id)) {
    return refuse("other", `${id} is a name for machines that are bought here: ${hint}`);
  }
  return { kind: "ok", node: id };
}

/** Kubernetes names are in lower case, so a host's name may differ from its Node's in case. */
function objectsOf(asked: NodeId, { nodeOfObject }: Sight): NodeId[] {
  return [asked, asked.toLowerCase()].flatMap(nodeOfObject);
}

function refuse(why: Extract<Place, { kind: "refused" }>["why"], message: string): Place {
  return { kind: "refused", why, message };
}
