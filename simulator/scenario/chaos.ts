/**
 * The chaos of a scenario as a state machine over virtual time: it decides what fails when and what
 * ends when, and the runner only carries that out. The same chaos, seed and order of calls give the
 * same faults.
 *
 * - Failures arrive as a Poisson process whose rate follows the number of live machines.
 * - A cascade spreads from a failure that arrived, to machines that share the scope with the one
 *   that spreads it. Nobody joins one cascade twice; besides its first machine it holds at most
 *   `max_affected_percent` of that machine's surroundings, rounded down; it is at most `max_depth`
 *   steps deep. A spread failure is drawn like any other.
 * - A correlated response follows any failure but an outage's, and triggers no further response and
 *   no cascade: with probability 1 it would never end.
 * - Each failure has a timer of its own; the end of an outage ends only its own.
 */
import { unreachable } from "../../schema/unreachable.ts";
import type { Random, Stream } from "../engine/random.ts";
import { type Arrivals, openArrivals } from "./arrival.ts";
import { type Cascade, type Cascades, openCascades } from "./cascade.ts";
import { drawFailure, drawOf, messageOf, outageFailure } from "./draw.ts";
import type { Cause, Failure, Fault } from "./fault.ts";
import { type Member, openPopulation, type Population } from "./population.ts";
import { Queue } from "../engine/queue.ts";
import type { Recoverable } from "./recoverable.ts";
import type { Chaos, Correlated, FailureSpec, Outage, SimNode } from "./scenario.ts";

export type ChaosSetup = {
  chaos: Chaos;
  streams: Readonly<Record<Stream, Random>>;
  recoverable: Recoverable;
  /** The instant from which `start_time` of outages counts: the start of the scenario. */
  originMs: number;
};

export type ChaosEngine = {
  /** A machine is up and may be hit; one of the same id before it is forgotten. */
  join(nowMs: number, node: SimNode): void;
  /** A machine is gone: it is hit no more, and nothing of it ends. */
  leave(nowMs: number, id: string): void;
  /** Failures begin to arrive. Outages keep their own times, also before this. */
  start(nowMs: number): void;
  /** Nothing arrives and nothing spreads any more; what is due to end still ends. */
  stop(): void;
  /** A failure injected elsewhere: it may cascade and be responded to. */
  provoke(nowMs: number, id: string, failure: FailureSpec): void;
  /** Everything due up to now, in order of time. Recoveries of ended failures do not occur. */
  next(nowMs: number): Fault[];
  /** When `next` is due if no member joins or leaves before; `null` = never. */
  nextAtMs(): number | null;
};

type Due =
  | { kind: "spread"; member: Member; cascade: Cascade; depth: number }
  | { kind: "respond"; member: Member; rule: Correlated }
  | { kind: "recover"; member: Member; failure: Failure; cause: Cause }
  | { kind: "outage_start"; outage: Outage }
  | { kind: "outage_end"; outage: Outage; hit: { member: Member; failure: Failure }[] };

/** The shortest time to recover. */
const RECOVERY_MIN_MS = 10_000;

type Injection = Extract<Fault, { kind: "inject" }>;
type Origin = { cause: Cause; depth?: number; name?: string };

/** Opens the chaos; without `enabled` nothing ever happens. */
export function openChaos(setup: ChaosSetup): ChaosEngine {
  return new Engine(setup);
}

class Engine implements ChaosEngine {
  private readonly chaos: Chaos;
  private readonly streams: ChaosSetup["streams"];
  private readonly recoverable: Recoverable;
  private readonly population: Population = openPopulation();
  private readonly queue = new Queue<Due>();
  private readonly cascades: Cascades;
  private readonly arrivals: Arrivals;
  private stopped: boolean;
  private serial = 0;

  constructor({ chaos, streams, recoverable, originMs }: ChaosSetup) {
    this.chaos = chaos;
    this.streams = streams;
    this.recoverable = recoverable;
    this.stopped = !chaos.enabled;
    this.cascades = openCascades(chaos.cascading, this.population, streams.cascade);
    const live = () => this.population.size();
    this.arrivals = openArrivals(chaos.failureRate, streams.chaos, live);
    for (const outage of chaos.enabled ? chaos.outages : []) {
      this.queue.put(originMs + outage.startMs, { kind: "outage_start", outage });
    }
  }

  join(nowMs: number, node: SimNode): void {
    this.arrivals.pass(nowMs);
    this.population.join(node);
  }

  leave(nowMs: number, id: string): void {
    this.arrivals.pass(nowMs);
    this.population.leave(id);
  }

  start(nowMs: number): void {
    if (!this.stopped) this.arrivals.start(nowMs);
  }

  stop(): void {
    this.stopped = true;
    this.arrivals.stop();
  }

  provoke(nowMs: number, id: string, failure: FailureSpec): void {
    const member = this.stopped ? null : this.population.find(id);
    if (member === null) return;
    this.spread(nowMs, member, this.cascades.open(member), 0);
    this.respond(nowMs, member, failure);
  }

  nextAtMs(): number | null {
    const [queued, arrival] = [this.queue.nextAtMs(), this.arrivals.nextAtMs()];
    if (queued === null || arrival === null) return queued ?? arrival;
    return Math.min(queued, arrival);
  }

  next(nowMs: number): Fault[] {
    const faults: Fault[] = [];
    for (let atMs = this.nextAtMs(); atMs !== null && atMs <= nowMs; atMs = this.nextAtMs()) {
      const queued = this.queue.nextAtMs();
      if (queued === null || queued > atMs) {
        this.arrivals.take();
        faults.push(...this.arrive(atMs));
        continue;
      }
      const due = this.queue.take();
      if (due !== null) faults.push(...this.carry(due.atMs, due.item));
    }
    return faults;
  }

