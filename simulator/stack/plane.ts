/**
 * The production control plane in simulated time: store, reconciler, ingest, HTTP application and
 * metrics, composed as `server/main.ts` composes them. Its database outlives it, so that it can
 * be killed and started again; a paused one misses the time and answers nobody.
 */
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import { Authority } from "../../reconciler/security/auth.ts";
import type { Clock } from "../../reconciler/core/clock.ts";
import { Metrics } from "../../reconciler/http/metrics.ts";
import type { Provider } from "../../reconciler/core/provider.ts";
import { takeReport, type ReportAnswer } from "../../reconciler/http/route/agent.ts";
import { Quota } from "../../reconciler/http/route/quota.ts";
import { openApp, type App, type RoutePorts } from "../../reconciler/http/route/app.ts";
import { openReadiness } from "../../reconciler/http/route/ready.ts";
import type { KubeApi } from "../../reconciler/kubernetes/api.ts";
import { resourceOf } from "../../reconciler/kubernetes/client.ts";
import type { Change } from "../../reconciler/core/store.ts";
import type { Config } from "../../schema/config.ts";
import type { NodeId } from "../../schema/id.ts";
import { Process } from "../engine/process.ts";
import { MemoryDatabase } from "../engine/sql.ts";
import { FLEET_ID } from "./cloud.ts";

export const ADMIN_TOKEN = "sim-admin";
const SECRET = "sim";
/** The loop's own longest sleep. */
const PERIOD_MS = 1_000;
/** Counters that exist from the start, so that an increase sees the first. */
const XIDS = [13, 31, 43, 45, 48, 63, 64, 74, 79, 92, 94, 95, 119];

export type PlaneWorld = {
  clock: Clock;
  config: Config;
  policy: CompiledPolicy;
  providers: ReadonlyMap<string, Provider>;
  /** The API server of the cluster that it looks after; `null` = there is none. */
  kube: { api: KubeApi; seed: number } | null;
  /**
   * Least rest between two activations in milliseconds. Production rests three times as long as it
   * worked, at most 250; here no time passes while it works, so the rest is chosen.
   */
  restMs: number;
  committed(change: Change): void;
  /** Just before the loop observes, and before the API is read. */
  before(): void;
  log(level: string, message: string, fields?: Record<string, unknown>): void;
};

type Life = {
  process: Process;
  metrics: Metrics;
  authority: Authority;
  ports: RoutePorts;
  app: App;
};

export class Plane {
  readonly #world: PlaneWorld;
  #config: Config;
  #database = MemoryDatabase.empty();
  #life: Life | null = null;
  #paused = false;
  #serial = 0;
  #lives = 0;
  #timer: { atMono: number; cancel: () => void } | null = null;
  #restUntil = 0;
  #busy: Promise<void> | null = null;
  #awake = false;
  readonly #tokens = new Map<string, string>();
  activations = 0;
  /** Activations that ended in an exception, which in production end the process. */
  readonly crashes = { count: 0, first: "" };

  constructor(world: PlaneWorld) {
    this.#world = world;
    this.#config = world.config;
  }

  /** What the next life is started with. */
  configure(config: Config): void {
    this.#config = config;
  }

  /** `null` while the process is dead. */
  life(): Life | null {
    return this.#life;
  }

  isReachable(): boolean {
    return this.#life !== null && !this.#paused;
  }

