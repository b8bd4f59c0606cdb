/**
 * A whole control plane on a test clock: production loop, fold, decide, act and store; a cloud in
 * memory that survives its crashes; agents that report what the test sets. Nothing that production
 * code decides with is mocked.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import type { Targets } from "../../reconciler/runtime/act/execute.ts";
import { ALWAYS, type Permit } from "../../reconciler/runtime/act/run.ts";
import type { Ingest } from "../../reconciler/runtime/ingest.ts";
import type { Reconciler } from "../../reconciler/runtime/loop.ts";
import { type FakeControl, type Forkable } from "../../reconciler/provider/fake/memory.ts";
import { openMemoryCloud } from "../../reconciler/provider/fake/memory.ts";
import type { Log } from "../../reconciler/core/clock.ts";
import type { ReadMetric } from "../../reconciler/core/scaling/metric.ts";
import type { Provider } from "../../reconciler/core/provider.ts";
import type { Change, Store } from "../../reconciler/core/store.ts";
import type { ClaimTable } from "../../reconciler/core/store-table.ts";
import { Crash, type CrashInjector } from "./crash-injector.ts";
import type { Config } from "../../schema/config.ts";
import type { EventDraft } from "../../schema/event.ts";
import type { NodeId } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import { type Agent, copyAgent, leftOn, logXid, newAgent, reportOf } from "./agent.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { passAwake, rest } from "./drive.ts";
import { SlurmSide } from "./slurm/side.ts";
import { VirtualCluster } from "./virtual-cluster.ts";
import { openFakeScheduler, type FakeScheduler } from "./fake-scheduler.ts";
import { outlook } from "./outlook.ts";
import { Process } from "../../simulator/engine/process.ts";
import { seeded } from "../../simulator/engine/random.ts";
import { configOf, configOnce, policyOnce } from "./setting.ts";
import { type MemoryClient, MemoryDatabase } from "../../simulator/engine/sql.ts";
import type { Universe, WorldOptions } from "./universe.ts";

export { BASE, configOf, poolYaml } from "./setting.ts";
export type { Agent } from "./agent.ts";
export type { Universe, WorldOptions } from "./universe.ts";

/** The heartbeat of `BASE`. */
const REPORT_MS = 10_000;
/** Activations after which a plan that still acts or gets answers is wrong. */
const ACTIVATIONS_MAX = 100;

export class World {
  readonly clock: VirtualClock;
  readonly cloud: Provider & FakeControl & Forkable;
  readonly scheduler: FakeScheduler;
  readonly events: EventDraft[] = [];
  readonly agents: Map<string, Agent>;
  /** `null` while the store is a file. */
  readonly database: MemoryDatabase | null;
  config: Config;
  /** Holds from the next start on. */
  policy: CompiledPolicy;
  private readonly folder: string | null;
  private readonly url: string;
  private readonly guest: boolean;
  /** Kills the process at a chosen write or call; `null` = nothing dies. */
  injector: CrashInjector | null = null;
  fleetId = "fleet";
  /** The newest life's own way into the database; `null` while the store is a file. */
  writer: MemoryClient | null = null;
  private life: Process | null = null;
  readonly cluster: VirtualCluster | null;
  readonly slurm: SlurmSide | null;
  /** Monotonic instants of the next round of reports, and of the last one. */
  private reportAt = 0;
  private halted = false;
  /** Counts messages between agents and the control plane. */
  said = 0;
  private lives = 0;
  private readonly owned: WorldOptions["owned"];
  /** More clouds, by the name of their provider. */
  readonly others = new Map<string, Provider & FakeControl & Forkable>();
  /** More providers of the first cloud's machines: another name, account or region of it. */
  readonly aliases = new Map<string, Provider>();

