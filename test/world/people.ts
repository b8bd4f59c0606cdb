/**
 * Hours of a fleet in a cluster under random acts of people and random faults, drawn from one
 * seed. The real effect of each act on the objects is recorded, so that the test can check which
 * intents were respected.
 */
import { NO_FAULT } from "../../simulator/cluster/fault.ts";
import type { KubeFault, StormStatus } from "../../simulator/cluster/fault.ts";
import type { CommandType } from "../../schema/command.ts";
import type { InstanceId } from "../../schema/id.ts";
import { seeded } from "../../simulator/engine/random.ts";
import type { World } from "./world.ts";
import { clusterOf, joined, kubeWrongs, marks, pass } from "./cluster.ts";
import { order, restart } from "./story.ts";

const MINUTE = 60_000;
/** What was said so lately may still be on its way to the control plane. */
const FRESH_MS = 2 * MINUTE;

export class Season {
  readonly world: World;
  readonly told: string[] = [];
  readonly wrong: string[] = [];
  /** UIDs of Nodes that a person has cordoned with kubectl, and nobody has uncordoned since. */
  private readonly cordoned = new Set<string>();
  /** Marks of a Node that a person has lifted, as they were counted then. */
  private readonly lifted = new Map<string, number>();
  /** When something new was last said against a machine. */
  private readonly evidenceAt = new Map<string, number>();
  private readonly random: () => number;

  private constructor(world: World, random: () => number) {
    this.world = world;
    this.random = random;
  }

  static async open(seed: number, size: number): Promise<Season> {
    const random = seeded(seed);
    const pool = "    health: { unhealthy_threshold: 1, max_unavailable: 60% }\n";
    const world = await joined(size, { pool }, { store: "memory", seed, cluster: { random } });
    world.tolerant = true;
    const cluster = clusterOf(world);
    cluster.run({ name: "web", replicas: 2 * size, minAvailable: 2 * size - 2 });
    cluster.run({ name: "db", replicas: 3, kind: "StatefulSet", stopMs: 10_000 });
    cluster.run({ name: "agent", replicas: 0, kind: "DaemonSet" });
    return new Season(world, random);
  }

  /** One thing happens, and some minutes pass. */
  async step(): Promise<void> {
    const steps = [
      ["kubectl cordon", () => this.cordon()],
      ["kubectl uncordon", () => this.uncordon()],
      ["kubectl uncordon", () => this.uncordon()],
      ["kubectl delete node", () => this.remove()],
      ["the kubelet registers again", () => this.recreate()],
      ["hold", () => this.annotate("true")],
      ["hold ends", () => this.annotate(null)],
      ["navarch", () => this.order()],
      ["navarch", () => this.order()],
      ["XID", () => this.xid()],
      ["XID", () => this.xid()],
      ["an agent falls silent", () => this.quiet(true)],
      ["an agent speaks again", () => this.quiet(false)],
      ["the API server", () => this.fault()],
      ["the watches", () => this.breakWatches()],
      ["the control plane dies", () => restart(this.world)],
    ] as const;
    const [name, work] = this.pick(steps);
    this.told.push(`${Math.round(this.world.clock.monoMs() / 1_000)} ${name}`);
    await work();
    this.look();
    // Mostly minutes; sometimes right on the heels of what was just begun.
    const shortMs = 50 + this.random() * 5_000;
    await this.live(this.random() < 0.3 ? shortMs : MINUTE * (1 + 9 * this.random()));
    this.look();
  }

  /** Whoever is still at it stops; what is left is brought to rest. */
  async rest(): Promise<void> {
    const { world } = this;
    const cluster = clusterOf(world);
    cluster.kube.setFault(NO_FAULT);
    for (const agent of world.agents.values()) agent.quiet = false;
    for (const { name } of cluster.nodes())
      cluster.kube.person.annotate("nodes", "", name, { "navarch.dev/hold": null });
    await pass(world, 10);
    for (const { id } of world.cloud.reality().live)
      if (cluster.node(cluster.nameOf(id)) === null) cluster.register(id);
    await pass(world, 3_600);
    this.look();
    this.judgeRest();
    const before = this.writes();
    await pass(world, 600);
    if (this.writes() > before)
      this.wrong.push(`${this.writes() - before} writes while nothing happens`);
    this.wrong.push(...kubeWrongs(world));
  }

