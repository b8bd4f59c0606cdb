/**
 * Evaluates every pool's autoscaler at the configured interval, on the monotonic clock, and writes
 * a changed size with its event into the activation's unit of work. It changes only the wanted size
 * of pools with an autoscaler; repairs and a person's size wait for no cooldown.
 */
import type { Autoscaler, Config, PoolConfig } from "../../schema/config.ts";
import type { PoolName } from "../../schema/id.ts";
import type { Node, PoolState } from "../../schema/node.ts";
import type { Wait } from "../core/plan.ts";
import type { SlurmSink } from "../core/slurm/sink.ts";
import type { PodScaler } from "./act/pod-scaler.ts";
import { followPower } from "./power-saver.ts";
import type { UnitOfWork } from "../core/unit-of-work.ts";
import { countsIn, type Fleet, type Sight } from "../core/fleet.ts";
import type { Presence } from "./presence.ts";
import { demandProblem, knownQueue, type Heard } from "../core/scaling/demand.ts";
import { Load } from "./load.ts";
import { metricKey, readingOf } from "../core/scaling/external.ts";
import { FULL_PERCENT } from "../core/scaling/forecast.ts";
import { flatten, recommend, surplusOf } from "../core/scaling/recommend.ts";
import { countNodes, workerOf, type Snapshot } from "../core/scaling/snapshot.ts";
import { poolEvent } from "../core/event-draft.ts";

export type ScalerInput = {
  fleet: Fleet;
  config: Config;
  sight: Sight;
  presence: Presence;
  /** Of the last plan. */
  waits: readonly Wait[];
  slurm: SlurmSink | null;
  pods?: PodScaler | null | undefined;
  /** Monotonic milliseconds of this process. */
  mono: number;
};

/** The newest evaluation of a pool, for people. */
export type ScalerStatus = {
  at: number;
  verdict: "hold" | "steady" | "cooldown" | "scaled";
  because: string;
  /** The autoscaler wanted more than the pool's `max_nodes`. */
  cut: boolean;
  /** True if a signal that the autoscaler needs is missing. */
  lost: boolean;
  /** Sources of `external` parts without a reading, with the reason. */
  problems: string[];
};

/** `DECISION_CHARS` of a reason are stored. */
const DECISION_CHARS = 500;

/** State of a pool between evaluations; a restart may lose it. */
type Memory = {
  /** Load of the pool in percent of one node, one value an evaluation; see `Snapshot`. */
  history: (number | null)[];
  /** Monotonic instant of the newest autoscaler action; `null` = none known. */
  actedMono: number | null;
  status: ScalerStatus | null;
  /** The queue was known at the last evaluation. */
  heard: boolean;
  /** What was last reported of the sources of `external` parts; `null` = nothing yet. */
  told: string | null;
  surplus: Snapshot["surplus"];
};

/** One pool at one evaluation. */
type Turn = {
  pool: PoolConfig;
  autoscaler: Autoscaler;
  state: PoolState;
  nodes: Node[];
  memory: Memory;
  input: ScalerInput;
};

export class Scaler {
  private readonly load = new Load();
  private readonly memory = new Map<PoolName, Memory>();
  private evaluatedMono: number | null = null;

  /** The newest evaluation of a pool since this process started. */
  status(pool: PoolName): ScalerStatus | null {
    return this.memory.get(pool)?.status ?? null;
  }

  /** Whether the interval has passed. */
  isDue({ server }: Config, mono: number): boolean {
    const { evaluatedMono } = this;
    return evaluatedMono === null || mono - evaluatedMono >= server.autoscaleIntervalMs;
  }

  /** Called by every activation, between fold and plan. */
  evaluate(input: ScalerInput, work: UnitOfWork): void {
    const { config, fleet, mono, sight } = input;
    followPower(input, work);
    input.pods?.follow(input, work);
    const pools = config.pools.filter((pool) => pool.scaling.autoscaler !== null);
    for (const name of this.memory.keys()) {
      if (!pools.some((pool) => pool.name === name)) this.memory.delete(name);
    }
    if (pools.length === 0) return;
    this.load.begin(mono);
    if (!this.isDue(config, mono)) return;
    this.evaluatedMono = mono;
    const byPool = Map.groupBy(fleet.nodes.values(), (node) => node.pool);
    for (const pool of pools) {
      const state = work.pool(pool.name);
      const { autoscaler } = pool.scaling;
      if (state === null || autoscaler === null) continue;
      const memory = this.remember(pool.name, state, mono, sight.now);
      const nodes = (byPool.get(pool.name) ?? []).filter((node) => countsIn(node, pool));
      const turn: Turn = { pool, autoscaler, state, nodes, memory, input };
      tellDemand(turn, work);
      const snapshot = this.openSnapshot(turn);
      const problems = tellMetrics(turn, snapshot, work);
      memory.status = { ...judge(turn, snapshot, work), problems };
      memory.surplus = surplusIn(turn, snapshot, memory.status.verdict === "scaled");
      keep(turn, memory.status, work);
    }
  }

