/**
 * One API server with the definition of AgentPool, the product's own client and account, and the
 * port to the cluster of AgentPools over them.
 */
import { AGENT_POOL_CRD } from "../../../deploy/agentpool/crd.ts";
import { openPoolCluster } from "../../../reconciler/agentpool/cluster.ts";
import type { AgentPool, PoolCluster } from "../../../reconciler/core/agentpool/model.ts";
import { openClient } from "../../../reconciler/kubernetes/client.ts";
import type { KubeApi } from "../../../reconciler/kubernetes/api.ts";
import { openTransport } from "../../../reconciler/kubernetes/connect.ts";
import { POOL_PERMISSIONS } from "../../../reconciler/kubernetes/permission.ts";
import { until } from "../../fixture/plane/plane.ts";
import { PRODUCT_RULES } from "../kubernetes/access.ts";
import { openCluster } from "../kubernetes/cluster.ts";
import type { Cluster } from "../kubernetes/cluster.ts";

export type Json = Record<string, unknown>;

export const POOLS = "/apis/velda.io/v1/namespaces/default/agentpools";
export const PODS = "/api/v1/namespaces/default/pods";
export const WAIT_MS = 30_000;
export const TEMPLATE = {
  metadata: { labels: { app: "agent" } },
  spec: { containers: [{ name: "agent", image: "agent:1" }] },
};

export const metaOf = (object: Json): Json => object["metadata"] as Json;

const CLOCK = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after: (ms: number, work: () => void) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};
const RULES = POOL_PERMISSIONS.map(({ group, resource, verb }) => {
  return { apiGroups: [group], resources: [resource], verbs: [verb] };
});

export class Ground {
  readonly cluster: Cluster;
  readonly api: KubeApi;
  readonly pools: PoolCluster;
  readonly lines: string[] = [];
  /** Writes of the product: `create pods NAME-OF-POOL`. */
  readonly counted: string[];
  private serial = 0;

  private constructor(cluster: Cluster, api: KubeApi, counted: string[]) {
    this.cluster = cluster;
    this.api = api;
    this.counted = counted;
    this.pools = this.openPools();
    this.pools.start(() => undefined);
  }

  /** Without the definition unless `isInstalled`. */
  static async open(isInstalled: boolean): Promise<Ground> {
    const parts = { controllers: false, scheduler: false, kwok: false };
    const productRules = [...PRODUCT_RULES, ...RULES];
    const options = { parts, productRules, enableServiceAccount: true, tell: () => {} };
    const cluster = await openCluster(options);
    // No controller makes it.
    const accounts = "/api/v1/namespaces/default/serviceaccounts";
    await cluster.json(accounts, { body: { metadata: { name: "default" } } });
    const settings = { enabled: true, kubeconfig: cluster.kubeconfig("product"), context: null };
    const opened = await openTransport(settings, {});
    if (opened.kind !== "ok") throw new Error(`no transport: ${JSON.stringify(opened)}`);
    const counted: string[] = [];
    const count = (verb: string, resource: string, pool: string | null): void =>
      void counted.push(`${verb} ${resource} ${pool}`);
    const ports = { clock: CLOCK, count, userAgent: "navarch/test" };
    if (isInstalled) await install(cluster);
    return new Ground(cluster, openClient(opened.transport, ports), counted);
  }

  async close(): Promise<string[]> {
    this.pools.stop();
    this.api.close();
    return this.cluster.close();
  }

  openPools(namespaces: string[] = []): PoolCluster {
    return openPoolCluster({
      ...{ api: this.api, clock: CLOCK, random: Math.random, namespaces, instance: "test" },
      log: (level, line) => void (level === "debug" || this.lines.push(line)),
    });
  }

  async addPool(template: Json = TEMPLATE): Promise<AgentPool> {
    const name = `pool-${(this.serial += 1)}`;
    const autoscaler = { maxReplicas: 5, minIdle: 1, maxIdle: 3 };
    const head = { apiVersion: "velda.io/v1", kind: "AgentPool", metadata: { name } };
    const body = { ...head, spec: { autoscaler, template } };
    // A definition is served a moment after it is accepted.
    await until("the pool is accepted", WAIT_MS, () => this.cluster.json(POOLS, { body }));
    return this.pool(name);
  }

  /** Once the copy has it. */
  pool(name: string): Promise<AgentPool> {
    return until(`the copy has ${name}`, WAIT_MS, () => this.find(name) ?? null);
  }

  find(name: string): AgentPool | undefined {
    return this.pools.pools().list.find((one) => one.name === name);
  }

  worker(): { name: string; generation: number } {
    return { name: `w-${(this.serial += 1)}`, generation: 1 };
  }

  get(path: string): Promise<Json> {
    return this.cluster.json<Json>(path);
  }

  /** A merge patch. */
  change(path: string, body: Json): Promise<unknown> {
    const contentType = "application/merge-patch+json";
    return this.cluster.json(path, { method: "PATCH", contentType, body });
  }
}

export async function install(cluster: Cluster): Promise<void> {
  const crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  await cluster.json(crds, { body: AGENT_POOL_CRD });
}
