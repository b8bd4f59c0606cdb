/**
 * The cluster that the console shows, over connections of its own: a slow log or a large list takes
 * no call from the reconciler.
 */
import type {
  ClusterEvent,
  ClusterNode,
  ClusterStats,
  Deployment,
  FluxList,
  Pod,
  PodFacts,
  PodLog,
} from "../../../schema/console/cluster.ts";
import type {
  Asked,
  ConsoleCluster,
  EventQuery,
  Followed,
  FluxRef,
  FluxVerb,
  KillHow,
  LogQuery,
  PodQuery,
  PodRef,
  Within,
} from "../../core/console/cluster.ts";
import type { HpaLog } from "../../core/console/hpa-log.ts";
import { matchesEvent } from "../../core/console/event.ts";
import { viewPod } from "../../core/console/pod.ts";
import { countPhases, healthOf, utilisation } from "../../core/console/stats.ts";
import type { KubeText } from "../api.ts";
import { killPod, readPodNow, restartPod } from "./act.ts";
import { Copies, type CopyPorts } from "./copies.ts";
import { Flux } from "./flux.ts";
import { HpaWatch } from "./hpa.ts";
import { followLog, readLog } from "./log.ts";
import { Measure } from "./measured.ts";
import { at } from "./resources.ts";
import { parseInstant } from "../../../schema/instant.ts";

export type ConsolePorts = CopyPorts & {
  texts: KubeText;
  /** Ends the connections. */
  end(): void;
};

const GPU = "nvidia.com/gpu";

/** Of an object in a namespace: by namespace, then by name. */
type Placed = { namespace: string; name: string };
const keyOf = ({ namespace, name }: Placed): string => `${namespace}/${name}`;
const inOrder = (one: Placed, other: Placed): number =>
  compare(one.namespace, other.namespace) || compare(one.name, other.name);
const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

const ok = <T>(value: T): Asked<T> => ({ kind: "ok", value });

export function openConsoleCluster(ports: ConsolePorts): ConsoleCluster {
  return new Cluster(ports);
}

/** As `kubectl get nodes` prints it; a cordoned Node is `Ready,SchedulingDisabled`. */
const isNotReady = ({ status }: ClusterNode): boolean => !status.startsWith("Ready");

class Cluster implements ConsoleCluster {
  readonly #ports: ConsolePorts;
  readonly #copies: Copies;
  readonly #measure: Measure;
  readonly #flux: Flux;
  readonly #hpas: HpaWatch;
  readonly #closing = new AbortController();
  #sorted: { version: number; pods: readonly PodFacts[] } = { version: -1, pods: [] };

  constructor(ports: ConsolePorts) {
    this.#ports = ports;
    this.#copies = new Copies(ports);
    this.#measure = new Measure(ports);
    this.#flux = new Flux(ports);
    this.#hpas = new HpaWatch(ports);
  }

  async stats({ namespace }: Within): Promise<Asked<ClusterStats>> {
    const copies = this.#copies;
    const [why, noStorage] = await Promise.all([
      copies.current("nodes", "pods", "deployments", "services"),
      copies.current("claims", "volumes"),
    ]);
    if (why !== null) return why;
    const isIn = (one: { namespace: string }) => namespace === null || one.namespace === namespace;
    const pods = this.#podsIn(namespace);
    const counts = countPhases(pods);
    // This account may lack the permission to list volumes or claims.
    const storage = noStorage === null ? this.#storage(namespace) : null;
    const used = await this.#measure.used();
    const requested = requestedBy(pods);
    const nodes = [...copies.nodes.values()].map(({ view }) => view);
    const sum = (of: (node: ClusterNode) => number): number =>
      nodes.reduce((total, node) => total + of(node), 0);
    // Nodes are measured as a whole, so a namespace has only its requests.
    const measured = namespace === null ? used : null;
    return ok({
      nodes: nodes.length,
      pods: counts,
      deployments: [...copies.deployments.values()].filter(isIn).length,
      services: [...copies.services.values()].filter(isIn).length,
      health: healthOf(counts, { total: nodes.length, notReady: nodes.filter(isNotReady).length }),
      utilisation: {
        cpu: utilisation(
          sum((node) => node.allocatable.cpu),
          requested.cpu,
          measured?.cpu,
        ),
        memory: utilisation(
          sum((node) => node.allocatable.memory),
          requested.memory,
          measured?.memory,
        ),
        storage: utilisation(storage?.allocatable ?? null, storage?.requested ?? null),
        gpu: utilisation(
          sum((node) => node.gpus.allocatable),
          requested.gpu,
        ),
      },
    });
  }

  async pods({ namespace, limit, after }: PodQuery) {
    const why = await this.#copies.current("pods");
    if (why !== null) return why;
    const now = this.#ports.clock.wallMs();
    const all = this.#podsIn(namespace);
    const [inNamespace = "", name = ""] = after.split("/");
    const mark = { namespace: inNamespace, name };
    const first = after === "" ? 0 : all.findIndex((pod) => inOrder(pod, mark) > 0);
    const page = first === -1 ? [] : all.slice(first, first + limit);
    const last = page.at(-1);
    const isLast = last === undefined || first + limit >= all.length;
    const pods = page.map((pod) => viewPod(pod, now));
    return ok({ pods, next: isLast ? "" : keyOf(last) });
  }

