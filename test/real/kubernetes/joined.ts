/**
 * The compiled control plane beside a real cluster that its machines join: for each instance that
 * the fake cloud runs, somebody (here this file) registers a Node as a kubelet would, with the
 * instance in its provider id, and stops renewing it when the machine is gone.
 *
 * Adapter: processes, network, clock.
 */
import type { InstanceView, NodeView } from "../../../schema/api.ts";
import { Plane, until } from "../../fixture/plane/plane.ts";
import type { AuditEntry, Cluster } from "./cluster.ts";

export type JoinedOptions = {
  size: number;
  /** The pool's `health`, in place of a threshold of 1. */
  health?: string;
  /** More lines of the pool, indented by four. */
  pool?: string;
  /** More top-level sections. */
  more?: string;
  /** More lines of the `kubernetes` block, indented by two. */
  kubernetes?: string;
  max?: number;
  server?: string;
  /** Lines of `server` in place of a cadence that hurries, as a test wants it. */
  cadence?: string;
  /** More arguments of the control plane. */
  flags?: readonly string[];
  /** More settings of the fake provider. */
  provider?: string;
  /** In place of the compiled control plane, with more of its environment. */
  program?: string;
  env?: Record<string, string>;
  /** Of each Node, beside its own. */
  labels?: Readonly<Record<string, string>>;
  /** The Node's name of an instance. */
  nameOf?: (instance: string) => string;
};

const HURRIED = `  heartbeat_interval: 500ms
  heartbeat_timeout: 4s
  sample_interval: 500ms
  health_check_interval: 1s
  autoscale_interval: 1s`;

export const formatConfig = (kubeconfig: string, options: JoinedOptions): string => `
server:
  address: 127.0.0.1:0
${options.cadence ?? HURRIED}
${options.server ?? ""}
providers:
  fake: { gpu_count: 8, boot_delay: 300ms, terminate_delay: 300ms${
    options.provider === undefined ? "" : `, ${options.provider}`
  } }
kubernetes:
  enabled: true
  kubeconfig: ${kubeconfig}
${options.kubernetes ?? ""}
${options.more ?? ""}
pools:
  - name: gpus
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: ${options.size}, max_nodes: ${options.max ?? options.size + 3} }
    health: { ${options.health ?? "unhealthy_threshold: 1"} }
${options.pool ?? ""}
`;

export class Joined {
  readonly plane: Plane;
  readonly cluster: Cluster;
  private readonly nameOf: (instance: string) => string;
  private readonly labels: Readonly<Record<string, string>>;
  private readonly joined = new Set<string>();
  private readonly orphaned = new Set<string>();
  private stopped = false;
  private joining: Promise<void> = Promise.resolve();

  constructor(cluster: Cluster, options: JoinedOptions) {
    this.cluster = cluster;
    const config = formatConfig(cluster.kubeconfig("product"), options);
    const { env = {}, flags, program } = options;
    this.plane = new Plane(config, env, flags, program);
    this.labels = options.labels ?? {};
    this.nameOf = options.nameOf ?? ((instance) => `gpu-${instance}`);
  }

  async start(size: number): Promise<NodeView[]> {
    await this.plane.start();
    this.joining = this.join();
    await this.plane.waitServing(size);
    return until("every node is matched", 30_000, async () => {
      const nodes = await this.plane.serving();
      return nodes.length >= size && nodes.every((one) => one.kubernetes_node !== null)
        ? nodes
        : null;
    });
  }

  private async join(): Promise<void> {
    while (!this.stopped) {
      await this.joinOnce().catch(() => undefined);
      await Bun.sleep(100);
    }
  }

  private async joinOnce(): Promise<void> {
    const live = this.plane.reality().live.map(({ id }) => id as string);
    for (const id of live) {
      if (this.joined.has(id)) continue;
      await this.cluster.addNodes(1, {
        name: () => this.nameOf(id),
        providerId: () => `navarch://fake/local/${id}`,
        labels: { "test/gpu": "true", ...this.labels },
      });
      this.joined.add(id);
    }
    for (const id of this.joined) {
      if (live.includes(id) || this.orphaned.has(id)) continue;
      await this.cluster.silence(this.nameOf(id));
      this.orphaned.add(id);
    }
  }

  async instances(): Promise<InstanceView[]> {
    return (await this.plane.get<{ instances: InstanceView[] }>("/instances")).instances;
  }

  async node(name: string): Promise<KubeObject | null> {
    const answer = await this.cluster.request(`/api/v1/nodes/${name}`);
    return answer.ok ? ((await answer.json()) as KubeObject) : null;
  }

  /** What the product's account asked of the server, answered entries only. */
  asked(): AuditEntry[] {
    return this.cluster
      .audit()
      .filter(({ user, stage }) => isProduct(user.username) && stage === "ResponseComplete");
  }

  async close(): Promise<string[]> {
    this.stopped = true;
    await this.joining;
    return this.plane.destroy();
  }
}

export type KubeObject = {
  metadata: {
    name: string;
    uid: string;
    namespace?: string;
    deletionTimestamp?: string;
    annotations?: Record<string, string>;
    labels?: Record<string, string>;
  };
  spec: { unschedulable?: boolean; nodeName?: string; taints?: { key: string }[] };
  status?: { phase?: string; conditions?: { type: string; status: string; message?: string }[] };
};

export function isProduct(username: string): boolean {
  return /^system:serviceaccount:[^:]+:navarch/.test(username);
}