  /** A process starts on what is durable. */
  async start(): Promise<void> {
    if (this.#life !== null) return;
    const { clock, policy, providers, committed, log, kube } = this.#world;
    const metrics = new Metrics();
    const given = { shared: [], credentials: [], anonymous: false };
    const authority = new Authority({ secret: SECRET, admins: [ADMIN_TOKEN], ...given });
    const client = () => this.#database.client();
    const process = await Process.start({
      clock,
      database: { url: "memory:", clients: { writer: client(), reader: client() } },
      scheduler:
        kube === null
          ? null
          : { api: counting(kube.api, metrics), seed: kube.seed + this.#lives++ },
      providers,
      config: this.#config,
      policy,
      fleetId: FLEET_ID,
      log,
      credential: (node) => authority.issueNode(node),
      committed: (change) => {
        metrics.committed(change);
        committed(change);
      },
      judged: (judged) => metrics.judged(judged),
      between: {},
    });
    const { store, snapshot, scheduler, reconciler, ingest } = process;
    for (const credential of snapshot.credentials) authority.put(credential);
    metrics.attach(reconciler, XIDS);
    const ports: RoutePorts = {
      reconciler,
      ingest,
      authority,
      store,
      metrics,
      quota: new Quota(clock, log),
      clock,
      log,
      newId: () => `sim${++this.#serial}`,
      newSecret: () => `nvt.sim${++this.#serial}`,
      notReady: openReadiness({ reconciler, ingest, store, clock }),
      backup: null,
      install: null,
      admission: null,
      pods: null,
      caPem: null,
      names: new Set(),
      live: () => null,
    };
    const life = { process, metrics, authority, ports, app: openApp(ports) };
    this.#life = life;
    // The loop is turned from here, so a hint asks for a turn and not for an end of its sleep.
    reconciler.wakeUp = () => this.#wakeUp();
    scheduler.cluster?.start(() => {
      if (this.#life === life) this.#wakeUp();
    });
    log("info", "control plane started");
    this.#wakeUp();
  }

  /** SIGSTOP: time passes without it. */
  pause(): void {
    this.#paused = true;
    this.#life?.process.stop();
    this.#world.log("warn", "control plane paused");
  }

  resume(): void {
    this.#paused = false;
    this.#life?.process.goOn();
    this.#world.log("warn", "control plane goes on");
    this.#wakeUp();
  }

  /** SIGKILL: what is not durable is lost. */
  async kill(): Promise<void> {
    const life = this.#life;
    if (life === null) return;
    this.#life = null;
    this.#paused = false;
    this.#timer?.cancel();
    this.#timer = null;
    this.#restUntil = 0;
    life.process.stop();
    await this.#busy?.catch(() => undefined);
    await life.process.kill();
    this.#world.log("warn", "control plane killed");
  }

  /** Its disk is lost; only for one that is dead. */
  wipe(): void {
    this.#database.close();
    this.#database = MemoryDatabase.empty();
    this.#world.log("warn", "database lost");
  }

  async close(): Promise<void> {
    await this.kill();
    this.#database.close();
  }

  /** One report of a node by its own credential, the way both transports go. */
  async takeReport(nodeId: NodeId, report: unknown): Promise<ReportAnswer> {
    const life = this.#life;
    if (life === null) return { kind: "error", code: "unavailable", message: "dead" };
    let token = this.#tokens.get(nodeId);
    if (token === undefined) {
      token = life.authority.issueNode(nodeId);
      this.#tokens.set(nodeId, token);
    }
    const header = `Bearer ${token}`;
    const principal = life.authority.identify(header, this.#world.clock.wallMs());
    if (principal === null) {
      return { kind: "error", code: "unauthenticated", message: "token rejected" };
    }
    return takeReport(life.ports, principal, report);
  }

  /** A request of an administrator; `null` while nobody answers. */
  async request(method: string, path: string, body?: unknown): Promise<Response | null> {
    const life = this.#life;
    if (life === null || this.#paused) return null;
    this.#world.before();
    const headers = { Authorization: `Bearer ${ADMIN_TOKEN}` };
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    return life.app.request(path, { method, headers, ...sent });
  }

  #wakeUp(): void {
    this.#awake = true;
    this.#arm(0);
  }

  /** At most one timer waits; the earliest request wins. */
  #arm(ms: number): void {
    if (this.#life === null || this.#paused || this.#busy !== null) return;
    const { clock } = this.#world;
    const now = clock.monoMs();
    const atMono = Math.max(now + ms, this.#restUntil);
    if (this.#timer !== null && this.#timer.atMono <= atMono) return;
    this.#timer?.cancel();
    const cancel = clock.after(atMono - now, () => {
      this.#timer = null;
      this.#turn();
    });
    this.#timer = { atMono, cancel };
  }

  #turn(): void {
    const life = this.#life;
    if (life === null || this.#paused || this.#busy !== null) return;
    this.#awake = false;
    const { restMs } = this.#world;
    this.#restUntil = this.#world.clock.monoMs() + restMs;
    this.#world.before();
    this.activations++;
    this.#busy = this.#activate(life).then((worked) => {
      this.#busy = null;
      if (life !== this.#life) return;
      // The loop rests after a failure too, whatever hints came.
      if (!worked) this.#restUntil = this.#world.clock.monoMs() + PERIOD_MS;
      // More waits than one activation takes in: it must not fall behind for ever.
      else if (this.#awake) this.#restUntil -= Math.floor(restMs / 2);
      const goesOn = this.#awake || life.process.reconciler.lastPlan().actions.length > 0;
      this.#arm(goesOn ? 0 : this.#pauseMs(life.process));
    });
  }

  async #activate(life: Life): Promise<boolean> {
    try {
      await life.process.reconciler.activate();
      return true;
    } catch (error) {
      if (life !== this.#life) return true;
      const told = error instanceof Error ? (error.stack ?? error.message) : String(error);
      if (this.crashes.count++ === 0) this.crashes.first = told.split("\n", 1)[0] ?? told;
      this.#world.log("error", "activation failed", { error: told });
      return false;
    }
  }

  #pauseMs({ reconciler }: Process): number {
    const now = this.#world.clock.wallMs();
    let least = PERIOD_MS;
    for (const { until } of reconciler.lastPlan().waits) {
      if (until !== null && until > now) least = Math.min(least, until - now);
    }
    return least;
  }
}

/** The server, with what the product writes there counted; hanging up ends only its own line. */
function counting(api: KubeApi, metrics: Metrics): KubeApi {
  return {
    call: async (request) => {
      const { verb, path, pool } = request;
      const answer = await api.call(request);
      if (verb !== "get" && verb !== "list") {
        metrics.countKubeWrite(pool ?? "", verb, resourceOf(path));
      }
      return answer;
    },
    watch: (...what) => api.watch(...what),
    close: () => undefined,
  };
}
