/**
 * Which Node object is which node of ours. Pure, linear, and independent of the order of either
 * list. Names and addresses are used again by clouds, so an identity that cannot be used again
 * goes first and forbids a weaker one that says otherwise; a hostname alone never counts.
 *
 * What an agent says of itself (its name, the ids that it read) is a claim: whoever holds one
 * node's credential can repeat another machine's. A claim pairs only with a proof (`proof.ts`).
 *
 * Where two objects claim one node, or two nodes one object, with the same strength, nobody of
 * them is paired, not even by something weaker: the caller raises an alarm and a person looks.
 */
import type { NodeId } from "../../../schema/id.ts";
import { KUBE_MATCHES, type KubeProof, type Origin } from "../../../schema/node.ts";
import { openProofs, proofOf } from "./proof.ts";
import { familyOf, identityOf, parseProviderId, parseSystemUuid, shapeOf } from "./identity.ts";
import type { ProviderClaim } from "./identity.ts";
import type { KubeNode } from "./object.ts";

export type MatchSubject = {
  id: NodeId;
  /** The provider's configured name. */
  provider: string | null;
  instanceId: string | null;
  region: string | null;
  zone: string | null;
  internalIp: string | null;
  externalIp: string | null;
  /** Known for what a person is told; it decides nothing. */
  agentHostname: string | null;
  /** The name that the agent registers under: `spec.nodeName` where a DaemonSet runs it. */
  agentName: string | null;
  /** What the agent read on the machine: the cloud's instance id, the DMI system UUID. */
  providerIds: readonly string[];
  /** Where its agent's reports come from; `null` = not known. */
  origin: Origin | null;
  /** Its agent has stopped reporting: its address may be another machine's by now. */
  silent: boolean;
  /** Its instance is not confirmed gone: only such a node may be known by name or address. */
  live: boolean;
};

/** From the strongest to the weakest. */
export const MATCHED_BY = KUBE_MATCHES;
export type MatchedBy = (typeof MATCHED_BY)[number];

export type Ambiguity = {
  /** The candidates, sorted; there may be thousands after a bad clone. */
  nodes: NodeId[];
  /** Names of the Node objects, sorted. */
  objects: string[];
  message: string;
};

export type Matches = {
  pairs: Map<NodeId, { object: KubeNode; by: MatchedBy; proof: KubeProof }>;
  /** Claims of an agent that nothing proves, by node: the object's name, and what is missing. */
  unproven: Map<NodeId, { object: string; message: string }>;
  ambiguous: Ambiguity[];
  /** Names of the Node objects that are nobody's and in no ambiguity, sorted. */
  unmatched: string[];
};

export type Subject = MatchSubject & { own: string | null; read: readonly string[] };
export type Thing = { object: KubeNode; claim: ProviderClaim | null; uuid: string | null };
/** So many that claim one object are a bad clone, whatever else is said about each. */
const CROWD_MIN = 16;

type Edge = { subject: Subject; thing: Thing; proof: KubeProof };

/**
 * `ours` with distinct ids, `objects` with distinct names, each in any order; `hosts`: on which
 * Node the pod of a DaemonSet runs that has an address.
 */
export function matchNodes(
  ours: readonly MatchSubject[],
  objects: readonly KubeNode[],
  hosts: ReadonlyMap<string, string> = new Map(),
): Matches {
  const subjects = ours.map(subjectOf);
  const things = objects.map(thingOf);
  const proofs = openProofs(subjects, things, hosts);
  const matches: Matches = {
    pairs: new Map(),
    unproven: new Map(),
    ambiguous: [],
    unmatched: [],
  };
  const used = new Set<Subject | Thing>();
  let free = things;
  for (const by of MATCHED_BY) {
    free = free.filter((thing) => !used.has(thing));
    // Mostly the first strength settles it all, and an index of thousands need not be made.
    if (free.length === 0 || used.size - (things.length - free.length) === subjects.length) break;
    const find = finder(by, subjects, things);
    const edges: Edge[] = [];
    const crowds = new Set<Subject>();
    for (const thing of free) {
      const [first, ...rest] = find(thing);
      if (first === undefined) continue;
      // Many machines that share an identity are one question, asked once: each further object of
      // theirs is tied to the first of them alone, or thousands would cost their square.
      const isCrowd = rest.length >= CROWD_MIN;
      const again = isCrowd && crowds.has(first);
      if (isCrowd) crowds.add(first);
      for (const subject of again ? [first] : [first, ...rest]) {
        if (used.has(subject) || contradicts(subject, thing, by)) continue;
        const proof = proofOf(subject, thing, by, proofs);
        if (typeof proof === "string") edges.push({ subject, thing, proof });
        else if (!matches.unproven.has(subject.id)) {
          matches.unproven.set(subject.id, { object: thing.object.name, message: proof.lacks });
        }
      }
    }
    for (const group of groupsOf(edges)) settle(group, by, matches, used);
  }
  for (const id of matches.pairs.keys()) matches.unproven.delete(id);
  for (const thing of free) if (!used.has(thing)) matches.unmatched.push(thing.object.name);
  matches.unmatched.sort();
  matches.ambiguous.sort((a, b) => (a.message < b.message ? -1 : a.message > b.message ? 1 : 0));
  return matches;
}

