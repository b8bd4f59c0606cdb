/**
 * The port to the cluster that holds AgentPools and their pods, over a Kubernetes API server: two
 * watched copies, and the calls that change pods, status, events and our finalizer.
 */
import { AGENT_POOL, WORKER_LABEL } from "../../schema/agentpool-resource.ts";
import type { AgentPool, Copy, PoolCluster, PoolEvent } from "../core/agentpool/model.ts";
import type { WorkerPod } from "../core/agentpool/model.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { KubeApi } from "../kubernetes/api.ts";
import { KubeEvents } from "../kubernetes/kube-event.ts";
import { Copies } from "./copies.ts";
import { holdPool } from "./hold.ts";
import { MissingMaps } from "./missing-map.ts";
import { checkPod, createPod, removePod } from "./pod-call.ts";
import { podsPath } from "./pod-request.ts";
import { readPool, type HeldPool } from "./read-pool.ts";
import { readWorkerPod, type HeldPod } from "./read-worker-pod.ts";
import { poolsPath } from "./status-body.ts";
import { StatusWriter } from "./status-writer.ts";
import { Unwatched } from "./unwatched.ts";

export type PoolClusterOptions = {
  api: KubeApi;
  clock: Clock;
  /** 0 ≤ x < 1. */
  random: () => number;
  log: Log;
  /** Whose AgentPools are served; empty: all. */
  namespaces: readonly string[];
  /** The reporter of events, such as the name of our pod. */
  instance: string;
};

/** The definition may be installed later: the list is repeated, and this is said once. */
const UNINSTALLED =
  "AgentPools are not served: the CRD is not installed: navarch manifests crd | kubectl apply -f -";

export function openPoolCluster(options: PoolClusterOptions): PoolCluster {
  return new KubePools(options);
}

class KubePools implements PoolCluster {
  readonly #options: PoolClusterOptions;
  readonly #pools: Copies<HeldPool>;
  readonly #pods: Copies<HeldPod>;
  readonly #events: KubeEvents;
  readonly #unwatched: Unwatched | null;
  readonly #maps: MissingMaps;
  #status: StatusWriter;
  #wakeUp: () => void = () => undefined;
  #isUninstalledTold = false;
  /** Namespaces that cannot be read. */
  #troubled: ReadonlySet<string> = new Set();
  /** The filtered list of pods, by the versions that it follows from. */
  #view: { key: string; list: readonly HeldPod[] } | null = null;

