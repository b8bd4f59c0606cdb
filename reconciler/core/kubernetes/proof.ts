/**
 * Proves that an agent runs on the machine of a Node object. Pure. The agent's own report is no
 * proof: one node's credential can send another machine's name, instance id and system UUID.
 *
 * - `instance`: the id or the address of the machine in our own listing of the purchase;
 * - `token`: a service-account token bound to a pod on that Node, confirmed by the API server;
 * - `operator`: a join token made for this name (`navarch token join --node NAME`);
 * - `address`: a connection, whose source cannot be chosen freely, from an address of that Node or
 *   of a DaemonSet's pod on it, unless several agents share the address as behind a proxy.
 */
import type { KubeProof } from "../../../schema/node.ts";
import { plainAddress } from "../address.ts";
import { identityOf } from "./identity.ts";
import type { MatchedBy, Subject, Thing } from "./match.ts";

type Proofs = {
  /** The Node of an address; `null` = several. */
  nodeOf: ReadonlyMap<string, string | null>;
  /** How many unmanaged agents report from an address now. */
  agentsAt: ReadonlyMap<string, number>;
};

export function openProofs(
  subjects: readonly Subject[],
  things: readonly Thing[],
  hosts: ReadonlyMap<string, string>,
): Proofs {
  const nodeOf = new Map<string, string | null>(hosts);
  for (const { object } of things) {
    for (const ip of new Set(object.ips.map(written))) {
      const known = nodeOf.get(ip);
      nodeOf.set(ip, known === undefined || known === object.name ? object.name : null);
    }
  }
  const agentsAt = new Map<string, number>();
  for (const { origin, silent, own } of subjects) {
    const address = origin?.address ?? null;
    if (address === null || silent || own !== null) continue;
    agentsAt.set(address, (agentsAt.get(address) ?? 0) + 1);
  }
  return { nodeOf, agentsAt };
}

/** One spelling: cloud controllers pass IPv6 addresses on as their cloud writes them. */
const written = (ip: string): string => (ip.includes(":") ? (plainAddress(ip) ?? ip) : ip);

/** The proof of the match at this strength, or what is missing, for people. */
export function proofOf(
  subject: Subject,
  thing: Thing,
  by: MatchedBy,
  proofs: Proofs,
): KubeProof | { lacks: string } {
  const { own, origin, internalIp, externalIp, agentName, instanceId } = subject;
  const { object, claim, uuid } = thing;
  if (by === "provider_id" || by === "ip") return "instance";
  if (own !== null && by === "system_uuid" && own === uuid) return "instance";
  if (instanceId !== null) {
    const listed = [internalIp, externalIp].filter((ip) => ip !== null);
    if (listed.some((ip) => proofs.nodeOf.get(written(ip)) === object.name)) return "instance";
  }
  const pod = origin?.pod ?? null;
  if (pod !== null && pod.node === object.name && (pod.uid ?? object.uid) === object.uid) {
    return "token";
  }
  const isNamed =
    agentName !== null && (agentName === object.name || identityOf(agentName) === claim?.id);
  if (origin?.vouched === true && isNamed) return "operator";
  const address = origin?.address ?? null;
  const token = origin?.tokenProblem == null ? "" : `; ${origin.tokenProblem}`;
  if (address === null || proofs.nodeOf.get(address) !== object.name) {
    const from = address ?? "loopback or a link-local address, as through a proxy or service mesh";
    const other = address === null ? undefined : proofs.nodeOf.get(address);
    const whose = other == null ? "" : `, which belongs to Node ${other}`;
    return { lacks: `its reports come from ${from}${whose}${token}` };
  }
  const agents = proofs.agentsAt.get(address) ?? 0;
  if (agents > 1) {
    const shared = `${agents} agents share the address ${address}, as behind a proxy or NAT`;
    return { lacks: `${shared}${token}` };
  }
  return "address";
}
