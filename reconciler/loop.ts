/**
 * The reconciler: one loop around one pure function. Read this first.
 *
 *   fold     what arrived (answers, listings, letters, orders) and time  →  one transaction
 *   decide   (Fleet, configuration, Sight) → Plan, checked by lint       →  one transaction of intents
 *   act      open operations are called; their answers are the next activation's facts
 *
 * An activation takes no input and a wake-up is only a hint (law 3), so it may run at any time,
 * twice, or after any crash. It never waits for the outside: calls run beside it and are found open
 * in the journal if this process dies (law 4).
 */
import type { CompiledPolicy } from "../health/policy/compile.ts";
import type { Command } from "../schema/command.ts";
import type { Config } from "../schema/config.ts";
import type { Action } from "../schema/action.ts";
import type { CommandId, InstanceId, NodeId, PoolName } from "../schema/id.ts";
import type { Plan } from "../schema/plan.ts";
import { type Targets } from "./act/execute.ts";
import { Runner } from "./act/run.ts";
import type { Clock, Log } from "./clock.ts";
import { Scaler, type Standing } from "./demand/scaler.ts";
import { decide } from "./decide/decide.ts";
import { lintPlan } from "./decide/lint.ts";
import { Draft, type Mirror, mirrorChange, newMirror } from "./draft.ts";
import type { Fleet, ProviderSight, Sight } from "./fleet.ts";
import { foldEverything, type FoldInput, type Judged } from "./fold/everything.ts";
import { applyAction } from "./fold/action.ts";
import type { Sighting } from "./fold/listing.ts";
import { newPoolState } from "./fold/new-pool.ts";
import { deliveriesOf } from "./notify.ts";
import { Presence, PULSE_MS } from "./presence.ts";
import type { Provider } from "./provider/provider.ts";
import { openSight } from "./sight.ts";
import type { Change, Store, StoredLetter } from "./store/store.ts";
import { CloudWatch } from "./watch-cloud.ts";

export type LoopPorts = {
  store: Store;
  clock: Clock;
  log: Log;
  providers: ReadonlyMap<string, Provider>;
  /** Providers that could not be opened, with why. */
  unavailable: ReadonlyMap<string, string>;
  targets: Targets;
  /** Told of every committed change: metrics, watchers. */
  committed(change: Change): void;
  /** Told what the policy decided, after the change that holds it is durable. */
  judged(judged: Judged): void;
};

/** Longest sleep: also the resolution of silence, drains and boot deadlines. */
export const PERIOD_MS = 1_000;
/** Longest rest after one activation: what a fleet of 100,000 nodes may add to a decision. */
const REST_MAX_MS = 250;
/** Retention and history are trimmed this often. */
const TRIM_MS = 10 * 60_000;

export class Reconciler {
  readonly presence: Presence;
  private readonly ports: LoopPorts;
  private config: Config;
  private policy: CompiledPolicy;
  private readonly fleetId: string;
  private mirror: Mirror = newMirror();
  private readonly runner: Runner;
  private readonly watch: CloudWatch;
  private readonly scaler = new Scaler();
  private readonly listed = new Set<string>();
  private sightings = new Map<string, Map<InstanceId, Sighting>>();
  private collapsed = new Map<string, number>();
  private letters: StoredLetter[] = [];
  /** Highest inbox id taken in: ids grow, and this process is the only writer. */
  private newestLetter = 0;
  private tail: Promise<unknown> = Promise.resolve();
  private commands: Command[] = [];
  private plan: Plan = { actions: [], waits: [] };
  private sight: Sight | null = null;
  /**
   * Pools whose newest plan broke a law, with how: their actions are withheld until a plan is
   * sound.
   */
  private broken = new Map<string | null, string>();
  /**
   * The mirror may differ from the store: nothing is folded or decided before it was read again.
   */
  private stale = false;
  /** Activations that failed in a row, and the last error. */
  private trouble = { count: 0, message: "" };
  private adopted = false;
  private wake: (() => void) | null = null;
  private hinted = false;
  private running: Promise<void> | null = null;
  private stopping = false;
  private trimmedMono = 0;
  /** Orders carried out lately: one that a reload brought in is not taken a second time. */
  private readonly settled = new Set<CommandId>();
  private readonly waiters = new Map<CommandId, (command: Command) => void>();

  private constructor(ports: LoopPorts, config: Config, policy: CompiledPolicy, fleetId: string) {
    this.ports = ports;
    this.config = config;
    this.policy = policy;
    this.fleetId = fleetId;
    this.presence = new Presence(ports.clock.monoMs(), ports.clock.wallMs());
    this.runner = new Runner(ports.targets, ports.clock, () => this.hint());
    this.watch = new CloudWatch(ports.providers.values(), ports.clock, () => this.hint());
  }

