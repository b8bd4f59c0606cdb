/**
 * The reconciler: one loop around one pure function. Read this first.
 *
 *   fold     answers, listings, inbox entries, commands and elapsed time → Fleet
 *   decide   (Fleet, configuration, observations) → Plan, checked by lint
 *   record   the folded state and the Plan, in one transaction
 *   act      call the open operations; their answers are folded in the next activation
 *
 * An activation takes no input and a wake-up carries no data (law 3), so it may run at any time,
 * twice, or after any crash. It never waits for a call: calls run beside it and are found open in
 * the journal if this process dies (law 4).
 */
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import type { Command } from "../../schema/command.ts";
import type { Config } from "../../schema/config.ts";
import type { NodeId, PoolName } from "../../schema/id.ts";
import type { Operation } from "../../schema/operation.ts";
import type { Plan } from "../core/plan.ts";
import type { Targets } from "./act/execute.ts";
import { type Permit, Runner } from "./act/run.ts";
import type { Clock, Log } from "../core/clock.ts";
import { CloudSight } from "./cloud-sight.ts";
import { Informers } from "./informers.ts";
import { Scaler, type ScalerStatus } from "./scaler.ts";
import type { UnitOfWork } from "../core/unit-of-work.ts";
import type { DrainSight, Fleet, QueueSight, Sight } from "../core/fleet.ts";
import { foldEverything } from "../core/fold/everything.ts";
import type { FoldInput, FoldResult, Judged } from "../core/fold/everything.ts";
import { Ledger } from "./ledger.ts";
import { boundsFor } from "./inbox.ts";
import { Pace, Rest, troubleRestMs, untilNext } from "./pace.ts";
import { Planner } from "./planner.ts";
import { Presence, PULSE_MS } from "./presence.ts";
import { ProblemLog } from "./problem-log.ts";
import type { Activation } from "./recorder.ts";
import { mayCall } from "../core/decide/may-call.ts";
import { stepImpaired } from "../core/safety/impaired.ts";
import { stepRests } from "../core/safety/rest.ts";
import { stepSafety } from "../core/safety/step.ts";
import { desiredStateOf } from "../core/decide/desired-state.ts";
import { Observer } from "./sight.ts";
import type { Settings } from "./settings.ts";
import type { Change, Store, StoredEntry } from "../core/store.ts";
import { pause } from "../core/turn/time-limit.ts";
import { CloudWatch } from "./watch-cloud.ts";

export type LoopPorts = {
  store: Store;
  clock: Clock;
  log: Log;
  targets: Targets;
  /** Dry run: observe, fold and decide without effects. */
  dryRun: boolean;
  /** CPU milliseconds of this process, or elapsed time if unknown. */
  cpuMs(): number;
  /** Whether this process still leads, asked before each call. */
  permit: Permit;
  /** Resolves after the event loop has run other work; at once in simulation. */
  turn(): Promise<void>;
  /** Called after each activation with its success; feeds the watchdog. */
  turned(ok: boolean): void;
  /** Called for each committed change: metrics, watchers. */
  committed(change: Change): void;
  /** Called with the policy's results, after their change is durable. */
  judged(judged: Judged): void;
};

/** Longest sleep, and the resolution of silence, drains and boot deadlines. */
export const PERIOD_MS = 1_000;
/** Retention and history are trimmed this often. */
const TRIM_MS = 10 * 60_000;
/** Consecutive failures before readiness reports them. */
const TROUBLE_REPORTED = 2;

export class Reconciler {
  readonly presence: Presence;
  private readonly ports: LoopPorts;
  private settings: Settings;
  private readonly ledger: Ledger;
  private readonly cloud: CloudSight;
  private readonly runner: Runner;
  private readonly watch: CloudWatch;
  private readonly scaler = new Scaler();
  private readonly observer: Observer;
  private readonly planner: Planner;
  private sight: Sight | null = null;
  /** Consecutive failed activations, and the last error. */
  private trouble = { count: 0, message: "" };
  private adopted = false;
  private readonly rest: Rest;
  /** Something arrived since the last activation began. */
  isWoken = false;
  private running: Promise<void> | null = null;
  private stopping = false;
  private trimmedMono = 0;
  private readonly informer: Informers;
  private readonly problems: ProblemLog;

