/**
 * One process of a simulated control plane, from its start on a durable store to its death: store,
 * loop and ingest composed as in production, on a clock that stops with the process. Wrappers such
 * as a crash injector are passed in `between`.
 */
import type { Client } from "@libsql/client";
import type { Config } from "../../schema/config.ts";
import { unadapted } from "../../reconciler/core/adapter.ts";
import type { Clock } from "../../reconciler/core/clock.ts";
import { foldConfig } from "../../reconciler/core/fold/config.ts";
import type { Provider } from "../../reconciler/core/provider.ts";
import type { Scheduler } from "../../reconciler/core/kubernetes/scheduler.ts";
import type { Snapshot, Store } from "../../reconciler/core/store.ts";
import { ALWAYS } from "../../reconciler/runtime/act/run.ts";
import { openNoScheduler } from "../../reconciler/runtime/no-scheduler.ts";
import type { Settings } from "../../reconciler/runtime/settings.ts";
import { compose, type ControlPlane, type PlanePorts } from "../../reconciler/server/compose.ts";
import { openLibsqlStore } from "../../reconciler/store/libsql.ts";
import type { KubeApi } from "../../reconciler/kubernetes/api.ts";
import { Kubernetes } from "../../reconciler/kubernetes/kubernetes.ts";
import { limited, Limiter } from "../../reconciler/kubernetes/limiter.ts";
import { heard } from "../../reconciler/kubernetes/refusal-log.ts";
import type { SlurmClient } from "../../reconciler/core/slurm/client.ts";
import { Slurm } from "../../reconciler/slurm/slurm.ts";
import { ProcessClock } from "./clock.ts";
import { Line } from "./line.ts";
import { seeded } from "./random.ts";

/** What stands between a process and its world; each may return what it was given. */
export type Between = {
  client(client: Client): Client;
  store(store: Store): Store;
  provider(provider: Provider): Provider;
  scheduler(scheduler: Scheduler): Scheduler;
  kube(api: KubeApi): KubeApi;
  slurm(client: SlurmClient): SlurmClient;
};

/** What all lives of one control plane share, and what may be chosen for one of them. */
export type ProcessPorts = Pick<PlanePorts, "config" | "policy" | "fleetId" | "log"> &
  Partial<
    Omit<
      PlanePorts,
      "store" | "clock" | "cursors" | "unavailable" | "scheduler" | "slurm" | "providers"
    >
  > & {
    clock: Clock;
    database: { url: string; clients: { writer: Client; reader: Client } | null };
    providers: ReadonlyMap<string, Provider>;
    /** The scheduler, or the API server of the cluster to look after; `null` = there is neither. */
    scheduler: Scheduler | { api: KubeApi; seed: number } | null;
    /** The Slurm controller to look after; absent = none. */
    slurm?: SlurmClient | null;
    between: Partial<Between>;
  };

export class Process {
  readonly store: Store;
  readonly scheduler: Scheduler;
  /** What was durable when it started. */
  readonly snapshot: Snapshot;
  readonly reconciler: ControlPlane["reconciler"];
  readonly ingest: ControlPlane["ingest"];
  readonly #clock: ProcessClock;
  readonly #line: Line | null;
  readonly #plane: ControlPlane;
  readonly #open: (config: Config) => Pick<Settings, "providers" | "unavailable">;

  private constructor(
    from: {
      store: Store;
      snapshot: Snapshot;
      clock: ProcessClock;
      open: (config: Config) => Pick<Settings, "providers" | "unavailable">;
    },
    hands: Hands,
    plane: ControlPlane,
  ) {
    this.#plane = plane;
    this.#open = from.open;
    this.store = from.store;
    this.snapshot = from.snapshot;
    this.#clock = from.clock;
    this.scheduler = hands.scheduler;
    this.#line = hands.line;
    this.reconciler = plane.reconciler;
    this.ingest = plane.ingest;
  }

