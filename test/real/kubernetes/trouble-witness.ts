/**
 * Sees every pod of a cluster by a watch of its own, so that what the product did can be judged
 * without asking it: which pod was on which node until when, and how many of a budget's pods were
 * left at each disruption. It goes on where it was when the server comes back.
 *
 * Adapter: network, clock.
 */
import type { Cluster } from "./cluster.ts";

export type SeenPod = {
  uid: string;
  namespace: string;
  name: string;
  node: string;
  app: string;
  ready: boolean;
  phase: string;
  deletingAtMs: number | null;
  goneAtMs: number | null;
};

/** A pod was asked to leave; `healthy` of its label `app` and namespace were left then. */
export type Disruption = { pod: SeenPod; healthy: number };

type RawPod = {
  metadata: {
    uid: string;
    namespace: string;
    name: string;
    resourceVersion: string;
    deletionTimestamp?: string;
    labels?: Record<string, string>;
  };
  spec: { nodeName?: string };
  status?: { phase?: string; conditions?: { type: string; status: string }[] };
};
type RawList = { metadata: { resourceVersion: string }; items: RawPod[] };
type RawEvent = { type: string; object: RawPod };

export class Witness {
  readonly pods = new Map<string, SeenPod>();
  readonly disruptions: Disruption[] = [];
  private readonly cluster: Cluster;
  private readonly stopping = new AbortController();
  private version = "";
  private ended: Promise<void> = Promise.resolve();

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  start(): void {
    this.ended = this.run();
  }

  async close(): Promise<void> {
    this.stopping.abort();
    await this.ended;
  }

  /** Pods that were bound to the node and not gone at that instant. */
  on(node: string, atMs: number): SeenPod[] {
    return [...this.pods.values()].filter(
      (pod) => pod.node === node && (pod.goneAtMs === null || pod.goneAtMs > atMs),
    );
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      try {
        if (this.version === "") await this.list();
        await this.watch(signal);
      } catch {
        await Bun.sleep(100);
      }
    }
  }

  private async list(): Promise<void> {
    const { metadata, items } = await this.cluster.json<RawList>("/api/v1/pods");
    const there = new Set(items.map((pod) => pod.metadata.uid));
    for (const pod of this.pods.values()) {
      if (!there.has(pod.uid)) pod.goneAtMs ??= Date.now();
    }
    for (const pod of items) this.take(pod, false);
    this.version = metadata.resourceVersion;
  }

  private async watch(signal: AbortSignal): Promise<void> {
    const path = `/api/v1/pods?watch=true&resourceVersion=${this.version}`;
    const answer = await this.cluster.request(path, { signal });
    if (!answer.ok || answer.body === null) {
      this.version = "";
      throw new Error(`watch: ${answer.status}`);
    }
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of answer.body) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.hear(JSON.parse(line) as RawEvent);
    }
  }

  private hear({ type, object }: RawEvent): void {
    if (type === "ERROR") {
      this.version = "";
      throw new Error("the version is too old");
    }
    this.version = object.metadata.resourceVersion;
    this.take(object, type === "DELETED");
  }

  private take(raw: RawPod, isGone: boolean): void {
    const { uid, namespace, name, deletionTimestamp, labels = {} } = raw.metadata;
    const before = this.pods.get(uid);
    const { phase = "", conditions = [] } = raw.status ?? {};
    const isReady = conditions.some(({ type, status }) => type === "Ready" && status === "True");
    const isLeaving = isGone || deletionTimestamp !== undefined;
    const pod: SeenPod = {
      uid,
      namespace,
      name,
      node: raw.spec.nodeName ?? "",
      app: labels["app"] ?? "",
      ready: isReady && !isLeaving,
      phase,
      deletingAtMs: isLeaving ? (before?.deletingAtMs ?? Date.now()) : null,
      goneAtMs: isGone ? Date.now() : null,
    };
    this.pods.set(uid, pod);
    // One that was not healthy before takes nothing from its budget.
    if (before?.ready !== true || !isLeaving) return;
    const others = [...this.pods.values()].filter(
      (one) => one.namespace === namespace && one.app === pod.app && one.ready,
    );
    this.disruptions.push({ pod, healthy: others.length });
  }
}