  /** A restart reads the cooldown from the store; a clock set back cannot extend it. */
  private remember(name: PoolName, state: PoolState, mono: number, now: number): Memory {
    const known = this.memory.get(name);
    if (known !== undefined) return known;
    const { lastScaleAt } = state;
    const actedMono = lastScaleAt === null ? null : mono - Math.max(0, now - lastScaleAt);
    const told = { heard: false, told: null, surplus: new Map() };
    const fresh: Memory = { history: [], actedMono, status: null, ...told };
    this.memory.set(name, fresh);
    return fresh;
  }

  private openSnapshot({ pool, autoscaler, state, nodes, memory, input }: Turn): Snapshot {
    const { sight, mono, config, presence } = input;
    const counts = countNodes(nodes, sight);
    const utilization = this.load.mean(counts.registered, presence, mono);
    // A gap in the series would change its slope, so the trend starts again.
    if (utilization === null) memory.history = [];
    else {
      const isFull = utilization >= FULL_PERCENT;
      memory.history.push(isFull ? null : utilization * counts.registered.length);
    }
    memory.history.splice(0, memory.history.length - lookbackOf(autoscaler));
    const interval = config.server.autoscaleIntervalMs;
    const heard = heardOf(pool.name, state, sight);
    const queue = knownQueue(heard, sight.now, interval);
    const isSilent = heard.pushed === null && heard.seen === null;
    return {
      desired: state.desired,
      registered: counts.registered.length,
      spare: counts.spare,
      taken: counts.taken,
      min: pool.scaling.minNodes,
      max: pool.scaling.maxNodes,
      utilization,
      queueDepth: queue?.queueDepth ?? null,
      gpuDepth: queue?.gpuDepth ?? null,
      tasks: sight.tasks.get(pool.name) ?? null,
      waiting: queue?.pendingJobs ?? (isSilent ? 0 : null),
      history: memory.history.map((load) => load && load / counts.registered.length),
      intervalMs: interval,
      workers: nodes.flatMap((node) => workerOf(node, sight) ?? []),
      surplus: memory.surplus,
      metrics: metricsOf(pool, autoscaler, sight),
      now: sight.now,
      mono,
    };
  }
}

/** Evaluates one pool and writes its new size to the unit of work, if permitted now. */
function judge(turn: Turn, from: Snapshot, work: UnitOfWork): Omit<ScalerStatus, "problems"> {
  const { pool, autoscaler, state, memory, input } = turn;
  const { sight, mono } = input;
  const at = sight.now;
  const still = stillness(state, sight);
  if (still !== null) return { at, verdict: "hold", because: still, cut: false, lost: false };
  const answer = recommend(autoscaler, from);
  const { because } = answer;
  if (answer.kind === "hold") {
    return { at, verdict: "hold", because, cut: false, lost: answer.cause === "unknown" };
  }
  // A window of a schedule may have a ceiling of its own.
  const cut = answer.cut && answer.nodes === pool.scaling.maxNodes;
  const known = { at, cut, lost: false };
  if (answer.nodes === state.desired) return { ...known, verdict: "steady", because };
  const change = `${state.desired} → ${answer.nodes}`;
  const { cooldownMs } = pool.scaling;
  const restMs = memory.actedMono === null ? 0 : memory.actedMono + cooldownMs - mono;
  if (answer.cause === "signal" && restMs > 0) {
    const words = `${change} waits ${Math.ceil(restMs / 1_000)} s: ${because}`;
    return { ...known, verdict: "cooldown", because: words };
  }
  memory.actedMono = mono;
  const size = { desired: answer.nodes, desiredBy: "autoscaler", desiredAt: at, lastScaleAt: at };
  work.putPool({ ...state, ...size });
  const message = `wanted size ${change}: ${because} (${autoscaler.type} autoscaler)`;
  work.tell([poolEvent(pool.name, at, "pool.size", message)]);
  return { ...known, verdict: "scaled", because: `${change}: ${because}` };
}

