/**
 * Pods by the pool that owns them, and which pools a new list concerns. A pool owns pods of its own
 * namespace only: the API server stores any owner reference that a tenant of another one writes.
 */
import type { AgentPool, Copy, WorkerPod } from "../core/agentpool/model.ts";

type ByName = Map<string, WorkerPod>;

export class PodsByPool {
  private version = -1;
  private byOwner = new Map<string, ByName>();
  /** Without an owner, by namespace. */
  private loose = new Map<string, ByName>();

  /** UIDs of the pools whose pods differ from the last list, and `loose` if ownerless ones do. */
  take({ version, list }: Copy<WorkerPod>): { uids: Set<string>; isLoose: boolean } {
    if (version === this.version) return { uids: new Set(), isLoose: false };
    this.version = version;
    const owned = list.filter(({ ownerUid }) => ownerUid !== null);
    const byOwner = grouped(owned, (pod) => ownerKey(pod.namespace, pod.ownerUid ?? ""));
    const unowned = list.filter(({ ownerUid }) => ownerUid === null);
    const loose = grouped(unowned, ({ namespace }) => namespace);
    const gone = differing(this.byOwner, byOwner);
    const keys = [...gone, ...differing(byOwner, this.byOwner)];
    const uids = new Set(keys.map((key) => key.slice(key.indexOf("/") + 1)));
    const isLoose = differing(this.loose, loose).length + differing(loose, this.loose).length > 0;
    this.byOwner = byOwner;
    this.loose = loose;
    return { uids, isLoose };
  }

  ownedBy(namespace: string, uid: string): ByName {
    return this.byOwner.get(ownerKey(namespace, uid)) ?? new Map();
  }

  /** Also those that it may adopt. */
  of({ uid, namespace, adopts }: AgentPool): ByName {
    const own = this.ownedBy(namespace, uid);
    return adopts ? new Map([...(this.loose.get(namespace) ?? []), ...own]) : own;
  }
}

const ownerKey = (namespace: string, uid: string): string => `${namespace}/${uid}`;

function grouped(list: readonly WorkerPod[], keyOf: (pod: WorkerPod) => string) {
  const byKey = new Map<string, ByName>();
  for (const pod of list) {
    const key = keyOf(pod);
    const known = byKey.get(key) ?? new Map<string, WorkerPod>();
    byKey.set(key, known.set(pod.name, pod));
  }
  return byKey;
}

/** Keys whose pods in `from` are not the same objects in `to`; a copy keeps unchanged ones. */
function differing(from: Map<string, ByName>, to: Map<string, ByName>): string[] {
  return [...from].flatMap(([key, pods]) => {
    const others = to.get(key);
    const isSame =
      others?.size === pods.size && [...pods].every(([name, pod]) => others.get(name) === pod);
    return isSame ? [] : [key];
  });
}