  private constructor(ports: LoopPorts, settings: Settings, fleetId: string) {
    const { store, clock, committed, targets, log, dryRun } = ports;
    this.ports = ports;
    this.settings = settings;
    this.rest = new Rest(clock);
    const config = (): Config => this.settings.config;
    this.presence = new Presence(clock.monoMs(), clock.wallMs());
    this.informer = new Informers(targets, log);
    this.problems = new ProblemLog(log, clock);
    const wakeUp = (): void => this.wakeUp();
    this.cloud = new CloudSight(settings, clock, wakeUp);
    const { presence, cloud, informer } = this;
    this.ledger = new Ledger({ store, clock, config, fleetId, committed, informer });
    this.planner = new Planner({ ledger: this.ledger, config, log, acts: !dryRun });
    this.observer = new Observer({ ...ports, config, presence, cloud, informer });
    this.runner = new Runner(targets, clock, wakeUp, ports.permit);
    this.watch = new CloudWatch(settings.providers.values(), clock, wakeUp);
  }

  /** Loads the durable fleet; every open operation counts as possibly sent. */
  static async open(ports: LoopPorts, settings: Settings, fleetId: string): Promise<Reconciler> {
    const reconciler = new Reconciler(ports, settings, fleetId);
    await reconciler.ledger.refresh();
    return reconciler;
  }

  fleet(): Fleet {
    return this.ledger.fleet();
  }
  lastPlan(): Plan {
    return this.planner.plan;
  }
  /** The last activations of this process, oldest first. */
  activations(count: number): Activation[] {
    return this.planner.recorder.last(count);
  }
  lastSight(): Sight | null {
    return this.sight;
  }
  activeConfig(): Config {
    return this.settings.config;
  }
  activePolicy(): CompiledPolicy {
    return this.settings.policy;
  }
  nodeOfInstance = (key: string): NodeId | null => this.ledger.nodeOfInstance(key);
  nodeLike = (id: NodeId): NodeId | null => this.ledger.nodeLike(id);
  /** Nodes whose Kubernetes object has this name, by an identity that is not the name. */
  nodeOfObject(name: string): NodeId[] {
    return this.ledger.nodesOfObject(name);
  }
  /** The autoscaler's last result for a pool; `null` without one, or before its first run. */
  status = (pool: PoolName): ScalerStatus | null => this.scaler.status(pool);
  /** The work left on a node. */
  workOn(node: NodeId): DrainSight {
    return this.observer.workOn(this.fleet(), node, this.ports.clock.monoMs());
  }
  /** The pool's queue in its scheduler; `null` = unknown. */
  queueOf(pool: PoolName): QueueSight | null {
    return this.observer.queueOf(pool);
  }
  hasAdopted(): boolean {
    return this.adopted;
  }
  /** What stops the loop or a pool; `null` if nothing does. */
  failure(): string | null {
    const out = this.planner.breaches();
    const { count, message } = this.trouble;
    if (count >= TROUBLE_REPORTED) out.push(`activations fail: ${message}`);
    return out.length === 0 ? null : out.join("; ");
  }

  /** Durable inbox entries, from the ingest after its commit. */
  takeEntries(entries: StoredEntry[]): void {
    this.ledger.addEntries(entries);
    this.wakeUp();
  }

  /** A person's stored order. Resolves with its result. */
  takeCommand(command: Command): Promise<Command> {
    const outcome = this.ledger.addCommand(command);
    this.wakeUp();
    return outcome;
  }
  /** A change made by a route (pool size, demand): one transaction, then a new plan. */
  async change(edit: (work: UnitOfWork) => void, then = (): void => undefined): Promise<void> {
    await this.ledger.alone(async () => {
      await this.ledger.refresh();
      const work = this.ledger.work();
      edit(work);
      await this.ledger.commit(work);
      then();
    });
    this.wakeUp();
  }
  /** Replaces the settings between two activations, once the edit is durable. */
  adopt(edit: (work: UnitOfWork) => Settings, then: (next: Settings) => void): Promise<void> {
    let next = this.settings;
    return this.change(
      (work) => (next = edit(work)),
      () => {
        const mono = this.ports.clock.monoMs();
        this.presence.adopt(this.activeConfig().server, next.config.server, mono);
        then((this.settings = next));
        this.cloud.adopt(next);
        this.watch.adopt(next.providers.values());
        this.planner.forget();
      },
    );
  }
  wakeUp(): void {
    this.isWoken = true;
    this.rest.end();
  }
  /** One activation. Tests and the simulator call it; `start` repeats it. */
  activate(): Promise<void> {
    return this.ledger.alone(() => this.activateAlone());
  }