  /** Changes of Nodes and pods: a mirror of what is shown there is sent again each hour. */
  private writes(): number {
    return clusterOf(this.world).calls.filter(
      ({ what, cordons }) => cordons || what === "create eviction" || what.startsWith("delete"),
    ).length;
  }

  private judgeRest(): void {
    const { world } = this;
    const cluster = clusterOf(world);
    const open = [...world.reconciler.fleet().operations.keys()];
    if (open.length > 0) this.wrong.push(`still asked: ${open.join(", ")}`);
    for (const { id, phase, cordon, health, instance } of world.nodes()) {
      if (instance === null) continue;
      const object = cluster.node(cluster.nameOf(instance.id));
      if (object === null) {
        this.wrong.push(`${id} is ${phase.kind} and has no Node`);
        continue;
      }
      const is = `${object.name} (${phase.kind}, ${health.verdict})`;
      const wanted = cordon.product !== null || cordon.human !== null;
      if (wanted && !object.own) this.wrong.push(`${is} is cordoned, and not marked`);
      if (!wanted && object.own) this.wrong.push(`${is} is marked, and not cordoned`);
      const free = !wanted && !this.cordoned.has(object.uid);
      if (free && object.unschedulable)
        this.wrong.push(`${is} is free, and unschedulable by ${object.others.join()}`);
      const healthy = health.verdict === "healthy" && phase.kind === "serving";
      if (healthy && cordon.product !== null) this.wrong.push(`${is} is well, and cordoned`);
    }
  }

  /** Whether a person's word holds, now. */
  private look(): void {
    const cluster = clusterOf(this.world);
    for (const { name, uid, unschedulable } of cluster.nodes()) {
      if (this.cordoned.has(uid) && !unschedulable) {
        this.wrong.push(`the cordon that a person gave ${name} was lifted`);
        this.cordoned.delete(uid);
      }
      const before = this.lifted.get(uid);
      if (before === undefined) continue;
      if (marks(this.world, name) > before) {
        this.wrong.push(`${name} was marked again after a person had lifted it`);
        this.lifted.delete(uid);
      }
    }
  }

  private live(ms: number): Promise<boolean> {
    return this.world.advance(() => false, ms);
  }

  private pick<T>(from: readonly T[]): T {
    const one = from[Math.floor(this.random() * from.length)];
    if (one === undefined) throw new Error("nothing to pick from");
    return one;
  }

  /** A machine that runs and has a Node; `null` = none has. */
  private aNode(): { node: string; machine: InstanceId; name: string; uid: string } | null {
    const cluster = clusterOf(this.world);
    const with_ = this.world.cloud.reality().live.flatMap(({ id, tags }) => {
      const object = cluster.node(cluster.nameOf(id));
      const node = tags["navarch-node"] ?? "";
      return object === null ? [] : [{ node, machine: id, name: object.name, uid: object.uid }];
    });
    return with_.length === 0 ? null : this.pick(with_);
  }

  private cordon(): void {
    const one = this.aNode();
    if (one === null) return;
    const { kube } = clusterOf(this.world);
    // Where it is cordoned already kubectl sends nothing: nobody can tell that it was wanted.
    const was = clusterOf(this.world).node(one.name)?.unschedulable === true;
    kube.person.cordon(one.name);
    if (!was) this.cordoned.add(one.uid);
    // A repair that was called off resumes then, with a mark of its own.
    this.lifted.delete(one.uid);
    this.told.push(`  ${one.name}${was ? ", which was" : ""}`);
  }