  private arrive(atMs: number): Fault[] {
    const { chaos, streams } = this;
    const member = this.population.pick(streams.chaos);
    if (member === null) return [];
    const drawn = drawFailure(chaos, member.node, streams.chaos);
    const fault = this.inject(atMs, member, drawn, { cause: "chaos" });
    this.spread(atMs, member, this.cascades.open(member), 0);
    this.respond(atMs, member, fault.failure);
    return [fault];
  }

  private carry(atMs: number, due: Due): Fault[] {
    const { chaos, streams } = this;
    switch (due.kind) {
      case "spread": {
        const { member, cascade, depth } = due;
        if (!this.isOpen(member)) return [];
        const drawn = drawFailure(chaos, member.node, streams.cascade);
        const fault = this.inject(atMs, member, drawn, { cause: "cascade", depth });
        this.spread(atMs, member, cascade, depth);
        this.respond(atMs, member, fault.failure);
        return [fault];
      }
      case "respond": {
        const { member, rule } = due;
        if (!this.isOpen(member)) return [];
        const drawn = drawOf(rule.response, chaos, member.node, streams.cascade);
        return [this.inject(atMs, member, drawn, { cause: "correlated", name: rule.name })];
      }
      case "recover":
        return this.recover(atMs, due.member, due.failure, due.cause);
      case "outage_start":
        return this.stopped ? [] : this.startOutage(atMs, due.outage);
      case "outage_end": {
        const ended = due.hit.flatMap(({ member, failure }) =>
          this.recover(atMs, member, failure, "outage"),
        );
        const nodes = ended.map((fault) => fault.node);
        return [...ended, { kind: "outage_end", atMs, name: due.outage.name, nodes }];
      }
      default:
        return unreachable(due);
    }
  }

  private isOpen(member: Member): boolean {
    return !this.stopped && this.population.has(member);
  }

  private inject(atMs: number, member: Member, drawn: FailureSpec, origin: Origin): Injection {
    const { cause, depth = 0, name = null } = origin;
    this.serial += 1;
    const failure = { ...drawn, id: this.serial, message: drawn.message ?? messageOf(drawn) };
    const { recovery } = this.chaos;
    const mayEnd = recovery !== null && cause !== "outage" && this.recoverable(failure);
    const random = this.streams.recovery;
    if (mayEnd && random.chance(recovery.probability)) {
      const drawnMs = Math.round(random.normal(recovery.meanTimeMs, recovery.stdDevMs));
      const afterMs = Math.max(RECOVERY_MIN_MS, drawnMs);
      this.queue.put(atMs + afterMs, { kind: "recover", member, failure, cause });
    }
    return { kind: "inject", atMs, node: member.node.id, failure, cause, depth, name };
  }

  private recover(atMs: number, member: Member, failure: Failure, cause: Cause) {
    if (!this.population.has(member)) return [];
    return [{ kind: "recover" as const, atMs, node: member.node.id, failure, cause }];
  }

  private spread(atMs: number, member: Member, cascade: Cascade | null, depth: number): void {
    if (cascade === null) return;
    for (const { member: target, delayMs } of this.cascades.spread(cascade, member, depth)) {
      const due: Due = { kind: "spread", member: target, cascade, depth: depth + 1 };
      this.queue.put(atMs + delayMs, due);
    }
  }

  private respond(atMs: number, member: Member, failure: FailureSpec): void {
    const random = this.streams.cascade;
    for (const rule of this.chaos.correlated) {
      if (!isTriggered(rule, failure) || !random.chance(rule.probability)) continue;
      const target = targetOf(rule, member, this.population, random);
      if (target === null) continue;
      this.queue.put(atMs + rule.delayMs, { kind: "respond", member: target, rule });
    }
  }

  private startOutage(atMs: number, outage: Outage): Fault[] {
    const random = this.streams.chaos;
    const hit = hitBy(outage, this.population, random).map((member) => {
      const drawn = outageFailure(outage.failureType, member.node, random);
      const named = { ...drawn, message: `${outage.name}: ${drawn.message}` };
      const fault = this.inject(atMs, member, named, { cause: "outage", name: outage.name });
      return { member, fault };
    });
    const own = hit.map(({ member, fault }) => ({ member, failure: fault.failure }));
    this.queue.put(atMs + outage.durationMs, { kind: "outage_end", outage, hit: own });
    const nodes = hit.map(({ member }) => member.node.id);
    const start: Fault = { kind: "outage_start", atMs, name: outage.name, nodes };
    return [start, ...hit.map(({ fault }) => fault)];
  }
}

function isTriggered({ trigger }: Correlated, failure: FailureSpec): boolean {
  return "xidCode" in trigger ? failure.xidCode === trigger.xidCode : failure.type === trigger.type;
}

/** Where a response strikes: the same machine, or any other one of the scope. */
function targetOf(
  rule: Correlated,
  member: Member,
  population: Population,
  random: Random,
): Member | null {
  if (rule.scope === "same_node") return member;
  const scopes = { same_rack: "rack", same_zone: "zone", random: "random" } as const;
  const around = [...population.around(member.node, scopes[rule.scope])];
  return random.pick(around.filter((one) => one !== member));
}

function hitBy(outage: Outage, population: Population, random: Random): Member[] {
  if (outage.scope !== "percentage") return [...population.inside(outage.scope, outage.target)];
  const count = Math.round((population.size() * outage.percent) / 100);
  return random.sample(population.all(), count);
}