  /** Loads the durable fleet; every operation found open counts as possibly sent. */
  static async open(
    ports: LoopPorts,
    config: Config,
    policy: CompiledPolicy,
    fleetId: string,
  ): Promise<Reconciler> {
    const reconciler = new Reconciler(ports, config, policy, fleetId);
    await reconciler.reload();
    return reconciler;
  }

  fleet(): Fleet {
    return {
      fleetId: this.fleetId,
      nodes: this.mirror.nodes,
      pools: this.mirror.pools,
      operations: this.mirror.operations,
    };
  }
  lastPlan(): Plan {
    return this.plan;
  }
  lastSight(): Sight | null {
    return this.sight;
  }
  activeConfig(): Config {
    return this.config;
  }
  activePolicy(): CompiledPolicy {
    return this.policy;
  }
  nodeOfInstance(key: string): NodeId | null {
    return this.mirror.byInstance.get(key) ?? null;
  }
  /**
   * What the autoscaler of a pool last made of it; `null` without one, or before its first look.
   */
  standing(pool: PoolName): Standing | null {
    return this.scaler.standing(pool);
  }
  /** The first look at every provider is done, or is known to be impossible. */
  hasAdopted(): boolean {
    return this.adopted;
  }
  /** What keeps the loop, or a pool of it, from acting; `null` while sound. */
  failure(): string | null {
    const out = [...this.broken.values()];
    if (this.trouble.count >= TROUBLE_TOLD) out.push(`activations fail: ${this.trouble.message}`);
    return out.length === 0 ? null : out.join("; ");
  }

  /** Durable letters, handed over by the ingest after its own commit. */
  takeLetters(letters: StoredLetter[]): void {
    // A reload may have found them in the store already: a letter is folded once.
    this.letters.push(...letters.filter((letter) => letter.id > this.newestLetter));
    this.newestLetter = Math.max(this.newestLetter, letters[letters.length - 1]?.id ?? 0);
    this.hint();
  }

  /** A person's order, durable already. Resolves with what became of it at the next activation. */
  takeCommand(command: Command): Promise<Command> {
    const known =
      this.settled.has(command.id) || this.commands.some((one) => one.id === command.id);
    if (!known) this.commands.push(command);
    const { promise, resolve } = Promise.withResolvers<Command>();
    this.waiters.set(command.id, resolve);
    this.hint();
    return promise;
  }

  /** A change made by a route (pool size, hold): one transaction, then the plan is made anew. */
  async change(edit: (draft: Draft) => void): Promise<void> {
    await this.alone(async () => {
      const draft = new Draft(this.mirror);
      edit(draft);
      await this.commit(draft);
    });
    this.hint();
  }

