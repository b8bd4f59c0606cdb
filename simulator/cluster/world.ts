/**
 * State shared by the parts of the API server in memory, and its journal: every write that had an
 * effect, with its author. Tests assert on the resulting objects and the journal, never on
 * requests.
 */
import type { Clock } from "../../reconciler/core/clock.ts";
import type { KubeRequest } from "../../reconciler/kubernetes/api.ts";
import { nameOf, namespaceOf, textOf, uidOf } from "./json.ts";
import type { KubeObject } from "./json.ts";
import type { Resource } from "./resource.ts";
import type { Refused } from "./status.ts";
import type { Store } from "./store.ts";
import { metaOf, objectOf } from "./json.ts";

/** `api` = through the port; `person` = an operator's tool; `cluster` = kubelet, controllers. */
export type Author = "api" | "person" | "cluster";

export type KubeWrite = {
  /** Wall milliseconds. */
  at: number;
  verb: "create" | "patch" | "delete" | "evict";
  /** With its subresource: `nodes/status`. */
  resource: string;
  namespace: string;
  name: string;
  uid: string;
  /** The field manager; `kubelet` and the like for the cluster's own. */
  manager: string;
  by: Author;
  /** The version that it made, of the last state for a deletion. */
  version: string;
};

/** Of one UID: how often its eviction was asked for, and how often it was granted. */
export type EvictionCount = { asked: number; granted: number };

/** What a service-account token is for, and the pod that it is bound to. */
export type TokenAsk = {
  /** `NAMESPACE/NAME`. */
  account: string;
  audience: string;
  pod: { namespace: string; name: string } | null;
};
/** With what was true of the pod when it was made. */
export type FakeToken = TokenAsk & {
  podUid: string;
  node: string;
  nodeUid: string;
  /** Wall milliseconds. */
  endsAt: number;
};

export type World = {
  clock: Clock;
  store: Store;
  /** As messages name the product's account. */
  user: string;
  /** `patch nodes`, `create pods/eviction`: what the account may not do. */
  denied: Set<string>;
  /** Webhooks and policies of the cluster; `null` lets a write pass. */
  admission: (request: KubeRequest) => Refused | null;
  /** Namespaces that are being deleted. */
  terminating: Set<string>;
  journal: KubeWrite[];
  evictions: Map<string, EvictionCount>;
  /** Service-account tokens that were made. */
  tokens: Map<string, FakeToken>;
  /** Called after each write. */
  wrote: (write: KubeWrite) => void;
};

/** Who writes, and through which subresource. */
export type Hand = { by: Author; manager: string };

/** The oldest tenth is dropped beyond it, so that a long simulation does not grow for ever. */
const JOURNAL_MAX = 200_000;

export function note(
  world: World,
  hand: Hand,
  verb: KubeWrite["verb"],
  resource: Resource,
  sub: string,
  object: KubeObject,
): void {
  const { journal } = world;
  if (journal.length >= JOURNAL_MAX) journal.splice(0, JOURNAL_MAX / 10);
  const write: KubeWrite = {
    at: world.clock.wallMs(),
    verb,
    resource: sub === "" ? resource.plural : `${resource.plural}/${sub}`,
    namespace: namespaceOf(object),
    name: nameOf(object),
    uid: uidOf(object),
    manager: hand.manager,
    by: hand.by,
    version: textOf(metaOf(object)["resourceVersion"]),
  };
  journal.push(write);
  world.wrote(write);
}

/** Of a condition list such as a pod's or a node's. */
export function conditionOf(object: KubeObject, type: string): string {
  const conditions = objectOf(object["status"])["conditions"];
  const found = Array.isArray(conditions)
    ? conditions.find((condition) => objectOf(condition)["type"] === type)
    : undefined;
  return textOf(objectOf(found)["status"]);
}