  static async start(ports: ProcessPorts): Promise<Process> {
    const { config, between, database, providers } = ports;
    const clock = new ProcessClock(ports.clock);
    const { url, clients } = database;
    const opened = await openLibsqlStore({
      url,
      now: clock.wallMs(),
      wrap: (client) => between.client?.(client) ?? client,
      ...(clients === null ? {} : { clients }),
    });
    const store = between.store?.(opened) ?? opened;
    const hands = openHands(ports, clock);
    try {
      const snapshot = await store.load();
      const around = (provider: Provider) => between.provider?.(provider) ?? provider;
      const open = (config: Config) => ({
        // As a start does: only what the configuration names.
        providers: new Map(
          [...providers]
            .filter(([name]) => config.providers.some((one) => one.name === name))
            .map(([name, one]) => [name, around(one)]),
        ),
        unavailable: new Map(
          [...unadapted(config.providers)].filter(([name]) => !providers.has(name)),
        ),
      });
      const plane = await compose({
        ...aloneOn(clock),
        ...ports,
        // A killed process logs nothing, not even the failure of its last activation.
        log: (...line) => void (clock.hasEnded() || ports.log(...line)),
        clock,
        store,
        scheduler: hands.scheduler,
        slurm: openSlurm(ports, clock),
        ...open(config),
        cursors: snapshot.cursors,
      });
      return new Process({ store, snapshot, clock, open }, hands, plane);
    } catch (error) {
      await end(clock, hands.line, store);
      throw error;
    }
  }

  /** Runs with another configuration, its providers opened again. */
  reload(next: Config): Promise<void> {
    const { reconciler } = this;
    return this.#plane.adopt((work) => {
      const by = { by: "reload", hash: "", policy: "", now: this.#clock.wallMs() };
      const none = { removesPools: false, defaultPool: () => null };
      const running = reconciler.activeConfig();
      foldConfig(reconciler.fleet(), { running, next, ...by, ...none }, work);
      return { config: next, policy: reconciler.activePolicy(), ...this.#open(next) };
    });
  }

  /** SIGSTOP: no timer of it fires, and what it is sent waits. */
  stop(): void {
    this.#clock.stop();
    this.#line?.stop();
  }

  /** SIGCONT. */
  goOn(): void {
    this.#line?.goOn();
    this.#clock.goOn();
  }

  /** SIGKILL: nothing is flushed; calls that are out land or do not. */
  async kill(): Promise<void> {
    await end(this.#clock, this.#line, this.store);
  }
}

function openSlurm({ slurm, between, config, log }: ProcessPorts, clock: Clock): Slurm | null {
  if (slurm == null) return null;
  const client = between.slurm?.(slurm) ?? slurm;
  return new Slurm({ client, clock, log, pollMs: config.slurm.pollIntervalMs });
}

async function end(clock: ProcessClock, line: Line | null, store: Store): Promise<void> {
  clock.end();
  line?.close();
  await store.close().catch(() => undefined);
}

/** Ports of a control plane that runs alone: always leader, without set-up, signer or CPU time. */
export function aloneOn(clock: Clock): Omit<Solitary, "store" | "log" | "scheduler"> {
  return {
    clock,
    dryRun: false,
    permit: ALWAYS,
    cpuMs: () => clock.monoMs(),
    turn: () => Promise.resolve(),
    turned: () => undefined,
    credential: () => "",
    bootstrap: null,
    keyProblem: null,
    readMetric: null,
    signer: null,
    committed: () => undefined,
    judged: () => undefined,
  };
}

/** Without what is different in every world. */
type Solitary = Omit<
  PlanePorts,
  "providers" | "unavailable" | "config" | "policy" | "fleetId" | "cursors"
>;

type Hands = { scheduler: Scheduler; line: Line | null };

/** The scheduler as it is composed for a real server, on a line that the process owns. */
function openHands(ports: ProcessPorts, clock: Clock): Hands {
  const { between, config, log } = ports;
  const given = ports.scheduler ?? openNoScheduler();
  if (!("api" in given)) return { scheduler: between.scheduler?.(given) ?? given, line: null };
  const line = new Line(given.api);
  const limiter = new Limiter({ clock, perSecondMax: config.kubernetes.writesPerSecondMax });
  const paced = limited(between.kube?.(line) ?? line, limiter, clock);
  const scheduler = new Kubernetes({
    api: heard(paced, { clock, log, isOptional: config.kubernetes.enabled === "auto" }),
    limiter,
    server: "simulated",
    instance: "simulated-1",
    config: config.kubernetes,
    clock,
    random: seeded(given.seed),
    log,
    join: null,
    marked: () => undefined,
  });
  return { scheduler, line };
}
