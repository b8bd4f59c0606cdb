/**
 * A Kubernetes API server in memory, behind the port `KubeApi`, in virtual time: enough of one that
 * controllers can be tested against what a cluster does to them. `api.contract.ts` is run against
 * it and against a real server; where they differ, this one is wrong.
 */
import { seeded } from "../engine/random.ts";
import type { Clock } from "../../reconciler/core/clock.ts";
import type {
  KubeAnswer,
  KubeApi,
  KubeRequest,
  WatchEnd,
  WatchEvent,
} from "../../reconciler/kubernetes/api.ts";
import { Cluster } from "./fake-cluster.ts";
import { LOST_CONNECTION, NO_FAULT, nextFate, stormAnswer } from "./fault.ts";
import type { KubeFault } from "./fault.ts";
import { ownUpdate } from "./field.ts";
import { metaOf, objectOf, formatInstant, textOf, withMeta } from "./json.ts";
import type { KubeObject } from "./json.ts";
import { openPerson } from "./person.ts";
import type { Person } from "./person.ts";
import { apiVersionOf, cleanObject, keyOf, parsePath, resourceOf } from "./resource.ts";
import { Server } from "./server.ts";
import * as say from "./status.ts";
import { Store } from "./store.ts";
import { Watches } from "./watch.ts";
import { makeToken } from "./token.ts";
import type { EvictionCount, KubeWrite, TokenAsk, World } from "./world.ts";

const USER = "system:serviceaccount:navarch:navarch";
const NAMESPACES = resourceOf("namespaces");

export type FakeKubeOptions = {
  clock: Clock;
  /** 0 to 1; a fixed sequence by default. The same clock and random numbers repeat the run. */
  random?: () => number;
  /** Called after each journal entry. */
  wrote?: (write: KubeWrite) => void;
};

export function openFakeKube(options: FakeKubeOptions): FakeKube {
  return new FakeKube(options);
}

export class FakeKube implements KubeApi {
  /** What people and their tools do. */
  readonly person: Person;
  /** Kubelets and controllers. */
  readonly cluster: Cluster;
  /**
   * What the product's account may not do: `patch nodes`, `create pods/eviction`, `watch pods`.
   * Creating and replacing nodes is denied from the start, as in the role that is shipped.
   */
  readonly denied = new Set(["create nodes", "update nodes"]);
  /** Namespaces that are being deleted: nothing is created in them. */
  readonly terminating = new Set<string>();
  /** What webhooks and policies refuse. */
  admission: (request: KubeRequest) => say.Refused | null = () => null;
  readonly #journal: KubeWrite[] = [];
  readonly #evictions = new Map<string, EvictionCount>();
  readonly #world: World;
  readonly #server: Server;
  readonly #watches: Watches;
  readonly #random: () => number;
  #fault = NO_FAULT;
  #isClosed = false;