  /** One draft at a time: a second one would overwrite what the first has not committed yet. */
  private alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.tail.then(work);
    this.tail = result.catch(() => undefined);
    return result;
  }

  hint(): void {
    this.hinted = true;
    this.wake?.();
  }

  /** One activation. Tests and the simulator call it directly; `start` calls it for ever. */
  activate(): Promise<void> {
    return this.alone(() => this.activateAlone());
  }

  private async activateAlone(): Promise<void> {
    const { clock } = this.ports;
    const now = clock.wallMs();
    const mono = clock.monoMs();
    this.presence.pulse(mono, now, this.config.server.heartbeatTimeoutMs);
    if (this.stale) await this.reload();
    await this.foldFacts(now, mono);
    const sight = openSight({
      now,
      mono,
      nodes: this.mirror.nodes,
      presence: this.presence,
      scheduler: this.ports.targets.scheduler,
      providers: this.providerSight(),
      sampleIntervalMs: this.config.server.sampleIntervalMs,
      frozen: null,
    });
    this.sight = sight;
    await this.scale(sight, mono);
    await this.decideNow(sight);
    this.runner.start(this.mirror.operations.values(), now);
    this.watch.look(this.busy());
    if (mono - this.trimmedMono >= TRIM_MS) {
      this.trimmedMono = mono;
      await this.ports.store.trim(now);
    }
  }

  start(): void {
    this.running ??= this.run();
    const beat = (): void => {
      if (this.stopping) return;
      const { clock } = this.ports;
      this.presence.pulse(clock.monoMs(), clock.wallMs(), this.config.server.heartbeatTimeoutMs);
      clock.after(PULSE_MS / 2, beat);
    };
    beat();
  }

  /** Stops deciding, then waits for calls that are out, at most `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.stopping = true;
    this.hint();
    await this.running;
    const until = this.ports.clock.monoMs() + graceMs;
    while (this.runner.inFlight() > 0 && this.ports.clock.monoMs() < until) {
      await new Promise<void>((resolve) => void this.ports.clock.after(20, resolve));
      await this.alone(() => this.foldFacts(this.ports.clock.wallMs(), this.ports.clock.monoMs()));
    }
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      this.hinted = false;
      const begun = this.ports.clock.monoMs();
      try {
        await this.activate();
      } catch (error) {
        this.ports.log("error", "activation failed", {
          error: String(error instanceof Error ? (error.stack ?? error) : error),
        });
        this.trouble = {
          count: this.trouble.count + 1,
          message: error instanceof Error ? error.message : String(error),
        };
        this.stale = true;
        await this.sleep(
          Math.min(TROUBLE_REST_MAX_MS, 100 * 2 ** Math.min(this.trouble.count, 10)),
          false,
        );
        continue;
      }
      this.trouble = { count: 0, message: "" };
      // The loop takes at most a quarter of a core: a large fleet is looked at less often, not
      // served less.
      const restMs = Math.min(REST_MAX_MS, 3 * (this.ports.clock.monoMs() - begun));
      await this.sleep(restMs, false);
      const pause =
        this.plan.actions.length > 0
          ? 0
          : Math.min(PERIOD_MS, this.watch.nextMs(this.busy()), this.untilWait());
      if (!this.hinted && pause > 0) await this.sleep(pause, true);
    }
  }

  private sleep(ms: number, hintable: boolean): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.ports.clock.after(ms, resolve);
      this.wake = hintable ? () => (cancel(), resolve()) : null;
    });
  }

  /** Milliseconds until the earliest wait is worth another look. */
  private untilWait(): number {
    const now = this.ports.clock.wallMs();
    let least = PERIOD_MS;
    for (const wait of this.plan.waits)
      if (wait.until !== null && wait.until > now) least = Math.min(least, wait.until - now);
    return least;
  }

  private async foldFacts(now: number, mono: number): Promise<void> {
    const draft = new Draft(this.mirror);
    const input: FoldInput = {
      fleet: this.fleet(),
      config: this.config,
      policy: this.policy,
      now,
      answers: this.runner.take(),
      listings: this.watch.take(),
      letters: this.letters.splice(0, LETTERS_MAX),
      commands: this.commands.splice(0),
      sightings: this.sightings,
      silentMs: (node) => this.presence.silentMs(node, mono, this.config.server.heartbeatTimeoutMs),
      heard: (node) => this.presence.isHeard(node),
      collapsed: this.collapsed,
      settleMs: (provider) => this.ports.providers.get(provider)?.settleMs ?? 0,
      blind: this.presence.doubtful() !== null,
    };
    const folded = foldEverything(input, draft);
    this.sightings = folded.sightings;
    this.collapsed = folded.collapsed;
    for (const provider of folded.listed) this.listed.add(provider);
    await this.commit(draft);
    this.ports.judged(folded.judged);
    for (const problem of folded.problems) this.ports.log("warn", problem.message, problem.fields);
    for (const id of folded.removed) this.presence.forget(id);
    for (const command of folded.commands) this.settleCommand(command);
    this.adopted ||= [...this.ports.providers.keys()].every(
      (name) => this.listed.has(name) && this.isSettled(name),
    );
    if (this.letters.length > 0) this.hint();
  }

  private settleCommand(command: Command): void {
    this.settled.add(command.id);
    for (const id of this.settled) {
      if (this.settled.size <= SETTLED_MAX) break;
      this.settled.delete(id);
    }
    this.waiters.get(command.id)?.(command);
    this.waiters.delete(command.id);
  }

  /**
   * Autoscalers change what is wanted; what is done about it is the plan's, like any other size.
   */
  private async scale(sight: Sight, mono: number): Promise<void> {
    const { config, presence } = this;
    const draft = new Draft(this.mirror);
    this.scaler.evaluate({ fleet: this.fleet(), config, sight, presence, mono }, draft);
    await this.commit(draft);
  }

  private async decideNow(sight: Sight): Promise<void> {
    const fleet = this.fleet();
    const plan = this.soundPart(fleet, sight, decide(fleet, this.config, sight));
    this.plan = plan;
    if (plan.actions.length === 0) return;
    const draft = new Draft(this.mirror);
    for (const action of plan.actions) {
      const node = draft.node(action.node);
      const pool = draft.pool(action.kind === "admit" ? action.pool : (node?.pool ?? null));
      const applied = applyAction(action, node, pool, sight.now);
      draft.putNode(applied.node);
      if (applied.operation !== null) draft.putOperation(applied.operation);
      if (applied.pool !== null) draft.putPool(applied.pool);
      draft.tell(applied.events);
    }
    await this.commit(draft);
  }

  /**
   * The plan without the actions of pools that break a law. A pool that is still, and says so, is
   * safer at 3 a.m. than a process that ends and restarts into the same plan; the others go on.
   */
  private soundPart(fleet: Fleet, sight: Sight, plan: Plan): Plan {
    const breaches = lintPlan(fleet, this.config, sight, plan);
    const broken = new Map<string | null, string>();
    for (const { pool, message } of breaches) {
      const before = broken.get(pool);
      broken.set(
        pool,
        before === undefined
          ? `the plan of pool ${pool ?? "-"} breaks a law: ${message}`
          : `${before}; ${message}`,
      );
    }
    for (const [pool, message] of broken)
      if (!this.broken.has(pool)) this.ports.log("error", message, { pool });
    this.broken = broken;
    if (broken.size === 0) return plan;
    const poolOf = (action: Action): string | null =>
      action.kind === "admit" ? action.pool : (fleet.nodes.get(action.node)?.pool ?? null);
    return {
      actions: plan.actions.filter((action) => !broken.has(poolOf(action))),
      waits: plan.waits,
    };
  }

  private async commit(draft: Draft): Promise<void> {
    const change = draft.finish();
    if (change === null) return;
    change.deliveries = deliveriesOf(change.events, this.config.server.notifier);
    try {
      await this.ports.store.commit(change);
    } catch (error) {
      // Whether it was written is not known: the store is asked before anything else is done.
      this.stale = true;
      throw error;
    }
    mirrorChange(this.mirror, change);
    this.ports.committed(change);
  }

  private async reload(): Promise<void> {
    const snapshot = await this.ports.store.load();
    const mirror = newMirror();
    mirrorChange(mirror, {
      nodes: snapshot.nodes,
      removedNodes: [],
      pools: snapshot.pools,
      events: [],
      commands: [],
      foldedLetters: [],
      findings: [],
      deliveries: [],
      // Each may have been sent, and just now: the settle time of a tag-only provider runs from
      // here.
      operations: snapshot.openOperations.map((o) => ({
        ...o,
        attempts: Math.max(o.attempts, 1),
        ...(o.payload.kind === "create" ? { askedAt: this.ports.clock.wallMs(), lookups: 0 } : {}),
      })),
    });
    for (const pool of this.config.pools) {
      if (!mirror.pools.has(pool.name))
        mirror.pools.set(
          pool.name,
          newPoolState(pool.name, pool.scaling.minNodes, this.ports.clock.wallMs()),
        );
    }
    this.mirror = mirror;
    this.stale = false;
    this.letters = snapshot.letters;
    this.newestLetter = Math.max(
      this.newestLetter,
      snapshot.letters[snapshot.letters.length - 1]?.id ?? 0,
    );
    this.commands = snapshot.openCommands;
  }

  /**
   * A pool of these names has something in flight at a provider: its cloud is looked at more often.
   */
  private busy(): Set<string> {
    const busy = new Set<string>();
    for (const node of this.mirror.nodes.values()) {
      const kind = node.phase.kind;
      if (node.instance === null || kind === "gone") continue;
      if (kind === "booting" || kind === "terminating" || node.instance.absentSince !== null)
        busy.add(node.instance.provider);
    }
    for (const operation of this.mirror.operations.values()) {
      if (operation.payload.kind === "create" || operation.payload.kind === "terminate")
        busy.add(operation.payload.provider);
    }
    for (const [provider, sightings] of this.sightings) if (sightings.size > 0) busy.add(provider);
    for (const name of this.ports.providers.keys()) if (!this.listed.has(name)) busy.add(name);
    return busy;
  }

  private isSettled(provider: string): boolean {
    return (this.sightings.get(provider)?.size ?? 0) === 0;
  }

  private providerSight(): Map<string, ProviderSight> {
    const out = new Map<string, ProviderSight>();
    for (const [name, provider] of this.ports.providers) {
      const listed = this.listed.has(name) && this.isSettled(name);
      out.set(name, {
        class: provider.class,
        settleMs: provider.settleMs,
        listed,
        unavailable: null,
      });
    }
    for (const [name, why] of this.ports.unavailable) {
      out.set(name, { class: "tag-only", settleMs: 0, listed: false, unavailable: why });
    }
    return out;
  }
}

/** Failures in a row before readiness says so, and the longest rest between them. */
const TROUBLE_TOLD = 2;
const TROUBLE_REST_MAX_MS = 5_000;
/** Far more orders than people give between a commit and its hand-over. */
const SETTLED_MAX = 1_000;
/** Letters folded by one activation: keeps a transaction short when an outage ends. */
const LETTERS_MAX = 2_000;