/** The object itself says now that it is another machine than this node, paired as it was. */
export function speaksAgainst(ours: MatchSubject, object: KubeNode, by: MatchedBy): boolean {
  return contradicts(subjectOf(ours), thingOf(object), by);
}

/** The agent still says that it is this machine, in whatever way. */
export function claims(ours: MatchSubject, object: KubeNode): boolean {
  const subject = subjectOf(ours);
  const thing = thingOf(object);
  const { read, own, agentName } = subject;
  const ids = own === null ? read : [...read, own];
  if (ids.some((id) => id === thing.claim?.id || id === thing.uuid)) return true;
  // A name is given again: what was read on the machine may say that it is another one.
  return agentName === object.name && !contradicts(subject, thing, "agent_name");
}

const subjectOf = (subject: MatchSubject): Subject => ({
  ...subject,
  own: subject.instanceId === null ? null : identityOf(subject.instanceId),
  read: subject.providerIds.map(identityOf),
});

const thingOf = (object: KubeNode): Thing => ({
  object,
  claim: object.providerId === null ? null : parseProviderId(object.providerId),
  uuid: parseSystemUuid(object.systemUuid),
});

/** Who may be meant by an object, at one strength, found through an index. */
function finder(
  by: MatchedBy,
  subjects: readonly Subject[],
  things: readonly Thing[],
): (thing: Thing) => readonly Subject[] {
  switch (by) {
    case "provider_id": {
      const index = indexOf(subjects, ({ instanceId, own }) =>
        instanceId === null || own === null
          ? []
          : [own, instanceId, `azure:${instanceId.toLowerCase()}`],
      );
      return ({ claim }) => {
        if (claim === null) return [];
        const id = claim.family === "azure" ? `azure:${claim.id}` : claim.id;
        return index(id, claim.whole);
      };
    }
    case "token": {
      const index = indexOf(subjects, ({ live, origin }) =>
        live && origin?.pod != null ? [origin.pod.node] : [],
      );
      return ({ object }) => index(object.name);
    }
    case "metadata": {
      const index = indexOf(subjects, ({ read }) => read);
      return ({ claim }) => (claim === null || claim.weak ? [] : index(claim.id));
    }
    case "system_uuid": {
      const index = indexOf(subjects, ({ read, own }) => (own === null ? read : [...read, own]));
      return ({ uuid }) => (uuid === null ? [] : index(uuid));
    }
    case "agent_name": {
      const index = indexOf(subjects, ({ live, agentName }) =>
        live && agentName !== null ? [agentName] : [],
      );
      return ({ object }) => index(object.name);
    }
    case "ip": {
      const index = indexOf(subjects, ({ live, internalIp }) =>
        live && internalIp !== null ? [internalIp] : [],
      );
      // Private addresses repeat between networks: one that anybody shares tells nobody apart.
      const shared = repeated(things.flatMap(({ object }) => [...new Set(object.ips)]));
      const names = new Set(things.map(({ object }) => object.name));
      return ({ object }) => {
        const ips = object.ips.filter((ip) => !shared.has(ip) && index(ip).length === 1);
        const says = ({ agentName }: Subject) =>
          agentName === null || agentName === object.name || !names.has(agentName);
        return index(...ips).filter(says);
      };
    }
  }
}

function repeated(texts: readonly string[]): Set<string> {
  const once = new Set<string>();
  const twice = new Set<string>();
  for (const text of texts) (once.has(text) ? twice : once).add(text);
  return twice;
}