  private constructor(config: Config, options: WorldOptions) {
    const { from, beside } = options;
    this.config = config;
    this.owned = options.owned;
    this.policy = policyOnce();
    this.clock = beside?.clock ?? new VirtualClock(from?.wallMs);
    this.scheduler = beside?.scheduler ?? openFakeScheduler(from?.scheduler);
    this.agents =
      beside?.agents ?? new Map(from?.agents.map(([id, agent]) => [id, copyAgent(agent)]));
    this.cloud =
      beside?.cloud ??
      openMemoryCloud({
        clock: this.clock,
        random: seeded(options.seed ?? 1),
        fleetId: "fleet",
        class: options.class ?? "token",
        terms: { bootMs: 3_000, terminateMs: 2_000, ...options.terms },
        ...(options.faults === undefined ? {} : { faults: options.faults }),
        ...(options.settleMs === undefined ? {} : { settleMs: options.settleMs }),
        ...(from === undefined ? {} : { from: from.cloud }),
      });
    for (const name of options.others ?? []) {
      const terms = { bootMs: 3_000, terminateMs: 2_000, name };
      const from = { clock: this.clock, random: seeded(1), fleetId: "fleet" };
      this.others.set(name, openMemoryCloud({ ...from, name, class: "token", terms }));
    }
    const { kubernetes: joins } = options;
    const made = joins === undefined ? null : new VirtualCluster(this.clock, this.cloud, joins);
    this.cluster = beside?.cluster ?? made;
    const { slurm } = options;
    const side = slurm === undefined ? null : new SlurmSide(this.clock, this.cloud, slurm);
    this.slurm = beside?.slurm ?? side;
    this.guest = beside !== undefined;
    this.database = beside?.database ?? null;
    if (beside !== undefined && this.database === null) {
      throw new Error("a second process needs a store in memory");
    }
    if (from !== undefined) this.database = MemoryDatabase.open(from.database);
    else if (options.store === "memory") this.database = MemoryDatabase.empty();
    this.folder = this.database === null ? mkdtempSync(join(tmpdir(), "navarch-world-")) : null;
    this.url = this.folder === null ? "memory:" : `file:${join(this.folder, "navarch.db")}`;
    if (!this.guest) this.scheduler.left = (node) => leftOn(this.agents.get(node), this.clock);
  }

  static async open(yaml: string, options: WorldOptions = {}): Promise<World> {
    const { prepare, from, beside } = options;
    // Stories edit their configuration; universes that are forked never do.
    const forked = from !== undefined || beside !== undefined;
    const config = forked ? configOnce(yaml) : configOf(yaml);
    const world = new World(config, options);
    // With an injector the caller starts the first life, because starting may be what dies.
    world.injector = prepare ?? null;
    if (prepare === undefined && from === undefined && beside === undefined) await world.start();
    return world;
  }

  /** Everything that would be left if the process died now. Only with a store in memory. */
  capture(): Universe {
    if (this.database === null || this.cluster !== null || this.slurm !== null)
      throw new Error("only a world in memory, without a cluster, can be captured");
    return {
      database: this.database.snapshot(),
      cloud: this.cloud.state(),
      scheduler: this.scheduler.state(),
      agents: [...this.agents].map(([id, agent]) => [id, copyAgent(agent)]),
      wallMs: this.clock.wallMs(),
    };
  }

