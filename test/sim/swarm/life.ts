/**
 * The control plane of a simulated fleet: one process at a time on a database that outlives it, or
 * two replicas, of which one leads by the lease and may be frozen while the other takes over. Loop,
 * ingest, store and lease are production's; the wrappers around its ports watch, kill and freeze.
 */
import { compiledBuiltin } from "../../../health/policy/builtin.ts";
import type { Clock } from "../../../reconciler/core/clock.ts";
import type { Provider } from "../../../reconciler/core/provider.ts";
import type { Scheduler } from "../../../reconciler/core/kubernetes/scheduler.ts";
import { settleRestored } from "../../../reconciler/server/backup.ts";
import { openLibsqlStore } from "../../../reconciler/store/libsql.ts";
import type { Config } from "../../../schema/config.ts";
import type { EventCount } from "../../invariant/check.ts";
import type { Watch } from "../../invariant/watch.ts";
import { settle, turn } from "../../../simulator/engine/clock.ts";
import { rest } from "../../world/drive.ts";
import { MemoryDatabase } from "../../../simulator/engine/sql.ts";
import { CrashInjector } from "../../world/crash-injector.ts";
import type { CallSort, What } from "./fault.ts";
import { Seat } from "./seat.ts";
import type { Sinks } from "./sinks.ts";
import { Process } from "../../../simulator/engine/process.ts";

export type LifePorts = {
  clock: Clock;
  /** Whatever the file may name, for the next start. */
  providers(): ReadonlyMap<string, Provider>;
  /** What is listed there says nothing of this fleet. */
  isMoved(): boolean;
  /** The scheduler in memory, where the fleet is in no other. */
  scheduler: Scheduler;
  sinks: Sinks;
  watch: Watch;
  fleetId: string;
  planes: 1 | 2;
  /** The leader was frozen, for so long, at this call. */
  frozen(forMs: number, at: string): void;
  /** The process's own log, at level error: a bug, unless it dies. */
  trouble(message: string): void;
};

/** Activations of one turn: an initial purchase of a large fleet goes sixteen calls at a time. */
const TURNS_MAX = 400;
/** What a frozen leader had begun ends within this, once it goes on. */
const FADING_MS = 30_000;
/** What other tests freeze (`test/sim/crash/zombie.ts`): here such a late call is not sent. */
const UNFENCED_HERE = /^(?:cloud|scheduler)[.]/;
const SORTS: Readonly<Record<CallSort, RegExp>> = {
  any: /^(?!cloud|scheduler)/,
  commit: /^sql[.]batch/,
  mark: /^slurm[.](?!nodes|jobs|reservations)|^kube[.](?:patch nodes$|create eviction|delete)/,
};

export const FROZEN = Symbol("frozen");

type Stale = { process: Process; seat: Seat; injector: CrashInjector; goOn: () => void };

export class Life {
  private readonly ports: LifePorts;
  private database = MemoryDatabase.empty();
  private process: Process | null = null;
  private seat: Seat | null = null;
  private seats = 0;
  /** The last leader, while it is frozen. */
  private stale: Stale | null = null;
  private frozen = Promise.withResolvers<typeof FROZEN>();
  /** How often a leader was frozen. */
  freezes = 0;
  private readonly frozenOnes = new Set<CrashInjector>();
  /** Of the process that runs, or ran last. */
  injector = new CrashInjector();
  activations = 0;
  lives = 0;

  constructor(ports: LifePorts) {
    this.ports = ports;
  }

  isUp(): boolean {
    return this.process !== null && !this.injector.dead;
  }

  get running(): Process | null {
    return this.isUp() ? this.process : null;
  }

  blind(): readonly string[] {
    return this.process?.reconciler.lastSight()?.blind ?? [];
  }

  /** Whether a process may come up now: of two replicas one waits for the lease. */
  async mayStart(): Promise<boolean> {
    const { clock, planes } = this.ports;
    if (planes === 1) return true;
    if (this.seat?.isOver === true) this.leaveSeat();
    this.seat ??= await Seat.take(clock, this.database.client(), `plane-${++this.seats}`);
    await settle();
    return this.seat.leads;
  }

  /** The process that runs must not act any more. */
  hasLost(): boolean {
    return this.process !== null && this.seat?.leads === false;
  }

  private leaveSeat(): void {
    this.seat?.leave();
    this.seat = null;
  }

  /** A process comes up on what is durable. */
  async start(config: Config): Promise<void> {
    const { clock, watch, fleetId, scheduler, sinks, trouble } = this.ports;
    const isMoved = this.ports.isMoved();
    const injector = new CrashInjector();
    const { seat } = this;
    this.lives++;
    const process = await Process.start({
      clock: seat?.clock ?? clock,
      ...(seat === null ? {} : { permit: seat.permit }),
      database: {
        // As a server's, it has an epoch only by the lease.
        url: seat === null ? "memory:" : "http://memory",
        clients: { writer: this.database.client(), reader: this.database.client() },
      },
      log: (level, message, fields) => {
        if (level !== "error" || injector.dead || this.wasFrozen(injector)) return;
        trouble(`${message} ${JSON.stringify(fields)}`);
      },
      ...(sinks.some ? sinks.ports() : { scheduler }),
      providers: this.ports.providers(),
      config,
      policy: compiledBuiltin,
      fleetId,
      between: {
        client: (client) => injector.client(client),
        store: (store) => watch.store(seat?.led(store) ?? store, () => this.wasFrozen(injector)),
        provider: (one) => injector.provider(watch.provider(one, !isMoved || one.name !== "fake")),
        scheduler: (one) => injector.scheduler(watch.scheduler(one)),
        kube: (api) => injector.kube(api),
        slurm: (client) => injector.slurm(client),
      },
    });
    this.process = process;
    this.injector = injector;
    this.frozen = Promise.withResolvers();
    const { reconciler } = process;
    reconciler.cluster().cluster?.start(() => reconciler.wakeUp());
    reconciler.slurm()?.sink.start(() => reconciler.wakeUp());
  }

