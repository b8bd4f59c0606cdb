/**
 * What each bench of the cluster's side runs on: a throw-away Kubernetes with etcd that waits for
 * the disk, KWOK in place of kubelets, the compiled control plane with a pool of the fake cloud,
 * the population that speaks for its machines, and an observer. The fake cloud's instances are real
 * entries of its journal; the program that it starts for each ends at once, because 1,500 agents
 * are one process here. Adapter: processes, network, clock.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { nodeToken } from "../../../reconciler/security/auth.ts";
import type { KubernetesView, PlanView } from "../../../schema/api.ts";
import { Plane, until } from "../../fixture/plane/plane.ts";
import { type Cluster, type ClusterOptions, openCluster } from "../../real/kubernetes/cluster.ts";
import { isAlive } from "../../real/kubernetes/part.ts";
import type { PopulationAnswer, PopulationOrder, PopulationSettings } from "./population.ts";
import type { NodesSeen, ObserverOrder, ObserverSettings, PodsSeen, Probes } from "./observer.ts";
import { LOGS_MARKS } from "./mark.ts";
import { Shares } from "./share.ts";
import { Talker } from "./talker.ts";

export type WorldOptions = {
  size: number;
  /** Budgets and breaker out of the way, or as they are without a word about them. */
  open: boolean;
  watch: ObserverSettings["watch"];
  /** Nothing follows a mark: no drain and no replacement. */
  marksOnly?: boolean;
  /** More lines of the pool, indented by four. */
  pool?: string;
  cluster?: ClusterOptions;
  /** Labels of the Node object of the i-th instance. */
  labels?: (i: number) => Record<string, string>;
  say: (line: string) => void;
};

/** As agents are told to by default. */
const REPORT_MS = 10_000;
/** A look at how long others wait must not be what they wait for. */
const PROBE_MS = 250;
export const GROUP = "bench/group";

/** Budgets and breaker out of the way; the ceiling of writes is opened beside it. */
export const OPEN = `safety:
  budgets:
    isolate: { pool: 100%, domain: 100%, fleet: 100% }
    drain: { pool: 100%, domain: 100%, fleet: 100% }
    replace: { pool: 100%, domain: 100%, fleet: 100% }
  breaker: { enabled: false }
`;

export function formatConfig(kubeconfig: string, options: WorldOptions): string {
  const { size, open, pool = "", marksOnly = false } = options;
  const health = [
    ...(open ? ["unhealthy_threshold: 1", "max_unavailable: 100%"] : []),
    ...(marksOnly ? ["auto_replace: false"] : []),
  ];
  return `server:
  address: 127.0.0.1:0
providers:
  fake: { agent_path: /bin/true, boot_delay: 100ms, terminate_delay: 1s }
kubernetes:
  enabled: true
  kubeconfig: ${kubeconfig}
${open ? "  writes_per_second_max: 400\n" : ""}${open ? OPEN : ""}pools:
  - name: gpus
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: ${size}, max_nodes: ${size} }
    health: { ${health.join(", ")} }
${pool}`;
}

export type Member = { node: string; instance: string; object: string };

export class World {
  readonly cluster: Cluster;
  readonly plane: Plane;
  readonly members = new Map<string, Member>();
  private readonly options: WorldOptions;
  private talkers: { population: Talker; observer: Talker } | null = null;
  private secret = "";
  private joining: Promise<void> | null = null;
  private stopped = false;
  /** Node objects whose machines have ended. */
  private readonly orphaned = new Set<string>();

  private constructor(cluster: Cluster, options: WorldOptions) {
    this.cluster = cluster;
    this.options = options;
    this.plane = new Plane(formatConfig(cluster.kubeconfig("product"), options), {}, LOGS_MARKS);
  }