/** The answer to several keys at once names nobody twice. */
function indexOf(subjects: readonly Subject[], keysOf: (subject: Subject) => readonly string[]) {
  const index = new Map<string, Subject[]>();
  for (const subject of subjects) {
    for (const key of keysOf(subject)) {
      if (key === "") continue;
      const found = index.get(key);
      if (found === undefined) index.set(key, [subject]);
      else if (found.at(-1) !== subject) found.push(subject);
    }
  }
  return (...keys: string[]): readonly Subject[] => {
    const [first, ...rest] = keys.flatMap((key) => index.get(key) ?? NOBODY);
    if (first === undefined) return NOBODY;
    return rest.length === 0 ? [first] : [...new Set([first, ...rest])];
  };
}

const NOBODY: readonly Subject[] = [];

/**
 * An identity at least as strong as `by` says that they are two machines. At `provider_id` itself
 * that is what surrounds the id: another cloud, region or zone.
 */
function contradicts(subject: Subject, { claim, uuid }: Thing, by: MatchedBy): boolean {
  if (claim !== null && !claim.weak) {
    if (strangers(subject, claim)) return true;
    if (by === "provider_id") return false;
    // A bound token says more than what was read on the machine, and less than what was bought.
    if (by === "token") return subject.own !== null && differs([subject.own], claim.id);
    if (subject.own !== null && differs([subject.own], claim.id)) return true;
    if (by === "metadata") return false;
    // What equals the system UUID is no instance id, and says nothing about one.
    if (
      differs(
        subject.read.filter((id) => id !== uuid),
        claim.id,
      )
    )
      return true;
  }
  if (by !== "agent_name" && by !== "ip") return false;
  return uuid !== null && differs(subject.read, uuid);
}

function strangers(subject: Subject, claim: ProviderClaim): boolean {
  const apart = (a: string | null, b: string | null) =>
    a !== null && b !== null && a !== "" && b !== "" && a !== b;
  return (
    apart(claim.family, familyOf(subject.provider)) ||
    apart(claim.provider, subject.provider) ||
    apart(claim.region, subject.region) ||
    apart(claim.zone, subject.zone)
  );
}

/** There are ids of that shape, and none is it. */
function differs(ids: readonly string[], id: string): boolean {
  const shape = shapeOf(id);
  const alike = ids.filter((other) => shapeOf(other) === shape);
  return alike.length > 0 && !alike.includes(id);
}

/** Edges that share an end, directly or through others, are one question. */
function groupsOf(edges: readonly Edge[]): Edge[][] {
  const at = new Map<Subject | Thing, Edge[]>();
  for (const edge of edges) {
    for (const end of [edge.subject, edge.thing]) {
      const list = at.get(end);
      if (list === undefined) at.set(end, [edge]);
      else list.push(edge);
    }
  }
  const seen = new Set<Edge>();
  const groups: Edge[][] = [];
  for (const first of edges) {
    if (seen.has(first)) continue;
    seen.add(first);
    const group = [first];
    for (const edge of group) {
      for (const end of [edge.subject, edge.thing]) {
        // An end is walked once, or a dense group would cost its square.
        for (const next of at.get(end) ?? []) if (!seen.has(next)) group.push(mark(next, seen));
        at.delete(end);
      }
    }
    groups.push(group);
  }
  return groups;
}

function mark(edge: Edge, seen: Set<Edge>): Edge {
  seen.add(edge);
  return edge;
}

function settle(
  group: readonly Edge[],
  by: MatchedBy,
  matches: Matches,
  used: Set<Subject | Thing>,
): void {
  for (const { subject, thing } of group) used.add(subject).add(thing);
  const [only] = group;
  if (only === undefined) return;
  if (group.length === 1) {
    const { proof } = only;
    matches.pairs.set(only.subject.id, { object: only.thing.object, by, proof });
    return;
  }
  const nodes = [...new Set(group.map(({ subject }) => subject.id))].sort();
  const objects = [...new Set(group.map(({ thing }) => thing.object.name))].sort();
  matches.ambiguous.push({
    nodes,
    objects,
    message:
      `${count(nodes.length, "node")} (${some(nodes)}) and ` +
      `${count(objects.length, "Kubernetes Node object")} (${some(objects)}) claim each ` +
      `other by ${by}; none of them is paired`,
  });
}

/** A person reads a few names, a log line has an end. */
const NAMED_MAX = 10;
const some = (names: readonly string[]): string =>
  names.length <= NAMED_MAX
    ? names.join(", ")
    : `${names.slice(0, NAMED_MAX).join(", ")} and ${names.length - NAMED_MAX} more`;

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;