  /** The process, if there is one, goes on with another configuration; a crash may come first. */
  async reload(config: Config): Promise<void> {
    const { running, injector } = this;
    if (running === null) return;
    const reloaded = running.reload(config).catch((error: unknown) => {
      if (!injector.dead) throw error;
    });
    await this.orFrozen(reloaded);
  }

  /** What is asked of a process, unless it is frozen first. */
  orFrozen<T>(work: Promise<T>): Promise<T | typeof FROZEN> {
    return this.seat === null ? work : Promise.race([work, this.frozen.promise]);
  }

  /** The leader is stopped at its n-th next write or call, after what it has begun. */
  freeze({ calls, side, sort, forMs }: Omit<Extract<What, { kind: "freeze" }>, "kind">): void {
    const { process, seat, injector } = this;
    if (process === null || seat === null || this.stale !== null) return;
    const from = injector.count + calls;
    const wanted = side === "before" ? "b" : "a";
    const gate = Promise.withResolvers<void>();
    let isOver = false;
    const goOn = (): void => {
      isOver = true;
      gate.resolve();
    };
    const hasBegun = (): boolean => this.frozenOnes.has(injector);
    injector.hold = ({ n, side: at, what }) => {
      const isLeft = UNFENCED_HERE.test(what);
      const isMet = SORTS[sort].test(what) && n >= from && at === wanted;
      if (!hasBegun() && isMet && this.process === process) {
        this.frozenOnes.add(injector);
        this.suspend({ process, seat, injector, goOn });
        this.ports.frozen(forMs, `${side} ${what}`);
      }
      if (!hasBegun()) return null;
      // Slurm refuses no late write: one that was not under way must not be sent.
      if (isOver && at === "b" && /^slurm[.](?!nodes?$|jobs|reservations)/.test(what))
        this.ports.trouble(`a frozen leader sent ${what} after its time`);
      return isLeft && at === "b" ? new Promise(() => undefined) : gate.promise;
    };
  }

  private suspend(stale: Stale): void {
    stale.process.stop();
    stale.seat.clock.stop();
    this.stale = stale;
    this.process = null;
    this.seat = null;
    this.freezes++;
    this.frozen.resolve(FROZEN);
  }

  private wasFrozen(injector: CrashInjector): boolean {
    return this.frozenOnes.has(injector);
  }

  /**
   * The frozen leader goes on: what it had begun comes first, then its loop, and then its timers,
   * which tell it that it lost the lead.
   */
  async thaw(): Promise<void> {
    const { stale, database } = this;
    if (stale === null) return;
    this.stale = null;
    const { process, seat, injector } = stale;
    const { reconciler } = process;
    const before = database.writes;
    stale.goOn();
    await settle();
    for (let i = 0; i < 2; i++) {
      void reconciler.activate().catch(() => undefined);
      for (let turns = 0; turns < 10; turns++) await settle();
    }
    seat.clock.goOn();
    process.goOn();
    await settle();
    void reconciler.stop(0).catch(() => undefined);
    if (database.writes > before) this.ports.trouble("a frozen leader wrote after its time");
    this.ports.clock.after(FADING_MS, () => {
      injector.dead = true;
      seat.leave();
      void process.kill();
    });
  }

  /** Nothing is frozen from here on. */
  async calm(): Promise<void> {
    await this.thaw();
    this.injector.hold = null;
  }

  /** The process is gone on the spot. */
  async kill(): Promise<void> {
    const { process } = this;
    this.process = null;
    this.leaveSeat();
    if (process === null) return;
    this.injector.dead = true;
    await process.kill();
  }

  /** The database with everything in it is gone. */
  loseDatabase(): void {
    this.database.close();
    this.database = MemoryDatabase.empty();
    this.ports.watch.forget();
  }

  snapshot(): Uint8Array {
    return this.database.snapshot();
  }

  /** An older database takes its place; `raw`: without what `navarch restore` does to it. */
  async restore(bytes: Uint8Array, raw: boolean): Promise<void> {
    this.loseDatabase();
    this.database = MemoryDatabase.open(bytes);
    if (raw) return;
    const now = this.ports.clock.wallMs();
    const clients = { writer: this.database.client(), reader: this.database.client() };
    const store = await openLibsqlStore({ url: "memory:", now, clients });
    await settleRestored(store, now);
    await store.close();
  }

  /** Activations until nothing is left to do now. True once it rests, false if it died. */
  async turn(): Promise<boolean> {
    const { process, injector } = this;
    if (process === null) return false;
    const { reconciler } = process;
    const end = await this.orFrozen(
      rest(reconciler, {
        activationsMax: TURNS_MAX,
        untilQuiet: true,
        settle: () => (this.activations++, turn()),
        isDead: () => injector.dead,
      }),
    );
    if (end === FROZEN) return false;
    if (end === "restless") {
      const { actions } = reconciler.lastPlan();
      this.ports.trouble(`the plan never rests: ${JSON.stringify(actions)}`);
    }
    return end !== "dead";
  }

  /** The events that are kept, counted where they are kept. */
  events(): EventCount | null {
    // A lost database has no tables before the next process made them.
    if (this.process === null) return null;
    const [row] = this.database.rows("SELECT count(*), min(id), max(id) FROM event");
    const [count, first, last] = row ?? [];
    if (typeof count !== "number") return null;
    return { count, first: Number(first ?? 0), last: Number(last ?? 0) };
  }

  close(): void {
    this.database.close();
  }
}
