/**
 * A whole control plane on a clock of the test: production loop, fold, decide, act and store; a
 * cloud in memory that survives its crashes; agents that say what the test lets them say. Nothing
 * is mocked that production code decides with.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { builtinPolicy } from "../health/policy/builtin.ts";
import { compilePolicy, type CompiledPolicy } from "../health/policy/compile.ts";
import { readConfig } from "../reconciler/config/read.ts";
import { Ingest } from "../reconciler/ingest.ts";
import { Reconciler } from "../reconciler/loop.ts";
import { openMemoryCloud, type FakeControl } from "../reconciler/provider/fake/memory.ts";
import type { Provider } from "../reconciler/provider/provider.ts";
import { openFakeScheduler, type FakeScheduler } from "../reconciler/scheduler/fake.ts";
import { openLibsqlStore } from "../reconciler/store/libsql.ts";
import type { Change, Store } from "../reconciler/store/store.ts";
import type { Gate } from "./gate.ts";
import type { Config } from "../schema/config.ts";
import type { EventDraft } from "../schema/event.ts";
import type { Finding } from "../schema/finding.ts";
import type { NodeId } from "../schema/id.ts";
import type { Node } from "../schema/node.ts";
import { Report } from "../schema/report.ts";
import { VirtualClock } from "./clock.ts";

/** mulberry32: small, seeded, good enough to choose faults. */
export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function configOf(yaml: string): Config {
  const read = readConfig([{ name: "test.yaml", text: yaml }]);
  if (read.config === null) throw new Error(JSON.stringify(read.problems, null, 1));
  return read.config;
}

export const BASE = `
server:
  address: "127.0.0.1:50051"
  heartbeat_interval: 10s
  heartbeat_timeout: 30s
  health_check_interval: 10s
providers: { fake: { gpu_count: 2 } }
`;

/** One pool named p with these extra lines. */
export function poolYaml(size: number, extra = ""): string {
  return `${BASE}
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: ${size}, max_nodes: ${size + 5} }
${extra}`;
}

/** What one simulated agent will say. */
type Agent = {
  seq: number;
  boot: number;
  /** Findings not yet acknowledged. */
  spool: { seq: number; finding: Finding }[];
  active: string[];
  processes: number | null;
  quiet: boolean;
  registered: boolean;
};

export class World {
  readonly clock: VirtualClock;
  readonly cloud: Provider & FakeControl;
  readonly scheduler: FakeScheduler = openFakeScheduler();
  readonly events: EventDraft[] = [];
  readonly agents = new Map<string, Agent>();
  config: Config;
  private policy: CompiledPolicy;
  private readonly folder: string;
  private readonly url: string;
  /** Kills the process at a chosen write or call; `null` = nothing dies. */
  gate: Gate | null = null;
  store: Store | null = null;
  private life: { reconciler: Reconciler; ingest: Ingest } | null = null;

  private constructor(config: Config, cls: "token" | "name" | "tag-only", seed: number) {
    this.clock = new VirtualClock();
    this.config = config;
    const random = seeded(seed);
    this.cloud = openMemoryCloud({
      clock: this.clock,
      random,
      fleetId: "fleet",
      class: cls,
      terms: { bootMs: 3_000, terminateMs: 2_000 },
    });
    const compiled = compilePolicy(builtinPolicy);
    if (!compiled.ok) throw new Error("built-in policy does not compile");
    this.policy = compiled.compiled;
    this.folder = mkdtempSync(join(tmpdir(), "navarch-world-"));
    this.url = `file:${join(this.folder, "navarch.db")}`;
    this.scheduler.left = (node) => {
      const agent = this.agents.get(node);
      if (agent === undefined || agent.processes === null) {
        return { kind: "unknown", forMs: this.clock.monoMs() };
      }
      if (agent.processes === 0) return { kind: "empty", seenAt: this.clock.wallMs() };
      return { kind: "busy", remaining: agent.processes, message: `${agent.processes} left` };
    };
  }

  static async open(
    yaml: string,
    options: { class?: "token" | "name" | "tag-only"; seed?: number; prepare?: Gate } = {},
  ): Promise<World> {
    const world = new World(configOf(yaml), options.class ?? "token", options.seed ?? 1);
    // With a gate the caller starts the first life, because starting may be what dies.
    world.gate = options.prepare ?? null;
    if (options.prepare === undefined) await world.start();
    return world;
  }

  /** A control plane process comes up on the durable state. */
  async start(): Promise<void> {
    const { gate } = this;
    const store = await openLibsqlStore({
      url: this.url,
      now: this.clock.wallMs(),
      ...(gate === null ? {} : { wrap: (client) => gate.client(client) }),
    });
    this.store = store;
    const cloud = gate === null ? this.cloud : gate.provider(this.cloud);
    const snapshot = await store.load();
    const reconciler = await Reconciler.open(
      {
        store,
        dryRun: this.dryRun,
        clock: this.clock,
        log: (level, msg, fields) => {
          if (level === "error" && !this.tolerant)
            throw new Error(`${msg} ${JSON.stringify(fields)}`);
        },
        providers: new Map([["fake", cloud]]),
        unavailable: new Map(),
        targets: { provider: () => cloud, scheduler: this.scheduler, credential: () => "" },
        committed: (change: Change) => {
          this.events.push(...change.events);
          this.onCommit(change);
        },
        judged: () => undefined,
      },
      this.config,
      this.policy,
      "fleet",
    );
    const ingest = new Ingest(
      store,
      this.clock,
      {
        presence: reconciler.presence,
        node: (id) => reconciler.fleet().nodes.get(id) ?? null,
        count: () => reconciler.fleet().nodes.size,
        nodeOfProviderId: () => [],
        takeLetters: (letters) => reconciler.takeLetters(letters),
        config: () => this.config,
      },
      snapshot.cursors,
    );
    this.life = { reconciler, ingest };
  }