  async start(): Promise<void> {
    const { injector, database, url, cluster } = this;
    const clients =
      database === null ? null : { writer: database.client(), reader: database.client() };
    this.writer = clients?.writer ?? null;
    const log: Log = (level, msg, fields) => {
      this.heard(level, msg, fields ?? {});
      const isOutside = cluster !== null || this.slurm !== null;
      const isBug = level === "error" && !this.tolerant && !isOutside;
      if (isBug) throw new Error(`${msg} ${JSON.stringify(fields)}`);
    };
    let opened: Store | null = null;
    this.life = await Process.start({
      clock: this.clock,
      database: { url, clients },
      log,
      scheduler: cluster === null ? this.scheduler : { api: cluster.api, seed: ++this.lives },
      slurm: this.slurm?.client ?? null,
      dryRun: this.dryRun,
      providers: this.providers(() => opened),
      bootstrap: (...call) => this.setUp(...call),
      keyProblem: (path) => this.keyProblem(path),
      readMetric: (source, pool) => this.readMetric(source, pool),
      permit: this.permit,
      committed: (change: Change) => {
        this.events.push(...change.events);
        this.onCommit(change);
      },
      config: this.config,
      policy: this.policy,
      fleetId: this.fleetId,
      between: {
        store: (store) => (opened = store),
        client: (client) => injector?.client(client) ?? client,
        provider: (cloud) => injector?.provider(cloud) ?? cloud,
        scheduler: (scheduler) => injector?.scheduler(scheduler) ?? scheduler,
        kube: (api) => injector?.kube(api) ?? api,
        slurm: (client) => injector?.slurm(client) ?? client,
      },
    });
    const { reconciler } = this.life;
    reconciler.cluster().cluster?.start(() => reconciler.wakeUp());
    reconciler.slurm()?.sink.start(() => reconciler.wakeUp());
    // Agents notice that their connection broke and come back at once.
    this.reportAt = this.clock.monoMs();
  }

  private providers(store: () => Store | null): Map<string, Provider> {
    const all = new Map<string, Provider>([["fake", this.cloud], ...this.others]);
    for (const [name, provider] of this.aliases) all.set(name, provider);
    const table = (): ClaimTable => {
      const claims = store()?.claimTable();
      if (claims === undefined) throw new Error("no store is open");
      return claims;
    };
    const owned = this.owned?.({
      read: () => table().read(),
      claim: (claim) => table().claim(claim),
      release: (instance, at) => table().release(instance, at),
    });
    if (owned !== undefined) all.set(owned.name, owned);
    return all;
  }

  get reconciler(): Reconciler {
    if (this.life === null) throw new Error("no control plane runs");
    return this.life.reconciler;
  }

  get store(): Store | null {
    return this.life?.store ?? null;
  }

  get ingest(): Ingest {
    if (this.life === null) throw new Error("no control plane runs");
    return this.life.ingest;
  }

  onCommit: (change: Change) => void = () => undefined;
  /** What the process logs. */
  heard: Log = () => undefined;
  /** What else is active in this world, after each of this process's own turns. */
  company: (() => Promise<void>) | null = null;
  /** For the next life: whether it still leads, asked before each call. */
  permit: Permit = ALWAYS;
  /** For the next life: look and decide only. */
  dryRun = false;
  /** Errors are part of the story (crash tests). */
  tolerant = false;
  /** What is wrong with the private key that set-ups log in with; `undefined` = not known yet. */
  keyProblem: (path: string) => string | null | undefined = () => null;
  /** What the sources of `external` autoscalers say. */
  readMetric: ReadMetric = () => Promise.resolve({ kind: "failed", message: "no source" });
  /** Sets machines up over SSH, where the cloud's machines bring no agent. */
  setUp: NonNullable<Targets["bootstrap"]> = () => Promise.reject(new Error("no set-up"));

  /** The process dies on the spot: nothing is flushed, calls that are out land or do not. */
  async crash(): Promise<void> {
    await this.life?.kill();
  }

  /** SIGSTOP: no timer of the process fires. What it waits for is the injector's business. */
  stop(): void {
    this.halted = true;
    this.life?.stop();
  }

  /** SIGCONT. From here on another world moves the clock: `advance` throws. */
  goOn(): void {
    this.life?.goOn();
  }

  async close(): Promise<void> {
    await this.life?.kill();
    if (this.guest) return;
    this.database?.close();
    if (this.folder !== null) rmSync(this.folder, { recursive: true, force: true });
  }

  nodes(): Node[] {
    return [...this.reconciler.fleet().nodes.values()].filter((node) => node.phase.kind !== "gone");
  }