  /** A standby's activation: reads the store again and writes nothing. */
  look(): Promise<void> {
    return this.ledger.alone(async () => {
      const { clock } = this.ports;
      this.ledger.doubt();
      await this.ledger.refresh();
      this.sight = this.see(clock.wallMs(), clock.monoMs());
      this.planner.look(this.sight);
    });
  }

  private async activateAlone(): Promise<void> {
    this.isWoken = false;
    const { clock, store, dryRun } = this.ports;
    const acts = !dryRun;
    const [now, mono] = [clock.wallMs(), clock.monoMs()];
    this.presence.pulse(mono, now, this.activeConfig().server.heartbeatTimeoutMs);
    await this.ledger.refresh();
    const folded = this.foldFacts(now, mono);
    let sight: Sight;
    try {
      this.guard(now);
      sight = this.see(now, mono);
      this.sight = sight;
      if (acts) this.scale(sight, mono);
      this.planner.decide(sight);
    } finally {
      // Inputs are kept even if deciding failed.
      await this.ledger.flush();
      this.noteFolded(folded);
    }
    // Matches objects first, then makes the calls that need them.
    const { waits } = this.planner.plan;
    const desired = () => desiredStateOf(this.fleet(), this.activeConfig(), sight, waits);
    if (acts) this.informer.tend(desired, this.fleet(), now, this.ports.permit);
    const may = (one: Operation): boolean => mayCall(one, this.fleet(), sight);
    if (acts) this.runner.start(this.fleet().operations.values(), now, may);
    if (acts) this.observer.readMetrics(this.fleet());
    this.watch.look(this.cloud.busy(this.fleet()));
    this.cloud.read(this.fleet(), now);
    if (mono - this.trimmedMono < TRIM_MS) return;
    this.trimmedMono = mono;
    await store.trim({ auditBefore: now - this.activeConfig().server.audit.retentionMs });
  }

  /** Breakers trip and clear, and rules are suspended, before anything is decided. */
  private guard(now: number): void {
    const work = this.ledger.work();
    const fleet = this.fleet();
    work.take(stepSafety(fleet, this.activeConfig(), this.activePolicy(), now));
    work.take(stepRests(fleet, now));
    work.take(stepImpaired(fleet, this.activeConfig(), this.cloud.sight(fleet), now));
    this.ledger.stage(work);
  }

  private see(now: number, mono: number): Sight {
    const isSizing = this.scaler.isDue(this.activeConfig(), mono);
    return this.observer.look(this.fleet(), { now, mono, isSizing });
  }

  private foldFacts(now: number, mono: number): FoldResult {
    const { presence, cloud, ledger } = this;
    const config = this.activeConfig();
    const work = ledger.work();
    const timeoutMs = config.server.heartbeatTimeoutMs;
    const input: FoldInput = {
      fleet: this.fleet(),
      config,
      now,
      answers: this.runner.take(),
      listings: this.watch.take(),
      looks: cloud.looks(),
      entries: ledger.takeEntries(boundsFor(this.activePolicy().rules.length)),
      commands: ledger.takeCommands(),
      sightings: cloud.sightings,
      collapsed: cloud.collapsed,
      presence: presence.sights(this.fleet().nodes.values(), mono, timeoutMs),
      settleMs: cloud.settleMs(),
      reaches: cloud.reaches(),
      blind: presence.doubtful() !== null,
      ...this.informer.news(config, this.fleet().fleetId, mono, presence.attentiveMs(mono)),
    };
    const folded = foldEverything(input, this.activePolicy(), work);
    cloud.sightings = folded.sightings;
    cloud.collapsed = folded.collapsed;
    for (const provider of folded.listed) cloud.note(provider);
    for (const { provider, why } of folded.unlisted) cloud.noteFailure(provider, why, mono);
    this.informer.note(folded);
    ledger.stage(work);
    return folded;
  }