  private uncordon(): void {
    const cluster = clusterOf(this.world);
    const marked = cluster.nodes().filter(({ unschedulable }) => unschedulable);
    if (marked.length === 0) return;
    const { name, uid, own } = this.pick(marked);
    cluster.kube.person.uncordon(name);
    this.cordoned.delete(uid);
    this.told.push(`  ${name}${own ? ", with the product's mark" : ""}`);
    const node = this.nodeNamed(name);
    const at = this.evidenceAt.get(node) ?? Number.NEGATIVE_INFINITY;
    // Something that was said just now may be news to the control plane.
    const isSettled = this.world.clock.monoMs() - at > FRESH_MS;
    if (own && isSettled) this.lifted.set(uid, marks(this.world, name));
  }

  private nodeNamed(name: string): string {
    const cluster = clusterOf(this.world);
    const machine = cluster.instanceOf(name);
    return machine === null ? "" : (this.world.cloud.world().instances.get(machine)?.nodeId ?? "");
  }

  /** News about the machine: a new mark on its Node is no fight any more. */
  private news(node: string): void {
    this.evidenceAt.set(node, this.world.clock.monoMs());
    for (const { name, uid } of clusterOf(this.world).nodes())
      if (this.nodeNamed(name) === node) this.lifted.delete(uid);
  }

  private remove(): void {
    const one = this.aNode();
    if (one === null) return;
    clusterOf(this.world).kube.person.remove("nodes", "", one.name);
    this.told.push(`  ${one.name}`);
  }

  private recreate(): void {
    const cluster = clusterOf(this.world);
    const away = this.world.cloud
      .reality()
      .live.filter(
        ({ id }) => cluster.kubelets.has(id) && cluster.node(cluster.nameOf(id)) === null,
      );
    if (away.length > 0) return cluster.register(this.pick(away).id);
    const one = this.aNode();
    if (one === null) return;
    cluster.kube.person.recreate(one.name);
    this.told.push(`  ${one.name}`);
  }

  private annotate(value: string | null): void {
    const one = this.aNode();
    if (one === null) return;
    const { person } = clusterOf(this.world).kube;
    person.annotate("nodes", "", one.name, { "navarch.dev/hold": value });
    this.told.push(`  ${one.name}`);
  }

  private async order(): Promise<void> {
    const one = this.aNode();
    if (one === null) return;
    const types = ["cordon", "uncordon", "uncordon", "drain", "replace"] as const;
    const type: CommandType = this.pick(types);
    this.told.push(`  ${type} ${one.node}`);
    this.news(one.node);
    await order(this.world, one.node, type).catch(() => undefined);
  }

  private xid(): void {
    const one = this.aNode();
    if (one === null) return;
    this.news(one.node);
    this.world.xid(one.node, this.pick([79, 48, 95]), this.pick([0, 1]));
    this.told.push(`  ${one.node}`);
  }

  private quiet(quiet: boolean): void {
    const one = this.aNode();
    if (one === null) return;
    this.news(one.node);
    this.world.agent(one.node).quiet = quiet;
    this.told.push(`  ${one.node}`);
  }

  private async fault(): Promise<void> {
    const status: StormStatus = this.pick([429, 500, 503, 504]);
    const faults: Partial<KubeFault>[] = [
      { down: true },
      { hang: true },
      { latencyMs: 3_000 },
      { lostAnswers: 0.5 },
      { storms: [{ status, probability: 0.6 }] },
      { frozenWatch: true },
      { watchLagMs: 20_000 },
    ];
    const fault = this.pick(faults);
    this.told.push(`  ${JSON.stringify(fault)}`);
    const { kube } = clusterOf(this.world);
    kube.setFault(fault);
    await this.live(MINUTE * 5 * this.random());
    this.look();
    kube.setFault(NO_FAULT);
  }

  private breakWatches(): void {
    const { kube } = clusterOf(this.world);
    kube.compact();
    kube.endWatches(this.pick([{ kind: "expired" }, { kind: "ended" }] as const));
  }
}
