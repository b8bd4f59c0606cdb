/**
 * The control plane of a simulated fleet: one process at a time on a database that outlives it. The
 * loop, the ingest and the store are production's; what is put between them and the world only
 * watches, and kills.
 */
import { compiledBuiltin } from "../../../health/policy/builtin.ts";
import type { Clock } from "../../../reconciler/core/clock.ts";
import { Ingest } from "../../../reconciler/runtime/ingest.ts";
import { Reconciler } from "../../../reconciler/runtime/loop.ts";
import type { Provider } from "../../../reconciler/core/provider.ts";
import type { Scheduler } from "../../../reconciler/core/scheduler.ts";
import { openLibsqlStore } from "../../../reconciler/store/libsql.ts";
import type { Store } from "../../../reconciler/core/store.ts";
import type { Config } from "../../../schema/config.ts";
import type { EventCount } from "../../invariant/check.ts";
import type { Watch } from "../../invariant/watch.ts";
import { MemoryDatabase } from "../../../simulator/engine/sql.ts";
import { Fuse } from "./fuse.ts";
import { aroundProvider } from "../../../reconciler/provider/around.ts";
import { aroundScheduler } from "../../../simulator/engine/around.ts";
import { compose } from "../../../reconciler/server/compose.ts";
import { aloneOn } from "../../../simulator/engine/process.ts";

export type LifePorts = {
  clock: Clock;
  cloud: Provider;
  scheduler: Scheduler;
  watch: Watch;
  fleetId: string;
  /** The process's own log, at level error: a bug, unless it dies. */
  trouble(message: string): void;
};

type Process = { reconciler: Reconciler; ingest: Ingest; store: Store; fuse: Fuse };

/** Activations of one turn: an initial purchase of a large fleet goes sixteen calls at a time. */
const TURNS_MAX = 400;

export class Life {
  private readonly ports: LifePorts;
  private database = MemoryDatabase.empty();
  private process: Process | null = null;
  /** Something arrived since the last activation began. */
  private dirty = false;
  activations = 0;
  lives = 0;

  constructor(ports: LifePorts) {
    this.ports = ports;
  }

  isUp(): boolean {
    return this.process !== null && !this.process.fuse.dead;
  }

  get running(): Process | null {
    return this.isUp() ? this.process : null;
  }

  blind(): readonly string[] {
    return this.process?.reconciler.lastSight()?.blind ?? [];
  }

  /** A process comes up on what is durable. */
  async start(config: Config): Promise<void> {
    const { clock, watch, fleetId } = this.ports;
    const fuse = new Fuse();
    this.lives++;
    const clients = { writer: this.database.client(), reader: this.database.client() };
    const opened = await openLibsqlStore({
      url: "memory:",
      now: clock.wallMs(),
      clients,
      wrap: (client) => fuse.client(client),
    });
    const store = watch.store(opened);
    const gated = fuse.provider(watch.provider(this.ports.cloud));
    const cloud = aroundProvider(gated, (_, call) => this.note(call()));
    const scheduler = aroundScheduler(
      fuse.scheduler(watch.scheduler(this.ports.scheduler)),
      (_, call) => this.note(call()),
    );
    const snapshot = await store.load();
    const { reconciler, ingest } = await compose({
      ...aloneOn(clock),
      store,
      log: (level, message, fields) => {
        if (level === "error" && !fuse.dead)
          this.ports.trouble(`${message} ${JSON.stringify(fields)}`);
      },
      scheduler,
      providers: new Map([["fake", cloud]]),
      unavailable: new Map(),
      config,
      policy: compiledBuiltin,
      fleetId,
      cursors: snapshot.cursors,
    });
    // The loop is turned from here, so a hint asks for a turn and not for an end of its sleep.
    reconciler.hint = () => (this.dirty = true);
    this.process = { reconciler, ingest, store, fuse };
  }

  /** The process is gone on the spot. */
  async kill(): Promise<void> {
    const { process } = this;
    this.process = null;
    if (process === null) return;
    process.fuse.dead = true;
    await process.store.close().catch(() => undefined);
  }

  /** The database with everything in it is gone. */
  loseDatabase(): void {
    this.database.close();
    this.database = MemoryDatabase.empty();
    this.ports.watch.forget();
  }

  /** Activations until nothing is left to do now. True once it rests, false if it died. */
  async turn(): Promise<boolean> {
    const { process } = this;
    if (process === null) return false;
    const { reconciler, fuse } = process;
    for (let i = 0; i < TURNS_MAX; i++) {
      this.dirty = false;
      this.activations++;
      try {
        await reconciler.activate();
      } catch (error) {
        if (fuse.dead) return false;
        throw error;
      }
      await breathe();
      if (fuse.dead) return false;
      if (!this.dirty && reconciler.lastPlan().actions.length === 0) return true;
    }
    this.ports.trouble(`the plan never rests: ${JSON.stringify(reconciler.lastPlan().actions)}`);
    return true;
  }

  /** The events that are kept, counted where they are kept. */
  events(): EventCount | null {
    const [row] = this.database.rows("SELECT count(*), min(id), max(id) FROM event");
    const [count, first, last] = row ?? [];
    if (this.process === null || typeof count !== "number") return null;
    return { count, first: Number(first ?? 0), last: Number(last ?? 0) };
  }

  close(): void {
    this.database.close();
  }

  /** The answer is worth another activation. */
  private note<T>(answer: Promise<T>): Promise<T> {
    return answer.finally(() => (this.dirty = true));
  }
}

/** Lets every started promise run as far as it can without time passing. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
