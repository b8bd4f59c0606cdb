/**
 * The control plane of a simulated fleet: one process at a time on a database that outlives it.
 * Loop, ingest and store are production's; the wrappers around its ports only watch and kill.
 */
import { compiledBuiltin } from "../../../health/policy/builtin.ts";
import type { Clock } from "../../../reconciler/core/clock.ts";
import type { Provider } from "../../../reconciler/core/provider.ts";
import type { Scheduler } from "../../../reconciler/core/scheduler.ts";
import type { Config } from "../../../schema/config.ts";
import type { EventCount } from "../../invariant/check.ts";
import type { Watch } from "../../invariant/watch.ts";
import { turn } from "../../../simulator/engine/clock.ts";
import { rest } from "../../world/drive.ts";
import { MemoryDatabase } from "../../../simulator/engine/sql.ts";
import { CrashInjector } from "../../world/crash-injector.ts";
import type { Sinks } from "./sinks.ts";
import { Process } from "../../../simulator/engine/process.ts";

export type LifePorts = {
  clock: Clock;
  cloud: Provider;
  /** The scheduler in memory, where the fleet is in no other. */
  scheduler: Scheduler;
  sinks: Sinks;
  watch: Watch;
  fleetId: string;
  /** The process's own log, at level error: a bug, unless it dies. */
  trouble(message: string): void;
};

/** Activations of one turn: an initial purchase of a large fleet goes sixteen calls at a time. */
const TURNS_MAX = 400;

export class Life {
  private readonly ports: LifePorts;
  private database = MemoryDatabase.empty();
  private process: Process | null = null;
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

  /** A process comes up on what is durable. */
  async start(config: Config): Promise<void> {
    const { clock, watch, fleetId, cloud, scheduler, sinks, trouble } = this.ports;
    const injector = new CrashInjector();
    this.lives++;
    const process = await Process.start({
      clock,
      database: {
        url: "memory:",
        clients: { writer: this.database.client(), reader: this.database.client() },
      },
      log: (level, message, fields) => {
        if (level === "error" && !injector.dead) trouble(`${message} ${JSON.stringify(fields)}`);
      },
      ...(sinks.some ? sinks.ports() : { scheduler }),
      providers: new Map([["fake", cloud]]),
      config,
      policy: compiledBuiltin,
      fleetId,
      between: {
        client: (client) => injector.client(client),
        store: (store) => watch.store(store),
        provider: (one) =>
          injector.provider(watch.provider(one)),
        scheduler: (one) => injector.scheduler(watch.scheduler(one)),
        kube: (api) => injector.kube(api),
        slurm: (client) => injector.slurm(client),
      },
    });
    this.process = process;
    this.injector = injector;
    const { reconciler } = process;
    reconciler.cluster().cluster?.start(() => reconciler.wakeUp());
    reconciler.slurm()?.sink.start(() => reconciler.wakeUp());
  }

  /** The process, if there is one, goes on with another configuration; a crash may come first. */
  async reload(config: Config): Promise<void> {
    const { running, injector } = this;
    await running?.reload(config).catch((error: unknown) => {
      if (!injector.dead) throw error;
    });
  }

  /** The process is gone on the spot. */
  async kill(): Promise<void> {
    const { process } = this;
    this.process = null;
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

  /** Activations until nothing is left to do now. True once it rests, false if it died. */
  async turn(): Promise<boolean> {
    const { process, injector } = this;
    if (process === null) return false;
    const { reconciler } = process;
    const end = await rest(reconciler, {
      activationsMax: TURNS_MAX,
      untilQuiet: true,
      settle: () => (this.activations++, turn()),
      isDead: () => injector.dead,
    });
    if (end === "restless") {
      const { actions } = reconciler.lastPlan();
      this.ports.trouble(`the plan never rests: ${JSON.stringify(actions)}`);
    }
    return end !== "dead";
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
}