  node(id: string): Node {
    const node = this.reconciler.fleet().nodes.get(id as NodeId);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  agent(id: string): Agent {
    let agent = this.agents.get(id);
    if (agent === undefined) {
      agent = newAgent(id);
      this.agents.set(id, agent);
    }
    return agent;
  }

  /** An XID in the node's kernel log, now. */
  xid(id: string, code: number, gpu = 0): void {
    this.said++;
    logXid(this.agent(id), code, gpu, this.clock.wallMs());
  }

  /** Every running instance's agent reports. */
  async report(): Promise<void> {
    for (const cloud of [this.cloud, ...this.others.values()]) {
      const list = await cloud.list();
      if (list.kind !== "ok") continue;
      for (const instance of list.instances) {
        if (instance.state === "running") await this.say(instance.tags["navarch-node"] ?? "");
      }
    }
  }

  async say(id: string): Promise<void> {
    if (!this.agent(id).quiet) await this.sayAs(id, id);
  }

  /** The agent of `id` gives another name for itself, and has the token for that. */
  async sayAs(id: string, name: string): Promise<void> {
    const agent = this.agent(id);
    const report = reportOf(name, agent, this.clock.wallMs());
    const pending = this.ingest.accept(report, name as NodeId);
    // The ingest waits a few milliseconds for company; time has to pass for it.
    await this.clock.pass(5);
    const answer = await pending;
    this.said++;
    if (answer.kind !== "reply") return;
    agent.registered = !answer.reply.want_inventory;
    agent.spool = agent.spool.filter((one) => one.seq > answer.reply.ack_seq);
  }

  /**
   * Lives until `done`, at most `ms`, and jumps over the time in which nothing can happen. Agents
   * report each ten seconds, and at once when they have news. True if `done`.
   */
  async advance(done: () => boolean, ms: number): Promise<boolean> {
    const end = this.clock.monoMs() + ms;
    for (;;) {
      if (this.clock.monoMs() >= this.reportAt) {
        await this.report();
        this.reportAt = this.clock.monoMs() + REPORT_MS;
      }
      await this.turn(true);
      await this.company?.();
      if (done()) return true;
      const left = end - this.clock.monoMs();
      if (left <= 0) return false;
      const { dullMs, reportMs } = outlook(this);
      const spoken = this.reportAt - this.clock.monoMs();
      this.reportAt = this.clock.monoMs() + Math.min(spoken, reportMs);
      this.checkHalted();
      const ms = Math.max(1, Math.min(left, dullMs, spoken, reportMs));
      await passAwake(this.clock, ms, this.reconciler);
    }
  }

  /** Ends the driving of a process that was stopped meanwhile. */
  private checkHalted(): void {
    if (this.halted) throw new Error("this process is stopped");
  }

  /** `seconds` of life: agents report each ten, the loop runs each one. */
  async live(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      if (i % 10 === 0) await this.report();
      await this.turn();
      await this.clock.pass(1_000);
    }
  }

  /** Activations until the plan has nothing to do now, and with `untilQuiet` no answer came. */
  async turn(untilQuiet = false): Promise<void> {
    const end = await rest(this.reconciler, {
      activationsMax: ACTIVATIONS_MAX,
      untilQuiet,
      settle: () => {
        this.checkHalted();
        return this.clock.pass(0);
      },
      isDead: () => this.injector?.dead === true,
    });
    if (end === "dead") throw new Crash("dead");
    if (end === "rested") return;
    throw new Error(`the plan never rests: ${JSON.stringify(this.reconciler.lastPlan().actions)}`);
  }

  /** Lives until `done`, at most `seconds`. */
  async until(done: () => boolean, seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i += 2) {
      if (done()) return;
      await this.live(2);
    }
    if (!done()) {
      const state = this.nodes().map((n) => `${n.id} ${n.phase.kind} ${n.health.verdict}`);
      const waits = JSON.stringify(this.reconciler.lastPlan().waits);
      throw new Error(`not reached in ${seconds} s: ${state.join(", ")}; waits ${waits}`);
    }
  }

  serving(): string[] {
    return this.nodes().flatMap((n) => (n.phase.kind === "serving" ? [n.id] : []));
  }

  /** Kinds of events of one node, in order. */
  story(id: string): string[] {
    return this.events.filter((e) => e.node === id).map((e) => e.kind);
  }
}