  get reconciler(): Reconciler {
    if (this.life === null) throw new Error("no control plane runs");
    return this.life.reconciler;
  }

  get ingest(): Ingest {
    if (this.life === null) throw new Error("no control plane runs");
    return this.life.ingest;
  }

  onCommit: (change: Change) => void = () => undefined;
  /** For the next life: look and decide only. */
  dryRun = false;
  /** Errors are part of the story (crash tests). */
  tolerant = false;

  /** The process dies on the spot: nothing is flushed, calls that are out land or do not. */
  async crash(): Promise<void> {
    await this.store?.close().catch(() => undefined);
  }

  async close(): Promise<void> {
    await this.store?.close().catch(() => undefined);
    rmSync(this.folder, { recursive: true, force: true });
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
      agent = {
        seq: 0,
        boot: 1,
        spool: [],
        active: [],
        processes: 0,
        quiet: false,
        registered: false,
      };
      this.agents.set(id, agent);
    }
    return agent;
  }

  /** An XID in the node's kernel log, now. */
  xid(id: string, code: number, gpu = 0): void {
    const agent = this.agent(id);
    agent.seq++;
    const finding: Finding = {
      kind: "xid",
      code,
      reason: null,
      pci: `0000:0${gpu}:00.0`,
      gpu_index: gpu,
      gpu_uuid: `GPU-${gpu}`,
      mig: null,
      pid: null,
      process_name: null,
      at: new Date(this.clock.wallMs()).toISOString(),
      boot_id: `boot-${agent.boot}` as Finding["boot_id"],
      severity: "fatal",
      message: `Xid ${code}`,
      metrics: { xid_code: code },
      source: "sim",
      foreign: false,
      injected: false,
      kmsg_seq: agent.seq,
    };
    agent.spool.push({ seq: agent.seq, finding });
  }

  /** Every running instance's agent says what it has to say. */
  async report(): Promise<void> {
    const list = await this.cloud.list();
    if (list.kind !== "ok") return;
    for (const instance of list.instances) {
      if (instance.state !== "running") continue;
      const id = instance.tags["navarch-node"] ?? "";
      await this.say(id);
    }
  }

  async say(id: string): Promise<void> {
    const agent = this.agent(id);
    if (agent.quiet) return;
    const at = new Date(this.clock.wallMs()).toISOString();
    const gpus = [0, 1].map((index) => ({ index, uuid: `GPU-${index}` }));
    const report = v.parse(Report, {
      version: 1,
      node_id: id,
      boot_id: `boot-${agent.boot}`,
      stream: "s",
      agent_version: "t",
      simulated: true,
      sent_at: at,
      inventory: agent.registered
        ? null
        : {
            hostname: id,
            gpus: gpus.map((g) => ({
              ...g,
              name: "H100",
              pci_bus_id: `00000000:0${g.index}:00.0`,
            })),
          },
      sample: { at, gpus: gpus.map((g) => ({ ...g, processes: agent.processes })) },
      check: {
        at,
        conclusive: true,
        probes: [],
        expected_gpus: 2,
        present_gpus: 2,
        active: agent.active,
      },
      findings: agent.spool,
    });
    const pending = this.ingest.accept(report, id as NodeId);
    // The ingest waits a few milliseconds for company; time has to pass for it.
    await this.clock.pass(5);
    const answer = await pending;
    if (answer.kind !== "reply") return;
    agent.registered = !answer.reply.want_inventory;
    agent.spool = agent.spool.filter((one) => one.seq > answer.reply.ack_seq);
  }

  /** `seconds` of life: agents report each ten, the loop runs each one. */
  async live(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      if (i % 10 === 0) await this.report();
      await this.turn();
      await this.clock.pass(1_000);
    }
  }

  /** Activations until the plan has nothing to do now. */
  async turn(): Promise<void> {
    for (let i = 0; i < 50; i++) {
      await this.reconciler.activate();
      await this.clock.pass(0);
      if (this.reconciler.lastPlan().actions.length === 0) return;
    }
    throw new Error(`the plan never rests: ${JSON.stringify(this.reconciler.lastPlan().actions)}`);
  }

  /** Lives until `done`, at most `seconds`. */
  async until(done: () => boolean, seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i += 2) {
      if (done()) return;
      await this.live(2);
    }
    if (!done()) {
      const state = this.nodes().map(
        (n) => `${n.id} ${n.phase.kind} ${n.health.verdict}/${n.health.unhealthyRun}`,
      );
      const { waits } = this.reconciler.lastPlan();
      throw new Error(
        `not reached in ${seconds} s: ${state.join(", ")}; waits ${JSON.stringify(waits)}`,
      );
    }
  }

  serving(): string[] {
    return this.nodes()
      .filter((n) => n.phase.kind === "serving")
      .map((n) => n.id);
  }

  /** Kinds of events of one node, in order. */
  story(id: string): string[] {
    return this.events.filter((e) => e.node === id).map((e) => e.kind);
  }

  /** Instances that the cloud itself says are live. */
  async live_instances(): Promise<string[]> {
    const reality = this.cloud.reality();
    return reality.live.map((i) => i.tags["navarch-node"] ?? "?");
  }
}
