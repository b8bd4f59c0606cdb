/**
 * Matches Node objects with our nodes. Pure, linear, and independent of the order of either list.
 * Clouds reuse names and addresses, so an identity that cannot be reused comes first and excludes a
 * weaker one that contradicts it; a hostname alone never counts. An agent's name and ids are
 * claims, which one node's credential can copy from another, and pair only with a proof
 * (`proof.ts`). Where several objects or nodes claim each other with equal strength, none is
 * paired: the caller alarms.
 */
import type { NodeId } from "../../../schema/id.ts";
import { KUBE_MATCHES, type KubeProof, type Origin } from "../../../schema/node.ts";
import { openProofs, proofOf } from "./proof.ts";
import {
  familyOf,
  identityOf,
  knownAs,
  parseProviderId,
  parseSystemUuid,
  shapeOf,
} from "./identity.ts";
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
  /** For messages only; it decides nothing. */
  agentHostname: string | null;
  /** The agent's registered name; in a DaemonSet it is `spec.nodeName`. */
  agentName: string | null;
  /** Ids that the agent read on the machine: the cloud's instance id, the DMI system UUID. */
  providerIds: readonly string[];
  /** The source of its agent's reports; `null` = unknown. */
  origin: Origin | null;
  /** Its agent has stopped reporting, so its address may belong to another machine now. */
  silent: boolean;
  /** Its instance is not confirmed gone; only such a node may match by name or address. */
  live: boolean;
};

export type MatchedBy = (typeof KUBE_MATCHES)[number];

export type Ambiguity = {
  /** The candidates, sorted; there may be thousands after a bad clone. */
  nodes: NodeId[];
  /** Names of the Node objects, sorted. */
  objects: string[];
  message: string;
};

export type Matches = {
  pairs: Map<NodeId, { object: KubeNode; by: MatchedBy; proof: KubeProof }>;
  /** Unproven claims of agents, by node: the object's name, and which proof is missing. */
  unproven: Map<NodeId, { object: string; message: string }>;
  ambiguous: Ambiguity[];
  /** Names of the Node objects without a match or an ambiguity, sorted. */
  unmatched: string[];
};

export type Subject = MatchSubject & { own: string | null; read: readonly string[] };
export type Thing = { object: KubeNode; claim: ProviderClaim | null; uuid: string | null };
/** From this many claims on one object on, the machines are copies of one image. */
const CROWD_MIN = 16;

type Edge = { subject: Subject; thing: Thing; proof: KubeProof };

/**
 * `ours` with distinct ids, `objects` with distinct names, each in any order; `hosts`: the Node of
 * each DaemonSet pod's address.
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
  for (const by of KUBE_MATCHES) {
    free = free.filter((thing) => !used.has(thing));
    // Mostly the first strength matches all, and the other indexes are not needed.
    if (free.length === 0 || used.size - (things.length - free.length) === subjects.length) break;
    const find = finder(by, subjects, things);
    const edges: Edge[] = [];
    const crowds = new Set<Subject>();
    for (const thing of free) {
      const [first, ...rest] = find(thing);
      if (first === undefined) continue;
      // Machines that share an identity form one group: each further object gets an edge to the
      // first of them only, because edges to all would be quadratic.
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

/** Whether the object's identity now contradicts its match with this node. */
export function speaksAgainst(ours: MatchSubject, object: KubeNode, by: MatchedBy): boolean {
  return contradicts(subjectOf(ours), thingOf(object), by);
}

/** Whether the agent still claims to be this machine, by any identity. */
export function claims(ours: MatchSubject, object: KubeNode): boolean {
  const subject = subjectOf(ours);
  const thing = thingOf(object);
  const { read, own, agentName } = subject;
  const ids = own === null ? read : [...read, own];
  if (ids.some((id) => id === thing.claim?.id || id === thing.uuid)) return true;
  // A name can be reused: ids read on the machine may contradict it.
  return agentName === object.name && !contradicts(subject, thing, "agent_name");
}

const subjectOf = (subject: MatchSubject): Subject => ({
  ...subject,
  own: subject.instanceId === null ? null : identityOf(knownAs(subject.instanceId)),
  read: subject.providerIds.map(identityOf),
});

const thingOf = (object: KubeNode): Thing => ({
  object,
  claim: object.providerId === null ? null : parseProviderId(object.providerId),
  uuid: parseSystemUuid(object.systemUuid),
});

/** Finds the candidates of an object at one strength through an index. */
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
      // Private addresses repeat between networks: a shared one identifies nothing.
      const shared = repeated(things.flatMap(({ object }) => [...new Set(object.ips)]));
      const names = new Set(things.map(({ object }) => object.name));
      return ({ object }) => {
        const ips = object.ips.filter((ip) => !shared.has(ip) && index(ip).length === 1);
        return index(...ips).filter(
          ({ agentName }) =>
            agentName === null || agentName === object.name || !names.has(agentName),
        );
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

/** Looks up subjects by one or several keys, each subject once. */
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
    const found = keys.flatMap((key) => index.get(key) ?? []);
    return found.length < 2 ? found : [...new Set(found)];
  };
}

/**
 * Whether an identity at least as strong as `by` shows two machines. At `provider_id` itself these
 * are the cloud, the region and the zone.
 */
function contradicts(subject: Subject, { claim, uuid }: Thing, by: MatchedBy): boolean {
  if (claim !== null && !claim.weak) {
    if (strangers(subject, claim)) return true;
    if (by === "provider_id") return false;
    if (subject.own !== null && differs([subject.own], claim.id)) return true;
    // A bound token is stronger than ids read on the machine, and weaker than the bought instance.
    if (by === "token" || by === "metadata") return false;
    // An id that equals the system UUID is no instance id and proves nothing about one.
    const ids = subject.read.filter((id) => id !== uuid);
    if (differs(ids, claim.id)) return true;
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

/** Whether there are ids of the same shape, and none is equal. */
function differs(ids: readonly string[], id: string): boolean {
  const shape = shapeOf(id);
  const alike = ids.filter((other) => shapeOf(other) === shape);
  return alike.length > 0 && !alike.includes(id);
}

/** Connected components: edges that share an end, directly or through others. */
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
        // Each end is visited once: a dense group would be quadratic otherwise.
        for (const next of at.get(end) ?? []) {
          if (seen.has(next)) continue;
          seen.add(next);
          group.push(next);
        }
        at.delete(end);
      }
    }
    groups.push(group);
  }
  return groups;
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

/** Names in one message. */
const NAMED_MAX = 10;
const some = (names: readonly string[]): string =>
  names.length <= NAMED_MAX
    ? names.join(", ")
    : `${names.slice(0, NAMED_MAX).join(", ")} and ${names.length - NAMED_MAX} more`;

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;
