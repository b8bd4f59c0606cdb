/**
 * AgentPools on a real API server with KWOK in place of kubelets: the compiled control plane, and
 * the compiled agent as a host process for each worker pod, which joins with the pod's own bound
 * token.
 *
 * Adapter: processes, files, network, clock.
 */
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync } from "node:fs";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AGENT_POOL_CRD } from "../../../deploy/agentpool/crd.ts";
import {
  appendRecords,
  formatXid,
  simulatedPci,
} from "../../../reconciler/provider/fake/kernel-log.ts";
import { cleanEnv, NAVARCH, NAVARCH_NODE, Plane, until } from "../../fixture/plane/plane.ts";
import { binaryPath } from "../kubernetes/binary.ts";
import { type Cluster, type ClusterOptions, openCluster } from "../kubernetes/cluster.ts";

export const FILES = join(import.meta.dir, "../../agentpool");

export type ClaimReply = { id: string; state?: string; worker?: string; because?: string };

type PodObject = {
  metadata: { name: string; uid: string; deletionTimestamp?: string };
  status: { phase: string };
};

export type PoolObject = {
  metadata: { generation: number; finalizers?: string[] };
  spec: { autoscaler: Record<string, number> };
  status?: {
    size?: number;
    observedGeneration?: number;
    conditions?: { type: string; status: string; reason: string; message: string }[];
  };
};

export class PoolBed {
  readonly cluster: Cluster;
  readonly plane: Plane;
  private readonly folder = mkdtempSync(join(tmpdir(), "navarch-agents-"));
  /** By name of the pod. */
  private readonly agents = new Map<string, Bun.Subprocess>();

  private constructor(cluster: Cluster, plane: Plane) {
    this.cluster = cluster;
    this.plane = plane;
  }

  /** The CRD is installed by plain `kubectl apply`. `cadence`: of agents; a fast one by default. */
  static async open(
    options: ClusterOptions = {},
    { nodes = 4, more = "", cadence = FAST } = {},
  ): Promise<PoolBed> {
    const cluster = await openCluster(options);
    await cluster.addNodes(nodes, {
      labels: { "cloud.google.com/gke-accelerator": "nvidia-tesla-a100" },
    });
    const config = configOf(cluster.kubeconfig("admin"), cadence, more);
    const bed = new PoolBed(cluster, new Plane(config));
    await bed.apply(JSON.stringify(AGENT_POOL_CRD));
    const crd = "crd/agentpools.velda.io";
    await bed.kubectl("wait", "--for=condition=Established", crd, "--timeout=30s");
    await bed.plane.start();
    return bed;
  }

