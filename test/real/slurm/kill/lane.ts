/**
 * One fleet of two machines beside a real slurmctld and a real API server, whose control plane dies
 * by order and is started again on its database. The machines are real as far as Slurm goes: slurmd
 * and its jobs end with the instance, and a new one boots with the next. Several share a Slurm.
 *
 * Adapter: processes, files, network, clock.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../../../build/product.ts";
import type { Entry } from "../../../../reconciler/provider/fake/entry.ts";
import type { NodeView } from "../../../../schema/api.ts";
import { NAVARCH_NODE, until } from "../../../fixture/plane/plane.ts";
import type { Cluster } from "../../kubernetes/cluster.ts";
import { Joined, type KubeObject } from "../../kubernetes/joined.ts";
import type { SlurmCluster } from "../cluster.ts";
import { Orders } from "./order.ts";

const OPEN = "{ pool: 100%, domain: 100%, fleet: 100% }";
const UP_MS_MAX = 60_000;

/** A person's, on the machine beside the sick one, from before the first round on. */
export const FOREIGN = "maint by alice";

export class Lane {
  readonly slurm: SlurmCluster;
  readonly cluster: Cluster;
  readonly orders: Orders;
  readonly joined: Joined;
  /** NodeNames: the one whose machines fall, and the one that a person has drained. */
  readonly sick: string;
  readonly kept: string;
  readonly label: string;
  readonly folder: string;

  constructor(slurm: SlurmCluster, cluster: Cluster, index: number) {
    this.slurm = slurm;
    this.cluster = cluster;
    this.label = `lane-${index}`;
    [this.sick, this.kept] = [`n${2 * index}`, `n${2 * index + 1}`];
    this.folder = mkdtempSync(join(tmpdir(), "navarch-mortal-"));
    this.orders = new Orders(join(this.folder, "orders"));
    const program = join(this.folder, "navarch");
    const entry = join(ROOT, "test/real/slurm/kill/mortal-main.ts");
    writeFileSync(program, `#!/bin/sh\nexec ${process.execPath} run ${entry} "$@"\n`, {
      mode: 0o755,
    });
    this.joined = new Joined(cluster, {
      size: 2,
      health: "unhealthy_threshold: 1, max_unavailable: 100%",
      pool: `    slurm: { nodes: "${this.sick},${this.kept}" }
    drain: { timeout: 0s, fatal_timeout: 0s }`,
      // The person who drains it in the dead time must not hold what is judged here.
      more: `slurm:
  enabled: true
  conf: ${slurm.conf}
  poll_interval: 2s
  on_foreign_drain: repair
simulation: { enabled: true }
# A repair after another is no burst here.
safety:
  breaker: { enabled: false }
  budgets: { isolate: ${OPEN}, drain: ${OPEN}, replace: ${OPEN} }`,
      provider: `agent_path: ${NAVARCH_NODE}`,
      program,
      env: { NAVARCH_TEST_ORDERS: join(this.folder, "orders") },
      labels: { "test/lane": this.label },
    });
  }

  async open(): Promise<void> {
    await this.slurm.scontrol(
      ...["update", `nodename=${this.kept}`, "state=drain", `reason=${FOREIGN}`],
    );
    await this.joined.start(2);
    await until("both nodes have their NodeNames", UP_MS_MAX, async () => {
      const nodes = await this.joined.plane.serving();
      return nodes.every(({ slurm }) => slurm != null) || null;
    });
  }

  async close(): Promise<string[]> {
    const left = await this.joined.close();
    rmSync(this.folder, { recursive: true });
    return left;
  }

  /** The node that has the NodeName of the machines that fall; `null` while none has. */
  async occupant(): Promise<NodeView | null> {
    const nodes = await this.joined.plane.nodes();
    return nodes.find((one) => one.slurm?.name === this.sick && one.phase !== "gone") ?? null;
  }

  async loseGpu(node: string): Promise<void> {
    const init = { method: "POST", body: JSON.stringify({ kind: "xid", code: 79, gpu: 0 }) };
    const answer = await this.joined.plane.fetch(`/api/v1/nodes/${node}/faults`, init);
    if (!answer.ok) throw new Error(`inject: ${answer.status} ${await answer.text()}`);
  }

  /** One replica, on this Node while it may be, else on another of the lane. */
  async startPod(name: string, object: string): Promise<void> {
    const labels = { app: name };
    const isOn = { key: "kubernetes.io/hostname", operator: "In", values: [object] };
    const spec = {
      nodeSelector: { "test/lane": this.label },
      affinity: {
        nodeAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 100, preference: { matchExpressions: [isOn] } },
          ],
        },
      },
      containers: [{ name: "main", image: "example.test/nothing" }],
    };
    const body = {
      metadata: { name },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec },
      },
    };
    await this.cluster.json(SETS, { method: "POST", body });
    await until(`a pod of ${name} runs on ${object}`, UP_MS_MAX, async () => {
      const [pod] = await this.pods(name);
      if (pod?.status?.phase !== "Running") return null;
      if (pod.spec.nodeName !== object) throw new Error(`it is on ${pod.spec.nodeName}`);
      return true;
    });
  }

  async pods(name: string): Promise<KubeObject[]> {
    const path = `/api/v1/namespaces/default/pods?labelSelector=app%3D${name}`;
    return (await this.cluster.json<{ items: KubeObject[] }>(path)).items;
  }

  /** What the round leaves in the cluster is no part of the next one. */
  async sweep(pod: string, object: string): Promise<void> {
    await this.cluster.request(`${SETS}/${pod}`, { method: "DELETE" });
    const pods = `/api/v1/namespaces/default/pods?labelSelector=app%3D${pod}`;
    await this.cluster.request(pods, { method: "DELETE" });
    await this.cluster.request(`/api/v1/nodes/${object}`, { method: "DELETE" });
  }

  /** Entries of the cloud's journal after the first `skip`. */
  cloud(skip = 0): Entry[] {
    const text = readFileSync(join(this.joined.plane.cloudDir, "journal.jsonl"), "utf8");
    const whole = text
      .slice(0, text.lastIndexOf("\n") + 1)
      .split("\n")
      .filter(Boolean);
    return whole.slice(skip).map((line) => JSON.parse(line) as Entry);
  }
}

const SETS = "/apis/apps/v1/namespaces/default/replicasets";

/** What is appended to a file from here on. */
export function tail(path: string): () => string {
  const from = statSync(path).size;
  return () => readFileSync(path).subarray(from).toString();
}
