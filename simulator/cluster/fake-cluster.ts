/**
 * The rest of the cluster in virtual time: a kubelet for every node, which ends pods that were
 * asked to, the controller of disruption budgets, and the garbage collector of pods.
 */
import { Budgets } from "./budget.ts";
import { finishPod } from "./delete.ts";
import { countOf, listOf, metaOf, nameOf, namespaceOf, objectOf } from "./json.ts";
import { textOf, uidOf } from "./json.ts";
import type { KubeObject } from "./json.ts";
import { resourceOf } from "./resource.ts";
import type { Change } from "./store.ts";
import type { World } from "./world.ts";

const PODS = resourceOf("pods");
const NODES = resourceOf("nodes");
const ATTACHMENTS = resourceOf("volumeattachments");

/** What a program that heeds SIGTERM takes; the end of the grace period ends the others. */
const STOP_MS = 1_000;
/** Period of the garbage collector, and how long it looks at an orphan first (podgc). */
const COLLECT_MS = 20_000;
const QUARANTINE_MS = 40_000;
const OUT_OF_SERVICE = "node.kubernetes.io/out-of-service";

export class Cluster {
  readonly #world: World;
  readonly #budgets: Budgets;
  /** By UID of the pod. */
  readonly #stopMs = new Map<string, number>();
  readonly #stops = new Map<string, () => void>();
  /** Nodes whose kubelet is down. */
  readonly #down = new Set<string>();

  constructor(world: World) {
    this.#world = world;
    this.#budgets = new Budgets(world);
    world.store.listen((change) => this.#take(change));
  }

  /**
   * How long the pod takes to stop by itself, default 1 s; `Infinity` waits for the end of
   * its grace.
   */
  setStopMs(namespace: string, name: string, ms: number): void {
    const pod = this.#world.store.get(PODS, namespace, name);
    if (pod === undefined) throw new Error(`no pod ${namespace}/${name}`);
    this.#stopMs.set(uidOf(pod), ms);
    if (isLeaving(pod)) this.#stop(pod);
  }

  /** A kubelet that is down ends nothing; one that comes back ends what was asked meanwhile. */
  setKubelet(node: string, isUp: boolean): void {
    if (!isUp) {
      this.#down.add(node);
      return;
    }
    if (!this.#down.delete(node)) return;
    for (const pod of this.#podsOf(node)) if (isLeaving(pod)) this.#stop(pod);
  }

  /** Has the status of a budget kept by its controller; `expected` = pods that should run. */
  manage(namespace: string, budget: string, expected: number): void {
    this.#budgets.manage(namespace, budget, expected);
  }

  #take(change: Change): void {
    const { plural, before, after } = change;
    if (plural === "nodes") this.#takeNode(change);
    if (plural === "pods" && after === null) this.#forget(change.object);
    if (plural === "pods" && after !== null && isLeaving(after)) {
      const had = before === null ? undefined : metaOf(before)["deletionTimestamp"];
      if (metaOf(after)["deletionTimestamp"] !== had) this.#stop(after);
    }
    this.#budgets.take(change);
  }

  #takeNode({ before, after, object }: Change): void {
    const name = nameOf(object);
    const { store } = this.#world;
    const isGone = (): boolean => store.get(NODES, "", name) === undefined;
    if (after === null) this.#collect(name, isGone, COLLECT_MS + QUARANTINE_MS);
    else if (isOutOfService(after) && !isOutOfService(before)) {
      this.#collect(name, () => isOutOfService(store.get(NODES, "", name)), COLLECT_MS);
    }
  }

  /** Ends all that is bound to a node, if that is still due by then. */
  #collect(node: string, isDue: () => boolean, ms: number): void {
    const { clock, store } = this.#world;
    clock.after(ms, () => {
      if (!isDue()) return;
      for (const pod of this.#podsOf(node)) finishPod(this.#world, pod, "pod-garbage-collector");
      for (const attachment of store.list(ATTACHMENTS, "")) {
        if (objectOf(attachment["spec"])["nodeName"] === node) {
          store.remove(ATTACHMENTS, attachment);
        }
      }
    });
  }

  #stop(pod: KubeObject): void {
    const uid = uidOf(pod);
    this.#stops.get(uid)?.();
    const graceMs = countOf(metaOf(pod)["deletionGracePeriodSeconds"]) * 1_000;
    // What was ended without a grace waits for its finalizers alone.
    if (graceMs === 0) return;
    const { clock, store } = this.#world;
    const cancel = clock.after(Math.min(this.#stopMs.get(uid) ?? STOP_MS, graceMs), () => {
      this.#stops.delete(uid);
      const live = store.get(PODS, namespaceOf(pod), nameOf(pod));
      if (live === undefined || uidOf(live) !== uid || this.#down.has(nodeOf(live))) return;
      finishPod(this.#world, live, "kubelet");
    });
    this.#stops.set(uid, cancel);
  }

  #forget(pod: KubeObject): void {
    this.#stops.get(uidOf(pod))?.();
    this.#stops.delete(uidOf(pod));
    this.#stopMs.delete(uidOf(pod));
  }

  #podsOf(node: string): KubeObject[] {
    return this.#world.store.list(PODS, "").filter((pod) => nodeOf(pod) === node);
  }
}

const nodeOf = (pod: KubeObject): string => textOf(objectOf(pod["spec"])["nodeName"]);
const isLeaving = (pod: KubeObject): boolean => metaOf(pod)["deletionTimestamp"] !== undefined;

const isOutOfService = (node: KubeObject | undefined | null): boolean =>
  listOf(objectOf(node?.["spec"])["taints"]).some(
    (taint) => objectOf(taint)["key"] === OUT_OF_SERVICE,
  );
