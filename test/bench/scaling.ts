/**
 * One scaling decision of a large fleet: what the loop does at an autoscale interval, from the look
 * at every node's work and load to the changes that would be written. 500 pools of 20 nodes, the
 * types in turn; samples, queues and readings are new before each decision.
 */
import type { NodeId, PoolName } from "../../schema/id.ts";
import type { Config } from "../../schema/config.ts";
import type { Sample } from "../../schema/report.ts";
import { CloudSight } from "../../reconciler/runtime/cloud-sight.ts";
import { openNoScheduler } from "../../reconciler/runtime/no-scheduler.ts";
import { Presence } from "../../reconciler/runtime/presence.ts";
import { Scaler } from "../../reconciler/runtime/scaler.ts";
import { Observer } from "../../reconciler/runtime/sight.ts";
import { newNode } from "../../reconciler/core/fold/new-node.ts";
import { newPoolState } from "../../reconciler/core/fold/new-pool.ts";
import { metricKey } from "../../reconciler/core/scaling/external.ts";
import { emptyChange } from "../../reconciler/core/store.ts";
import { mirrorChange, newMirror, UnitOfWork } from "../../reconciler/core/unit-of-work.ts";
import { seeded } from "../../simulator/engine/random.ts";
import { configOf } from "../world/world.ts";
import { type Bench, type BenchOptions, held, shown, spreadOf } from "./bench.ts";

const NODES_PER_POOL = 20;
const GPUS = 8;
const WALL = 1_800_000_000_000;

const TYPES = [
  "{ type: reactive }",
  "{ type: queue, jobs_per_node: 8 }",
  "{ type: predictive, horizon: 15m, fallback: { type: reactive } }",
  "{ type: idle, min_idle: 2, max_idle: 6 }",
  "{ type: external, source: command, command: /opt/demand, target_per_node: 8 }",
  `{ type: scheduled, timezone: Europe/Oslo, fallback: { type: reactive }, schedule: [
     { cron: "0 8 * * mon-fri", duration: 10h, min_nodes: 5, max_nodes: 30 },
     { days: [sat, sun], start_hour: 22, end_hour: 6, min_nodes: 5, max_nodes: 30 } ] }`,
  "{ type: composite, autoscalers: [{ type: reactive }, { type: queue, jobs_per_node: 8 }] }",
];

function configWith(pools: number): Config {
  const text = Array.from({ length: pools }, (_, index) => {
    const autoscaler = TYPES[index % TYPES.length] ?? "";
    const scaling = `{ min_nodes: 1, max_nodes: 60, autoscaler: ${autoscaler} }`;
    return `  - { name: p${index}, provider: fake, instance_type: h100-8x, scaling: ${scaling} }\n`;
  });
  return configOf(`providers: { fake: {} }\npools:\n${text.join("")}`);
}

/** The fleet in memory, as the loop has it, and what it observes. */
class Fleet {
  private readonly mirror = newMirror();
  private readonly presence = new Presence(0, WALL);
  private readonly scaler = new Scaler();
  private readonly random = seeded(7);
  private readonly observer: Observer;
  private readonly config: Config;
  private mono = 0;
  /** Of each node in turn: what is heard of it is copied. */
  private readonly sample: Sample = {
    at: "",
    gpus: Array.from({ length: GPUS }, (_, index) => ({ index, uuid: `GPU-${index}` })),
  };

  constructor(pools: number) {
    const config = configWith(pools);
    this.config = config;
    const nodes = config.pools.flatMap(({ name }) =>
      Array.from({ length: NODES_PER_POOL }, (_, slot) => {
        const id = `${name}-${slot}` as NodeId;
        const node = newNode({ id, pool: name, slot, gen: slot, at: WALL, replaces: null });
        return { ...node, phase: { kind: "serving" as const, since: WALL } };
      }),
    );
    const states = config.pools.map(({ name }) => newPoolState(name, NODES_PER_POOL, WALL));
    mirrorChange(this.mirror, { ...emptyChange(), nodes, pools: states });
    const after = () => () => undefined;
    const clock = { wallMs: () => this.now, monoMs: () => this.mono, after };
    const scheduler = openNoScheduler();
    const clouds = { providers: new Map(), unavailable: new Map(), config };
    this.observer = new Observer({
      config: () => config,
      presence: this.presence,
      cloud: new CloudSight(clouds, clock, () => undefined),
      informer: { cluster: { ambiguous: () => new Map() }, slurm: { sight: () => null } },
      targets: { scheduler, slurm: null, tasks: null, keyProblem: null, readMetric: null },
      clock,
      log: () => undefined,
    });
  }