  constructor(options: FakeKubeOptions) {
    const { clock, random = seeded(1), wrote = () => undefined } = options;
    this.#random = random;
    this.#world = {
      clock,
      store: new Store(clock),
      user: USER,
      denied: this.denied,
      terminating: this.terminating,
      admission: (request) => this.admission(request),
      journal: this.#journal,
      evictions: this.#evictions,
      tokens: new Map(),
      wrote,
    };
    this.#server = new Server(this.#world);
    this.#watches = new Watches(this.#world, () => this.#fault);
    this.cluster = new Cluster(this.#world);
    this.person = openPerson(this.#world);
    for (const name of ["default", "kube-system", "kube-node-lease"]) this.#addNamespace(name);
  }

  call(request: KubeRequest): Promise<KubeAnswer> {
    if (this.#isClosed) return Promise.resolve({ kind: "lost", message: "closed" });
    const { clock } = this.#world;
    const fate = nextFate(this.#fault, request, this.#random);
    const { promise, resolve } = Promise.withResolvers<KubeAnswer>();
    const work = (): KubeAnswer | Promise<KubeAnswer> => {
      const done = fate.work ? this.#server.handle(request) : null;
      return fate.answer ?? done ?? { kind: "lost", message: LOST_CONNECTION };
    };
    if (!fate.hang && fate.latencyMs === 0) {
      const answer = work();
      // No timer for the common case: a simulated day has millions of calls.
      if (!(answer instanceof Promise)) return Promise.resolve(answer);
      void answer.then(resolve);
    } else if (!fate.hang) {
      clock.after(fate.latencyMs, () => void Promise.resolve(work()).then(resolve));
    }
    const message = `no answer within ${request.timeoutMs} ms`;
    const cancel = clock.after(request.timeoutMs, () => resolve({ kind: "lost", message }));
    return promise.finally(cancel);
  }

  watch(
    path: string,
    query: Readonly<Record<string, string>>,
    take: (event: WatchEvent) => void,
    options: { signal: AbortSignal; silenceMs: number },
  ): Promise<WatchEnd> {
    if (this.#isClosed) return Promise.resolve({ kind: "lost", message: "closed" });
    const request: KubeRequest = { verb: "list", path, query, timeoutMs: 0, lane: "read" };
    for (const storm of this.#fault.concerns(request) ? this.#fault.storms : []) {
      if (this.#random() < storm.probability) return ended(stormAnswer(storm));
    }
    const target = parsePath(path);
    const refusal = target === null ? say.pathNotFound() : this.#server.gate("watch", target);
    if (target === null || refusal !== null) return ended(refusal ?? say.pathNotFound());
    return this.#watches.open(target, query, take, options);
  }

  close(): void {
    this.#isClosed = true;
    this.#watches.endAll({ kind: "ended" });
  }

  /**
   * Puts an object there as if it had been created long ago, without a journal entry. A Node has
   * the labels of every node, a Pod is running and ready by default. Returns it with
   * its UID.
   */
  seed(plural: string, object: KubeObject): KubeObject {
    const { clock, store } = this.#world;
    const resource = resourceOf(plural);
    const metadata = metaOf(object);
    const namespace = resource.namespaced ? textOf(metadata["namespace"]) || "default" : "";
    const name = textOf(metadata["name"]);
    if (store.get(resource, namespace, name) !== undefined) {
      throw new Error(`${plural} ${keyOf(namespace, name)} is there already`);
    }
    if (namespace !== "") this.#addNamespace(namespace);
    const placed = resource.namespaced ? withMeta(object, { namespace }) : object;
    const whole = cleanObject(asLiving(resource.kind, placed));
    if (metadata["managedFields"] !== undefined) return store.add(resource, whole);
    const owner = { manager: "seed", subresource: "", apiVersion: apiVersionOf(resource) };
    const time = formatInstant(clock.wallMs());
    return store.add(resource, ownUpdate({}, whole, { ...owner, time }));
  }

  /** The object as it is now. `namespace` is `""` for a Node. */
  get(plural: string, namespace: string, name: string): KubeObject | undefined {
    return this.#world.store.get(resourceOf(plural), namespace, name);
  }

  /** In the order of their names; `""` = all namespaces. */
  list(plural: string, namespace = ""): KubeObject[] {
    return this.#world.store.list(resourceOf(plural), namespace);
  }

  /** A token of a service account as a TokenRequest makes it, valid for an hour by default. */
  issueToken(ask: TokenAsk, lifeMs = 3_600_000): string {
    return makeToken(this.#world, ask, lifeMs);
  }

  get fault(): Readonly<KubeFault> {
    return this.#fault;
  }

  /** Changes some faults; `setFault(NO_FAULT)` ends them all. */
  setFault(change: Partial<KubeFault>): void {
    this.#fault = { ...this.#fault, ...change };
    if (this.#fault.down) this.#watches.endAll({ kind: "lost", message: LOST_CONNECTION });
    else this.#watches.thaw();
  }

  /** Every write that had an effect, oldest first. */
  get journal(): readonly KubeWrite[] {
    return this.#journal;
  }

  /** By UID of the pod. */
  get evictions(): ReadonlyMap<string, EvictionCount> {
    return this.#evictions;
  }

  /** Requests that arrived: `list pods`, `watch nodes`, `create pods/eviction`. */
  get asked(): ReadonlyMap<string, number> {
    return this.#server.asked;
  }

  /** Forgets the past: watches that begin there and lists that go on from there answer 410. */
  compact(): void {
    this.#world.store.compact();
    this.#server.lists.compact();
  }

  /** Ends every open watch: `expired` as the server does with 410 inside the stream. */
  endWatches(how: WatchEnd): void {
    this.#watches.endAll(how);
  }

  /** Watches that are open. */
  get watching(): number {
    return this.#watches.count;
  }

  #addNamespace(name: string): void {
    const { store } = this.#world;
    if (store.get(NAMESPACES, "", name) === undefined)
      store.add(NAMESPACES, { metadata: { name } });
  }
}

function ended(answer: KubeAnswer): Promise<WatchEnd> {
  if (answer.kind !== "refused") return Promise.resolve({ kind: "lost", message: "no answer" });
  const { status, message, retryAfterMs } = answer;
  return Promise.resolve({ kind: "refused", status, message, retryAfterMs });
}

/** Adds the kubelet's own fields of a Node or a Pod. */
function asLiving(kind: string, object: KubeObject): KubeObject {
  if (kind === "Node") {
    const { name, labels } = metaOf(object);
    const own = { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" };
    return withMeta(object, { labels: { ...own, ...objectOf(labels) } });
  }
  if (kind !== "Pod") return object;
  const status = { phase: "Running", ...objectOf(object["status"]) };
  const isReady = status.phase === "Running" ? "True" : "False";
  return { ...object, status: { conditions: [{ type: "Ready", status: isReady }], ...status } };
}