  constructor(options: PoolClusterOptions) {
    this.#options = options;
    const { api, clock, random, log, instance } = options;
    const namespaces = [...new Set(options.namespaces.filter((one) => one !== ""))];
    const common = { api, clock, random, log, namespaces, changed: () => this.#wakeUp() };
    this.#pools = new Copies({
      ...{ ...common, what: "AgentPools", path: poolsPath, read: readPool },
    });
    this.#pods = new Copies({
      // Not by label: a pod that an AgentPool owns may have been made by hand, without ours.
      ...{ ...common, what: "pods", path: podsPath, read: readWorkerPod },
    });
    this.#events = new KubeEvents({ api, clock, random, log }, instance);
    this.#status = this.#openStatus();
    const tell = this.tell.bind(this);
    const [pools, pods] = [() => this.#pools.view(), () => this.#pods.view()];
    this.#maps = new MissingMaps({ api, clock, pools, pods, tell });
    this.#unwatched =
      namespaces.length === 0 ? null : new Unwatched({ api, clock, namespaces, tell });
  }

  start(wakeUp: () => void): void {
    this.#wakeUp = wakeUp;
    this.#status.close();
    this.#status = this.#openStatus();
    this.#pools.start();
    this.#pods.start();
    this.#unwatched?.start();
    this.#maps.start();
  }

  stop(): void {
    this.#wakeUp = () => undefined;
    this.#status.close();
    this.#pools.stop();
    this.#pods.stop();
    this.#unwatched?.stop();
    this.#maps.stop();
  }

  pools(): Copy<AgentPool> {
    const view = this.#pools.view();
    this.#status.keep(new Set(view.list.map(({ uid }) => uid)));
    if (this.#pools.isUninstalled && !this.#isUninstalledTold) {
      this.#isUninstalledTold = true;
      this.#options.log("warn", UNINSTALLED);
    }
    if (view.isKnown) this.#isUninstalledTold = false;
    this.#tellTroubles();
    return view;
  }

  /** Without pods that have no owner, unless a pool of their namespace may adopt them. */
  pods(): Copy<WorkerPod> {
    const pools = this.#pools.view();
    const all = this.#pods.view();
    const key = `${pools.version} ${all.version}`;
    if (this.#view?.key !== key) {
      const adopting = new Set(pools.list.filter((one) => one.adopts).map((one) => one.namespace));
      const isWanted = ({ ownerUid, labels, namespace }: WorkerPod): boolean =>
        ownerUid !== null || labels[WORKER_LABEL.pool] !== undefined || adopting.has(namespace);
      this.#view = { key, list: all.list.filter(isWanted) };
    }
    return { ...all, version: all.version + pools.version, list: this.#view.list };
  }

  /** A namespace that cannot be read, and that can again, is a line of the log each. */
  #tellTroubles(): void {
    const { log } = this.#options;
    const now = new Map([...this.#pods.troubles(), ...this.#pools.troubles()]);
    for (const [namespace, reason] of now) {
      if (this.#troubled.has(namespace)) continue;
      const advice = "navarch doctor agentpool --namespace";
      const about = { namespace, reason, advice: `${advice} ${namespace}` };
      log("warn", "AgentPools of a namespace stand still", about);
    }
    for (const namespace of this.#troubled) {
      if (!now.has(namespace)) log("info", "AgentPools of a namespace go on", { namespace });
    }
    this.#troubled = new Set(now.keys());
  }

  create: PoolCluster["create"] = (pool, worker) => createPod(this.#podPorts(), pool, worker);

  check: PoolCluster["check"] = (pool) => checkPod(this.#podPorts(), pool);

  delete: PoolCluster["delete"] = (pod) => {
    const held = this.#pods.get(`${pod.namespace}/${pod.name}`);
    const pools = this.#pools.view().list;
    const owner = pools.find(({ uid }) => uid === held?.ownerUid);
    const pool = owner?.name ?? held?.labels[WORKER_LABEL.pool] ?? null;
    return removePod(this.#podPorts(), pod, pool);
  };

  show: PoolCluster["show"] = (pool, status) => this.#status.show(pool, status);

  tell(pool: AgentPool, { type, reason, message }: PoolEvent): void {
    const { apiVersion, kind } = AGENT_POOL;
    const { namespace, name, uid } = pool;
    this.#events.tell({
      ...{ namespace, name, uid, regarding: { apiVersion, kind }, pool: name },
      ...{ type, reason, action: "Scale", note: message },
    });
  }

  hold: PoolCluster["hold"] = (pool, isHeld) => {
    const { api, clock } = this.#options;
    const ports = { api, clock, held: this.#held, seen: this.#seen };
    return holdPool(ports, pool, isHeld);
  };

  readonly #held = (pool: AgentPool): HeldPool | undefined => {
    const held = this.#pools.get(pool.key);
    return held?.uid === pool.uid ? held : undefined;
  };

  readonly #seen = (pool: HeldPool): void => this.#pools.ingest(pool);

  #podPorts() {
    const { api, clock } = this.#options;
    return { api, clock, seen: (pod: HeldPod) => this.#pods.ingest(pod) };
  }

  #openStatus(): StatusWriter {
    const { api, clock, random, log } = this.#options;
    return new StatusWriter({ api, clock, random, log, held: this.#held, seen: this.#seen });
  }
}