  private get now(): number {
    return WALL + this.mono;
  }

  /** Thirty seconds later every agent, queue and source has said something new. */
  step(): void {
    this.mono += 30_000;
    const { sample, random } = this;
    sample.at = new Date(this.now).toISOString();
    for (const id of this.mirror.nodes.keys()) {
      for (const gpu of sample.gpus) {
        gpu.utilization_percent = Math.round(random() * 100);
        gpu.processes = random() < 0.5 ? 0 : 1;
      }
      this.presence.note(id, this.mono, this.now, sample);
    }
    const demand = { pendingJobs: 10, queueDepth: 150, observedAt: this.now, by: "bench" };
    const pools = [...this.mirror.pools.values()].map((state) => ({ ...state, demand }));
    mirrorChange(this.mirror, { ...emptyChange(), pools });
    // What this leaves behind is not the decision's.
    Bun.gc(true);
  }

  /** Synchronous: elapsed and CPU milliseconds, and how many pools change. */
  decide(): { ms: number; cpuMs: number; changes: number } {
    const { nodes, pools, operations, facts } = this.mirror;
    const fleet = { fleetId: "f", nodes, pools, operations, facts };
    const { config, presence, mono, now } = this;
    const used = process.cpuUsage();
    const began = performance.now();
    const seen = this.observer.look(fleet, { now, mono, isSizing: true });
    const metrics = this.readings(config.pools.map((pool) => pool.name));
    const sight = { ...seen, blind: [], metrics };
    const work = new UnitOfWork(this.mirror);
    this.scaler.evaluate({ fleet, config, sight, presence, mono, waits: [], slurm: null }, work);
    const change = work.finish();
    const ms = performance.now() - began;
    const { user, system } = process.cpuUsage(used);
    const changes = change?.events.filter(({ kind }) => kind === "pool.size").length ?? 0;
    return { ms, cpuMs: (user + system) / 1_000, changes };
  }

  private readings(names: readonly PoolName[]): Map<string, never> {
    const sight = { reading: { value: 150, at: this.now }, problem: null };
    return new Map(names.map((name) => [metricKey(name, 0), sight as never]));
  }
}

async function run({ tiny, say }: BenchOptions) {
  const pools = tiny ? 14 : 500;
  const rounds = tiny ? 5 : 150;
  say(`${pools} pools of ${NODES_PER_POOL} nodes, ${rounds} decisions`);
  const fleet = new Fleet(pools);
  const samples: number[] = [];
  const cpu: number[] = [];
  let changes = 0;
  for (let round = 0; round < rounds; round++) {
    fleet.step();
    const one = fleet.decide();
    // The first rounds are the compiler's.
    if (round >= rounds / 5) {
      samples.push(one.ms);
      cpu.push(one.cpuMs);
    }
    changes += one.changes;
    await Promise.resolve();
  }
  const spread = spreadOf(samples);
  return [
    held("one decision, p50", spread.p50, "ms", 50),
    held("its CPU, p90", spreadOf(cpu).p90, "ms", 50),
    shown("one decision, p90", spread.p90, "ms"),
    shown("one decision, p99", spread.p99, "ms"),
    shown("nodes", pools * NODES_PER_POOL, "count"),
    shown("changes of size that were decided", changes, "count"),
    shown("decisions", samples.length, "count"),
  ];
}

export const scaling: Bench = {
  name: "scaling",
  summary: "one decision of all autoscalers: 500 pools, 10,000 nodes",
  run,
};