  /** Called once the folded facts are durable. */
  private noteFolded(folded: FoldResult): void {
    this.ports.judged(folded.judged);
    this.problems.say(folded.problems);
    for (const id of folded.removed) this.presence.forget(id);
    for (const command of folded.commands) this.ledger.settle(command);
    this.adopted ||= this.cloud.isComplete();
    if (this.ledger.hasEntries()) this.wakeUp();
  }

  cluster = () => this.informer.clusterView();
  /** Slurm, and what it last said of a node; `null` = there is none. */
  slurm = () => this.informer.slurmView();

  /** Autoscalers change the wanted size, which the plan then uses. */
  private scale(sight: Sight, mono: number): void {
    const work = this.ledger.work();
    const { presence, settings } = this;
    const { slurm, pods } = this.ports.targets;
    const seen = { fleet: this.fleet(), sight, presence, mono, waits: this.lastPlan().waits };
    this.scaler.evaluate({ ...settings, ...seen, slurm, pods }, work);
    this.ledger.stage(work);
  }

  start(): void {
    this.informer.start(() => this.wakeUp());
    this.running ??= this.run();
    const { clock } = this.ports;
    const beat = (): void => {
      if (this.stopping) return;
      const { heartbeatTimeoutMs } = this.activeConfig().server;
      this.presence.pulse(clock.monoMs(), clock.wallMs(), heartbeatTimeoutMs);
      clock.after(PULSE_MS / 2, beat);
    };
    beat();
  }

  /** Stops deciding, then waits for calls in flight, at most `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    const { clock } = this.ports;
    this.stopping = true;
    this.wakeUp();
    await this.running;
    this.runner.interrupt();
    this.informer.stop();
    const until = clock.monoMs() + graceMs;
    while (this.runner.inFlight() > 0 && clock.monoMs() < until) {
      await pause(clock, 20);
      await this.ledger.alone(async () => {
        const folded = this.foldFacts(clock.wallMs(), clock.monoMs());
        await this.ledger.flush();
        this.noteFolded(folded);
      });
    }
  }

  private async run(): Promise<void> {
    const { clock } = this.ports;
    const pace = new Pace(clock.monoMs());
    while (!this.stopping) {
      // Reports that woke the loop are answered before they are folded.
      await this.ports.turn();
      const [begun, used] = [clock.monoMs(), this.ports.cpuMs()];
      const ok = await this.tryActivate();
      this.ports.turned(ok);
      if (!ok) continue;
      await this.rest.sleep(pace.restMs(begun, clock.monoMs(), this.ports.cpuMs() - used), false);
      const goesOn = this.planner.plan.actions.length > 0 && !this.ports.dryRun;
      const pause = goesOn ? 0 : this.pauseMs();
      if (!this.isWoken && pause > 0) await this.rest.sleep(pause, true);
    }
  }

  /** False after a failure and during the pause that follows. */
  private async tryActivate(): Promise<boolean> {
    try {
      await this.activate();
      this.trouble = { count: 0, message: "" };
      return true;
    } catch (error) {
      const { stack, message } = error instanceof Error ? error : new Error(String(error));
      this.ports.log("error", "activation failed", { error: stack ?? message });
      this.trouble = { count: this.trouble.count + 1, message };
      this.ledger.doubt();
      await this.rest.sleep(troubleRestMs(this.trouble.count), false);
      return false;
    }
  }

  /** Milliseconds until the next activation is due. */
  private pauseMs(): number {
    const mostMs = Math.min(PERIOD_MS, this.watch.nextMs(this.cloud.busy(this.fleet())));
    return untilNext(this.planner.plan, this.ports.clock.wallMs(), mostMs);
  }
}
