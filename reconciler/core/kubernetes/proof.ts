/**
 * What proves that an agent runs on the machine of a Node object. Pure. An agent's own word proves
 * nothing: with one node's credential, another machine's name, instance id and system UUID can be
 * sent. A proof is one of
 *
 * - `instance`: the id or the address of the machine as our own purchase of it is listed;
 * - `token`: a service-account token bound to a pod on that Node, which the API server confirmed;
 * - `operator`: a join token that a person made for this name (`navarch token join --node NAME`);
 * - `address`: the reports come from an address of that Node, or of a DaemonSet's pod on it. A
 *   source address of an established connection cannot be chosen freely. One from which several
 *   agents with different claims report is a proxy's or a gateway's, and proves nothing.
 */
import type { KubeProof } from "../../../schema/node.ts";
import { plainAddress } from "../address.ts";
import { identityOf } from "./identity.ts";
import type { MatchedBy, Subject, Thing } from "./match.ts";

export type Proofs = {
  /** The Node whose address it is; `null` = of several. */
  nodeOf: ReadonlyMap<string, string | null>;
  /** How many unmanaged agents that report now do so from an address. */
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

/** IPv6 has many spellings, and cloud controllers pass on whichever their cloud uses. */
const written = (ip: string): string => (ip.includes(":") ? (plainAddress(ip) ?? ip) : ip);

/** The proof of what ties the two at this strength, or what is missing, for a person. */
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
  if (origin?.vouched === true && agentName !== null) {
    const isNamed = agentName === object.name || identityOf(agentName) === claim?.id;
    if (isNamed) return "operator";
  }
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
