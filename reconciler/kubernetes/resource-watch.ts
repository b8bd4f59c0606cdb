/**
 * Watches Nodes and pods for the gauges `node_resource_*`: in a process of its own with the few
 * fields that they need, or over the copies that the control plane holds anyway.
 */
import type { Clock } from "../core/clock.ts";
import type {
  NodeLabel,
  NodeResources,
  ResourceNode,
  ResourceUse,
} from "../core/kubernetes/node-resource.ts";
import type { KubeApi } from "./api.ts";
import { PodIndex } from "./pod-index.ts";
import { readUsedNode, readUsingPod, type UsedNode, type UsingPod } from "./read-use.ts";
import { darkCopy, Reflector } from "./reflector.ts";

type Copy = { problem: string | null; synced(): boolean; ageMs(): number };
type Held = {
  name: string;
  labels: Record<string, string>;
  allocatable?: readonly (string | null)[];
};
type Using = { uid: string; node: string; uses?: readonly ResourceUse[] | null };

export type ResourceCopies<P extends Using> = {
  resources: readonly string[];
  labels: readonly NodeLabel[];
  nodes: Copy & { values(): Iterable<Held> };
  pods: Copy;
  podsOn: PodIndex<P>;
};

export function viewResources<P extends Using>(copies: ResourceCopies<P>): NodeResources {
  const { resources, labels, nodes, pods, podsOn } = copies;
  const isKnown = nodes.synced() && pods.synced();
  return {
    resources,
    labels,
    stale: darkCopy("nodes", nodes) ?? darkCopy("pods", pods),
    *nodes() {
      if (isKnown) for (const node of nodes.values()) yield withUses(node, podsOn);
    },
  };
}

function withUses<P extends Using>(node: Held, podsOn: PodIndex<P>): ResourceNode {
  return {
    name: node.name,
    labels: node.labels,
    allocatable: node.allocatable ?? [],
    *uses() {
      for (const { uses } of podsOn.on(node.name).values()) if (uses) yield uses;
    },
  };
}

export type ResourceWatchOptions = {
  api: KubeApi;
  clock: Clock;
  random: () => number;
  resources: readonly string[];
  labels: readonly NodeLabel[];
  /** Pods of one namespace; `null`: of all. */
  namespace: string | null;
};

export class ResourceWatch {
  readonly #options: ResourceWatchOptions;
  readonly #nodes: Reflector<UsedNode>;
  readonly #pods: Reflector<UsingPod>;
  readonly #podsOn = new PodIndex<UsingPod>();

  constructor(options: ResourceWatchOptions) {
    this.#options = options;
    const { api, clock, random, resources, namespace } = options;
    const keys = new Set(options.labels.map(({ key }) => key));
    // The caller reports problems, each once.
    const common = { api, clock, random, log: () => undefined, query: {} };
    this.#nodes = new Reflector<UsedNode>({
      ...{ ...common, path: "/api/v1/nodes", changed: () => undefined },
      read: (json) => readUsedNode(json, resources, keys),
    });
    const inside = namespace === null ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
    this.#pods = new Reflector<UsingPod>({
      ...{ ...common, path: `/api/v1${inside}/pods` },
      read: (json) => readUsingPod(json, resources),
      changed: (before, after) => this.#podsOn.note(before, after),
    });
  }

  start(): void {
    this.#nodes.start();
    this.#pods.start();
  }

  stop(): void {
    this.#nodes.stop();
    this.#pods.stop();
  }

  view(): NodeResources {
    const { resources, labels } = this.#options;
    return viewResources({
      ...{ resources, labels, nodes: this.#nodes, pods: this.#pods, podsOn: this.#podsOn },
    });
  }

  /** What fails now; `null`: nothing. */
  problem(): string | null {
    const { problem } = this.#nodes;
    if (problem !== null) return `nodes: ${problem}`;
    return this.#pods.problem === null ? null : `pods: ${this.#pods.problem}`;
  }
}