  async pod(ref: PodRef): Promise<Asked<Pod>> {
    const found = await readPodNow(this.#ports.api, ref);
    return found.kind === "ok" ? ok(viewPod(found.value, this.#ports.clock.wallMs())) : found;
  }

  async nodes(): Promise<Asked<ClusterNode[]>> {
    const why = await this.#copies.current("nodes");
    if (why !== null) return why;
    const all = [...this.#copies.nodes.values()].map(({ view }) => view);
    return ok(all.sort((one, other) => compare(one.name, other.name)));
  }

  async deployments({ namespace }: Within): Promise<Asked<Deployment[]>> {
    const why = await this.#copies.current("deployments");
    if (why !== null) return why;
    const all = [...this.#copies.deployments.values()].map(({ view }) => view);
    return ok(all.filter((one) => namespace === null || one.namespace === namespace).sort(inOrder));
  }

  async events(query: EventQuery): Promise<Asked<ClusterEvent[]>> {
    const why = await this.#copies.current("events");
    if (why !== null) return why;
    const all = [...this.#copies.events.values()].map(({ view }) => view);
    const wanted = all.filter((event) => matchesEvent(event, query));
    return ok(wanted.sort((one, other) => instantOf(other) - instantOf(one)));
  }

  async namespaces(): Promise<Asked<string[]>> {
    const why = await this.#copies.current("pods", "deployments", "services");
    if (why !== null) return why;
    const { pods, deployments, services } = this.#copies;
    const names = new Set<string>();
    for (const copy of [pods, deployments, services]) {
      for (const { namespace } of copy.values()) names.add(namespace);
    }
    return ok([...names].sort());
  }

  logs(query: LogQuery): Promise<Asked<PodLog>> {
    return readLog(this.#ports, query);
  }

  follow(query: LogQuery, signal: AbortSignal): Promise<Asked<Followed>> {
    return followLog(this.#ports, query, AbortSignal.any([signal, this.#closing.signal]));
  }

  restart(ref: PodRef, how: { force: boolean }): Promise<Asked<string>> {
    return restartPod(this.#ports.api, ref, how);
  }

  kill(ref: PodRef, how: KillHow): Promise<Asked<string>> {
    return killPod(this.#ports.api, ref, how);
  }

  flux(): Promise<Asked<FluxList>> {
    return this.#flux.list();
  }

  hpas(): Promise<Asked<HpaLog>> {
    return this.#hpas.current();
  }

  knownHpas(): HpaLog | null {
    return this.#hpas.known();
  }

  actOnFlux(ref: FluxRef, verb: FluxVerb): Promise<Asked<string>> {
    return this.#flux.act(ref, verb);
  }

  close(): void {
    this.#closing.abort();
    this.#copies.close();
    this.#hpas.close();
    this.#ports.end();
  }

  /** In order; sorted once for each change of the copy. */
  #podsIn(namespace: string | null): readonly PodFacts[] {
    const { pods } = this.#copies;
    if (this.#sorted.version !== pods.version) {
      const all = [...pods.values()].map(({ facts }) => facts).sort(inOrder);
      this.#sorted = { version: pods.version, pods: all };
    }
    const all = this.#sorted.pods;
    return namespace === null ? all : all.filter((pod) => pod.namespace === namespace);
  }

  /** Bytes: volumes and the nodes' own disks, and what bound claims request. */
  #storage(namespace: string | null): { allocatable: number; requested: number } {
    const { claims, volumes, nodes } = this.#copies;
    let allocatable = 0;
    for (const { bytes } of volumes.values()) allocatable += bytes;
    for (const { ephemeral } of nodes.values()) allocatable += ephemeral;
    let requested = 0;
    for (const one of claims.values()) {
      if (namespace === null || one.namespace === namespace) requested += one.bytes;
    }
    return { allocatable, requested };
  }
}

/** By pods that hold resources of a node: placed, and not ended. */
function requestedBy(pods: readonly PodFacts[]): { cpu: number; memory: number; gpu: number } {
  const total = { cpu: 0, memory: 0, gpu: 0 };
  for (const { nodeName, phase, resources } of pods) {
    if (nodeName === "" || phase === "Succeeded" || phase === "Failed") continue;
    total.cpu += at(resources.requests, "cpu");
    total.memory += at(resources.requests, "memory");
    total.gpu += at(resources.requests, GPU);
  }
  return { ...total, cpu: Math.round(total.cpu * 1_000) / 1_000 };
}

const instantOf = ({ lastTimestamp }: ClusterEvent): number =>
  lastTimestamp === null ? 0 : parseInstant(lastTimestamp) || 0;
