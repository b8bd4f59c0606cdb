/**
 * A compiled control plane with a pool of virtual nodes on a real API server with controllers,
 * scheduler and KWOK, and the process of their agents.
 *
 * Adapter: processes, files, network.
 */
import { Database } from "bun:sqlite";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type AgentProcess,
  PROCESS_FILE,
} from "../../../reconciler/provider/kwok/agent-setting.ts";
import { SIM_FAULTS, type SimFault } from "../../../reconciler/provider/kwok/sim-fault.ts";
import type { NodeView } from "../../../schema/api.ts";
import { buildStale, Plane, until } from "../../fixture/plane/plane.ts";
import { PRODUCT_RULES } from "../kubernetes/access.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";

/** What the provider's account needs besides the product's own role. */
const CREATE = { apiGroups: [""], resources: ["nodes"], verbs: ["create"] };

/** Two nodes of a pool that reboots before it replaces. */
const REBOOTING = `  - name: rebooting
    provider: kwok
    instance_type: h100-8x
    scaling: { min_nodes: 2, max_nodes: 3 }
    health: { unhealthy_threshold: 1, auto_replace: true }
    repair: { ladder: [reboot, replace] }
`;

export type GroundOptions = {
  isRebooting?: boolean;
  /** More of the configuration, of the pool `train` and of `server`. */
  config?: string;
  server?: string;
  pool?: string;
};

const formatConfig = (nodes: number, options: GroundOptions): string => `
server: { address: "127.0.0.1:0", health_check_interval: 5s${options.server ?? ""} }
providers:
  kwok: {}
kubernetes: { enabled: true }
pools:
  - name: train
    provider: kwok
    instance_type: dgxh100.80g
    scaling: { min_nodes: ${nodes}, max_nodes: ${nodes + 10} }
${options.pool ?? "    health: { unhealthy_threshold: 1, auto_replace: true }\n"}
${options.isRebooting === true ? REBOOTING : ""}${options.config ?? ""}`;

type Node = { metadata: { name: string; annotations: Record<string, string> } };

export class KwokGround {
  readonly cluster: Cluster;
  readonly plane: Plane;

  private constructor(cluster: Cluster, plane: Plane) {
    this.cluster = cluster;
    this.plane = plane;
  }

  /** The control plane does not run yet. */
  static async open(nodes: number, options: GroundOptions = {}): Promise<KwokGround> {
    await buildStale();
    const productRules = [...PRODUCT_RULES, CREATE];
    const cluster = await openCluster({ productRules, tell: () => {} });
    const env = { KUBECONFIG: cluster.kubeconfig("product") };
    return new KwokGround(cluster, new Plane(formatConfig(nodes, options), env));
  }

  get folder(): string {
    return join(this.plane.state, "cloud", "kwok");
  }

  /** The process of the agents; `null` = none has begun. */
  agents(): AgentProcess | null {
    const path = join(this.folder, PROCESS_FILE);
    return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as AgentProcess) : null;
  }

  async kubeNodes(): Promise<Node[]> {
    const path = "/api/v1/nodes?labelSelector=type%3Dkwok";
    return (await this.cluster.json<{ items: Node[] }>(path)).items;
  }

  /** As `navarch sim inject` writes it; none removes them all. */
  async inject(node: string, ...faults: SimFault[]): Promise<void> {
    const text = faults.length === 0 ? null : JSON.stringify(faults);
    await this.cluster.request(`/api/v1/nodes/${node}`, {
      method: "PATCH",
      contentType: "application/merge-patch+json",
      body: { metadata: { annotations: { [SIM_FAULTS]: text } } },
    });
  }

  async node(id: string): Promise<NodeView | null> {
    const nodes = await this.plane.nodes();
    return nodes.find(({ node_id }) => node_id === id) ?? null;
  }

  /** Boot ids that the control plane's database has, by node. */
  boots(): Map<string, string> {
    const database = new Database(join(this.plane.state, "navarch.db"), { readonly: true });
    try {
      const rows = database.query<{ id: string; doc: string }, []>("SELECT id, doc FROM node");
      return new Map(
        rows.all().flatMap(({ id, doc }) => {
          const { agent } = JSON.parse(doc) as { agent?: { bootId?: string } | null };
          return agent?.bootId === undefined ? [] : [[id, agent.bootId] as const];
        }),
      );
    } finally {
      database.close();
    }
  }

  /** Resident memory of a process, MiB; 0 if there is none. */
  rssMib(pid: number): number {
    const path = `/proc/${pid}/status`;
    const text = existsSync(path) ? readFileSync(path, "utf8") : "";
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1_024);
  }

  /** What is left behind, which is nothing. */
  async close(): Promise<string[]> {
    await this.plane.stop();
    const agents = this.agents();
    if (agents !== null) {
      process.kill(agents.pid, "SIGTERM");
      await until("the agents' process ended", 20_000, () =>
        existsSync(`/proc/${agents.pid}`) ? null : true,
      );
    }
    return [...(await this.plane.destroy()), ...(await this.cluster.close())];
  }
}

export type Rise = {
  /** Seconds from the start of the control plane. */
  createdS: number;
  servingS: number;
  planeMibMax: number;
  agentsMibMax: number;
};

/** Starts the control plane, and measures until every node serves. */
export async function rise(ground: KwokGround, nodes: number, limitMs: number): Promise<Rise> {
  const { plane } = ground;
  await plane.start(60_000);
  const startedMs = performance.now();
  const sinceS = (): number => (performance.now() - startedMs) / 1_000;
  const found: Rise = { createdS: 0, servingS: 0, planeMibMax: 0, agentsMibMax: 0 };
  await until(`${nodes} virtual nodes serve`, limitMs, async () => {
    found.planeMibMax = Math.max(found.planeMibMax, ground.rssMib(plane.pid));
    const agents = ground.agents();
    if (agents !== null) {
      found.agentsMibMax = Math.max(found.agentsMibMax, ground.rssMib(agents.pid));
    }
    if (found.createdS === 0 && (await ground.kubeNodes()).length >= nodes) {
      found.createdS = sinceS();
    }
    // Every second: a list of thousands is work for the server that is measured.
    await Bun.sleep(1_000);
    return (await plane.serving()).length >= nodes ? true : null;
  });
  found.servingS = sinceS();
  if (found.createdS === 0) found.createdS = found.servingS;
  return found;
}