  /** Ready when every node serves and is matched with its object. */
  static async open(options: WorldOptions): Promise<World> {
    const tell = { tell: options.say, isSynced: true, ...options.cluster };
    const world = new World(await openCluster(tell), options);
    try {
      await world.start();
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  private async start(): Promise<void> {
    const { size, say } = this.options;
    const startMs = performance.now();
    await this.plane.start();
    process.once("exit", this.abandon);
    const identity = readFileSync(join(this.plane.state, "identity.json"), "utf8");
    this.secret = (JSON.parse(identity) as { secret: string }).secret;
    const population: PopulationSettings = { url: this.plane.url, everyMs: REPORT_MS };
    this.talkers = {
      population: new Talker(
        join(import.meta.dir, "population-main.ts"),
        JSON.stringify(population),
      ),
      observer: this.openObserver("none", 0),
    };
    await until(`${size} machines joined`, 60_000 + size * 200, async () => {
      await this.joinOnce();
      return this.members.size >= size ? true : null;
    });
    await this.waitMatched(size);
    await this.talkers.observer.close();
    this.talkers.observer = this.openObserver(this.options.watch, PROBE_MS);
    const seconds = (performance.now() - startMs) / 1_000;
    say(`  ${size} nodes serve and are matched after ${seconds.toFixed(1)} s`);
  }

  /** If the bench is ended before its time; the other processes notice that by themselves. */
  private readonly abandon = (): void => {
    if (isAlive(this.plane.pid)) process.kill(this.plane.pid, "SIGKILL");
    rmSync(this.plane.state, { recursive: true, force: true });
  };

  private openObserver(watch: ObserverSettings["watch"], probeEveryMs: number): Talker {
    const identity = this.cluster.identity("admin");
    if ("token" in identity) throw new Error("the administrator has a certificate");
    const { certificate, key } = identity;
    const { url, authority } = this.cluster;
    const name = `probe-${performance.now().toFixed(0)}`;
    const where = { url, authority, certificate, key, name, groupLabel: GROUP };
    const settings: ObserverSettings = { ...where, watch, probeEveryMs };
    return new Talker(join(import.meta.dir, "observer-main.ts"), JSON.stringify(settings));
  }

  /** Restarted, so that its counts begin with the present state. */
  async reopenObserver(): Promise<void> {
    if (this.talkers === null) throw new Error("the world is closed");
    await this.talkers.observer.close();
    this.talkers.observer = this.openObserver(this.options.watch, PROBE_MS);
    await this.probes();
  }

  private async waitMatched(size: number): Promise<void> {
    await until(`${size} nodes serve and are matched`, 120_000, async () => {
      const nodes = await this.plane.nodes();
      const good = nodes.filter((one) => one.phase === "serving" && one.kubernetes_node !== null);
      await Bun.sleep(500);
      return good.length >= size ? true : null;
    });
  }

  /**
   * Each instance that runs gets a Node object, as by its kubelet, and an agent; the kubelet of one
   * that has ended speaks no more.
   */
  private async joinOnce(): Promise<void> {
    const fresh: Member[] = [];
    const { live } = this.plane.reality();
    const there = new Set<string>(live.map(({ id }) => id));
    for (const { instance, object } of this.members.values()) {
      if (there.has(instance) || this.orphaned.has(object)) continue;
      this.orphaned.add(object);
      await this.cluster.stopPulse(object);
    }
    for (const { id, state, tags } of live) {
      const node = tags["navarch-node"] ?? "";
      if (state !== "running" || this.members.has(node)) continue;
      fresh.push({ node, instance: id, object: `gpu-${id}` });
    }
    if (fresh.length === 0) return;
    const at = (i: number): Member => fresh[i] ?? { node: "", instance: "", object: "" };
    const before = this.members.size;
    await this.cluster.addNodes(fresh.length, {
      name: (i) => at(i).object,
      providerId: (i) => `navarch://fake/local/${at(i).instance}`,
      labels: (i) => this.options.labels?.(before + i) ?? {},
    });
    for (const one of fresh) this.members.set(one.node, one);
    const agents = fresh.map(({ node }) => ({ name: node, token: nodeToken(this.secret, node) }));
    await this.population({ do: "add", agents });
  }

  /** Goes on joining what the product buys, until the world is closed. */
  keepJoining(): void {
    const loop = async (): Promise<void> => {
      while (!this.stopped) {
        await this.joinOnce().catch((error: unknown) => this.options.say(`  join: ${error}`));
        await Bun.sleep(1_000);
      }
    };
    this.joining ??= loop();
  }

  private async population(order: PopulationOrder): Promise<PopulationAnswer> {
    if (this.talkers === null) throw new Error("the world is closed");
    return this.talkers.population.ask<PopulationAnswer>(order);
  }

  /** Wall ms at which each report was sent. */
  async fail(members: readonly Member[], withinMs: number, xid: number): Promise<PopulationAnswer> {
    const names = members.map(({ node }) => node);
    const answer = await this.population({ do: "fault", names, withinMs, xid });
    const [first] = answer.errors;
    if (first === undefined) return answer;
    this.options.say(`  population: ${answer.errors.length} errors: ${first}`);
    return answer;
  }

  private observe<T>(order: ObserverOrder): Promise<T> {
    if (this.talkers === null) throw new Error("the world is closed");
    return this.talkers.observer.ask<T>(order);
  }

  /** Of the time since this was last called. */
  probes(): Promise<Probes> {
    return this.observe<Probes>({ do: "probes" });
  }

  async unschedulable(): Promise<Map<string, number>> {
    return new Map(Object.entries((await this.observe<NodesSeen>({ do: "nodes" })).unschedulable));
  }

  pods(brief: boolean): Promise<PodsSeen> {
    return this.observe<PodsSeen>({ do: "pods", brief });
  }

  plan(): Promise<PlanView> {
    return this.plane.get<PlanView>("/plan");
  }

  /** Evictions and status writes a second that the product grants itself at the moment. */
  async allowed(): Promise<number> {
    return (await this.plane.get<KubernetesView>("/kubernetes")).writes_per_second;
  }

  /** CPU of everybody who shares this machine's cores, from now on. */
  shares(): Shares {
    const { talkers } = this;
    if (talkers === null) throw new Error("the world is closed");
    const named = this.cluster.pids().map((pid): [string, number] => [nameOf(pid), pid]);
    return new Shares([
      ...named,
      ["navarch", this.plane.pid],
      ["population", talkers.population.pid],
      ["observer", talkers.observer.pid],
      ["bench", process.pid],
    ]);
  }

  /** Says what it could not take away. */
  async close(): Promise<string[]> {
    this.stopped = true;
    await this.joining;
    await this.talkers?.population.close();
    await this.talkers?.observer.close();
    this.talkers = null;
    // Its machines are entries of a journal and nothing else, so there is nothing to end.
    process.off("exit", this.abandon);
    await this.plane.stop();
    rmSync(this.plane.state, { recursive: true, force: true });
    const ps = Bun.spawnSync(["ps", "-eo", "pid,args"]).stdout.toString();
    const left = ps.split("\n").filter((line) => line.includes(this.plane.state));
    return [...left, ...(await this.cluster.close())];
  }
}

/** What the process is called, cut to 15 characters by the kernel (proc(5)). */
export function nameOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
}