  /** Throws unless its status is 0. */
  async kubectl(...args: string[]): Promise<string> {
    const { code, out, err } = await this.cluster.kubectl(...args);
    if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${err}`);
    return out;
  }

  async apply(yaml: string): Promise<void> {
    const how = { user: "admin" as const, stdin: yaml };
    const { code, err } = await this.cluster.kubectlWith(how, "apply", "-f", "-");
    if (code !== 0) throw new Error(`kubectl apply: ${err}`);
  }

  /** A file or folder of `test/agentpool`. */
  async applyFile(name: string): Promise<void> {
    await this.kubectl("apply", "-f", join(FILES, name));
  }

  /** A script of `test/agentpool`, with `kubectl` and the administrator's kubeconfig. */
  async script(name: string, ...args: string[]): Promise<void> {
    const PATH = `${join(binaryPath("kubectl"), "..")}:${process.env["PATH"] ?? ""}`;
    const env = cleanEnv({ KUBECONFIG: this.cluster.kubeconfig("admin"), PATH });
    const child = Bun.spawn(["sh", join(FILES, name), ...args], { env, stderr: "pipe" });
    const err = await new Response(child.stderr).text();
    if ((await child.exited) !== 0) throw new Error(`${name}: ${err}`);
  }

  private async podsOf(selector: string): Promise<PodObject[]> {
    const path = `/api/v1/namespaces/default/pods?labelSelector=${encodeURIComponent(selector)}`;
    const { items } = await this.cluster.json<{ items: PodObject[] }>(path);
    return items;
  }

  /** Pods of the pool that are not being deleted. */
  async pods(pool: string): Promise<PodObject[]> {
    const all = await this.podsOf(`navarch.dev/agentpool=${pool}`);
    return all.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  async count(selector: string): Promise<number> {
    return (await this.podsOf(selector)).length;
  }

  /** UIDs, sorted. */
  async uids(pool: string): Promise<string[]> {
    return (await this.pods(pool)).map(({ metadata }) => metadata.uid).sort();
  }

  /** Until it has so many. */
  async waitPods(pool: string, count: number, limitMs = 20_000): Promise<void> {
    await until(`${pool} has ${count} workers`, limitMs, async () => {
      const now = (await this.pods(pool)).length;
      if (now !== count) throw new Error(`it has ${now}`);
      return true;
    });
  }

  async pool(name: string): Promise<PoolObject> {
    return JSON.parse(await this.kubectl("get", "ap", name, "-o", "json")) as PoolObject;
  }

  async condition(name: string, type: string) {
    const { status } = await this.pool(name);
    return status?.conditions?.find((one) => one.type === type) ?? null;
  }

  async patch(name: string, autoscaler: Record<string, number>): Promise<void> {
    const body = JSON.stringify({ spec: { autoscaler } });
    await this.kubectl("patch", "ap", name, "--type", "merge", "-p", body);
  }

  /**
   * Starts an agent for each running pod of the pool that has none, and waits until all joined.
   * `gpus`: so many simulated ones.
   */
  async join(pool: string, args: readonly string[] = [], gpus = 0): Promise<void> {
    type Workers = { worker_list: { joined_at: string | null }[] };
    await until(`the agents of ${pool} have joined`, 60_000, async () => {
      const running = (await this.pods(pool)).filter(({ status }) => status.phase === "Running");
      for (const { metadata } of running) {
        await this.joinOne(pool, metadata.name, args, gpus);
      }
      const { worker_list: workers } = await this.get<Workers>(`/pools/default/${pool}`);
      const missing = workers.filter((one) => one.joined_at === null).length;
      if (missing > 0) throw new Error(`${missing} have not: ${this.agentLogs().slice(-2_000)}`);
      return true;
    });
  }

  /** Of a simulated worker, where the control plane looks for it. */
  private machineOf(pod: string): string {
    return join(this.plane.state, "workers", "instance", pod);
  }

  private async joinOne(
    pool: string,
    pod: string,
    args: readonly string[],
    gpus: number,
  ): Promise<void> {
    if (this.agents.has(pod)) return;
    const bound = ["--bound-object-kind=Pod", `--bound-object-name=${pod}`];
    const token = await this.kubectl("create", "token", "default", ...bound);
    const path = (end: string): string => join(this.folder, `${pod}.${end}`);
    writeFileSync(path("token"), token, { mode: 0o600 });
    // As in the seed's ConfigMap, with its key that has no effect.
    const broker = `broker: {address: "${this.plane.url.slice(7)}"}\n`;
    writeFileSync(path("yaml"), `${broker}sandbox_config: {disk_source: {}}\n`);
    const machine = this.machineOf(pod);
    mkdirSync(machine, { recursive: true });
    const kmsg = gpus === 0 ? path("kmsg") : join(machine, "kmsg");
    writeFileSync(kmsg, "", { mode: 0o600 });
    const faults = ["--sim-faults", join(machine, "gpu-faults.json")];
    const simulated = gpus === 0 ? [] : ["--fake-gpus", String(gpus), ...faults];
    const own = ["--config", path("yaml"), "--token-file", path("token")];
    const flags = [`--pool=${pool}`, ...own, "--kernel-log", kmsg, ...simulated];
    const log = openSync(path("log"), "a", 0o600);
    const child = Bun.spawn([NAVARCH_NODE, ...flags, ...args], {
      env: cleanEnv({ AGENT_NAME: pod, HOME: this.folder }),
      stdio: ["ignore", log, log],
    });
    this.agents.set(pod, child);
  }

  /** Its GPU fails as a real one does: by a line in the kernel log that its agent reads. */
  failGpu(pod: string): void {
    appendRecords(join(this.folder, `${pod}.kmsg`), [formatXid(79, simulatedPci(0))]);
  }

  isSimulated(pod: string): boolean {
    return existsSync(join(this.machineOf(pod), "kmsg"));
  }

  /** The program, as an administrator of this control plane. */
  async navarch(...words: string[]): Promise<{ code: number; out: string; err: string }> {
    const { adminToken, url } = this.plane;
    const own = { NAVARCH_TOKEN: adminToken, NAVARCH_SERVER: url, HOME: this.folder };
    const pipes = { stdout: "pipe", stderr: "pipe", env: cleanEnv(own) } as const;
    const child = Bun.spawn([NAVARCH, ...words], pipes);
    const texts = [child.stdout, child.stderr].map((end) => new Response(end).text());
    const [out = "", err = ""] = await Promise.all(texts);
    return { code: await child.exited, out, err };
  }

  /** Its agent dies without a goodbye. */
  async killAgent(pod: string): Promise<void> {
    const child = this.agents.get(pod);
    if (child === undefined) throw new Error(`${pod} has no agent`);
    child.kill("SIGKILL");
    await child.exited;
  }

  agentLogs(): string {
    return [...this.agents.keys()]
      .map((pod) => readFileSync(join(this.folder, `${pod}.log`), "utf8"))
      .join("");
  }

  get<T>(path: string): Promise<T> {
    return this.plane.get<T>(path);
  }

  async claim(pool: string): Promise<ClaimReply> {
    const path = `/v1/pools/default/${pool}/claims`;
    const answer = await this.plane.fetch(path, { method: "POST", body: "{}" });
    if (!answer.ok) throw new Error(`claim of ${pool}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as ClaimReply;
  }

  async claimOf(id: string): Promise<ClaimReply> {
    return (await (await this.plane.fetch(`/v1/claims/${id}`)).json()) as ClaimReply;
  }

  async release(id: string): Promise<void> {
    const answer = await this.plane.fetch(`/v1/claims/${id}`, { method: "DELETE" });
    if (!answer.ok) throw new Error(`release: ${answer.status} ${await answer.text()}`);
  }

  async close(): Promise<void> {
    for (const child of this.agents.values()) child.kill("SIGKILL");
    await Promise.all([...this.agents.values()].map((child) => child.exited));
    await this.plane.destroy();
    await this.cluster.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const FAST = `
  heartbeat_interval: 500ms
  heartbeat_timeout: 4s
  sample_interval: 1s
  health_check_interval: 1s`;

const configOf = (kubeconfig: string, cadence: string, more: string): string => `
server:
  address: 127.0.0.1:0${cadence}
kubernetes:
  enabled: true
  kubeconfig: ${kubeconfig}
provisioners:
  - kubernetes: {namespace: "", sync_interval: 1s}
simulation: { enabled: true }
pools: []
${more}
`;