/** Why sizes do not change now, or `null`. */
function stillness({ hold }: PoolState, { frozen, blind, now }: Sight): string | null {
  if (frozen !== null) return `the fleet is frozen: ${frozen}`;
  if (blind.length > 0) return blind.join("; ");
  if (hold !== null && hold.until > now) return `the pool is held by ${hold.by}: ${hold.why}`;
  return null;
}

/** The pool's queue as pushed by an API client, and as its scheduler shows it. */
function heardOf(pool: PoolName, { demand }: PoolState, sight: Sight): Heard {
  const tasks = sight.tasks.get(pool) ?? null;
  return { pushed: demand, seen: sight.queues.get(pool) ?? null, tasks };
}

/** Reports once when the queue is lost and once when it is known again. */
function tellDemand({ pool, autoscaler, state, memory, input }: Turn, work: UnitOfWork): void {
  const { sight, config } = input;
  const { now } = sight;
  const interval = config.server.autoscaleIntervalMs;
  const heard = heardOf(pool.name, state, sight);
  const problem = demandProblem(autoscaler, heard, now, interval);
  const queue = knownQueue(heard, now, interval);
  const isHeard = queue !== null && problem === null;
  if (isHeard === memory.heard) return;
  memory.heard = isHeard;
  const depth = queue?.queueDepth ?? 0;
  const known = `demand: the queue is known, its depth is ${depth} (by ${queue?.source ?? ""})`;
  work.tell([poolEvent(pool.name, now, "pool.condition", problem ?? known)]);
}

/** What the sources of the autoscaler's `external` parts said. */
function metricsOf(pool: PoolConfig, autoscaler: Autoscaler, sight: Sight): Snapshot["metrics"] {
  const parts = flatten(autoscaler).map((part, index) => {
    return [part, sight.metrics.get(metricKey(pool.name, index))] as const;
  });
  return new Map(parts.flatMap(([part, seen]) => (seen === undefined ? [] : [[part, seen]])));
}

/** Reports once when sources are lost and once when all are known again; returns the problems. */
function tellMetrics(turn: Turn, from: Snapshot, work: UnitOfWork): string[] {
  const { pool, autoscaler, memory } = turn;
  let isRead = false;
  const problems = flatten(autoscaler).flatMap((part) => {
    if (part.type !== "external") return [];
    const seen = from.metrics.get(part) ?? null;
    isRead ||= seen !== null && (seen.reading !== null || seen.problem !== null);
    const reading = readingOf(part, seen, from.now);
    return "why" in reading ? [`metrics: unknown, not zero: ${reading.why}`] : [];
  });
  // Its words change with the age of a reading, so only the change of kind is told.
  const kind = problems.length === 0 ? "metrics: known" : "metrics: lost";
  if (!isRead || kind === memory.told) return problems;
  memory.told = kind;
  const message = problems[0] ?? "metrics: every source of the autoscaler is read";
  work.tell([poolEvent(pool.name, from.now, "pool.condition", message)]);
  return problems;
}

/** The timers of the parts that wait before they give nodes up. */
function surplusIn(turn: Turn, from: Snapshot, isScaled: boolean): Snapshot["surplus"] {
  const parts = flatten(turn.autoscaler).map((part) => {
    return [part, surplusOf(part, from, isScaled)] as const;
  });
  return new Map(parts.flatMap(([part, one]) => (one === null ? [] : [[part, one]])));
}

/** Stores a decision that differs in kind: the figures in its words change all the time. */
function keep({ pool }: Turn, status: ScalerStatus, work: UnitOfWork): void {
  const state = work.pool(pool.name);
  if (state === null) return;
  const { verdict, at, cut } = status;
  const before = state.decision;
  const isNew = before?.verdict !== verdict || before.cut !== cut || verdict === "scaled";
  if (!isNew) return;
  const because = status.because.slice(0, DECISION_CHARS);
  work.putPool({ ...state, decision: { verdict, because, cut, at } });
}

/** Samples that the autoscaler's longest lookback window needs. */
function lookbackOf(autoscaler: Autoscaler): number {
  const looks = (one: Autoscaler): number => (one.type === "predictive" ? one.lookbackWindow : 0);
  return Math.max(...flatten(autoscaler).map(looks));
}
