/**
 * The production control plane in simulated time: store, reconciler, ingest, HTTP application and
 * metrics, composed as in `server/main.ts`. Its database outlives it, so that it can be killed and
 * restarted; a paused one answers no request.
 */
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import { Authority } from "../../reconciler/security/auth.ts";
import type { Clock } from "../../reconciler/core/clock.ts";
import { noDemandQueue } from "../../reconciler/core/console/demand.ts";
import { noAgentPools } from "../../reconciler/core/agentpool/none.ts";
import { Metrics } from "../../reconciler/http/metrics/metrics.ts";
import type { Provider } from "../../reconciler/core/provider.ts";
import { takeReport, type ReportAnswer } from "../../reconciler/http/route/agent.ts";
import { Quota } from "../../reconciler/http/route/quota.ts";
import { openApp } from "../../reconciler/http/route/app.ts";
import type { App } from "../../reconciler/http/route/route.ts";
import type { GivenPorts } from "../../reconciler/http/route/table.ts";
import { openReadiness } from "../../reconciler/http/route/ready.ts";
import type { KubeApi } from "../../reconciler/kubernetes/api.ts";
import { resourceOf } from "../../reconciler/kubernetes/client.ts";
import type { Change } from "../../reconciler/core/store.ts";
import { openNoWorkflows } from "../../reconciler/core/workflow.ts";
import { WorkflowRuns } from "../../reconciler/runtime/workflow/runs.ts";
import type { Config } from "../../schema/config.ts";
import type { NodeId } from "../../schema/id.ts";
import { Process } from "../engine/process.ts";
import { MemoryDatabase } from "../engine/sql.ts";
import { FLEET_ID } from "./cloud.ts";

export const ADMIN_TOKEN = "sim-admin";
const SECRET = "sim";
/** Time from the start of the process to its first activation. */
const START_MS = 1;
/** Codes whose counters start at 0, so that `increase()` counts the first XID too. */
const XIDS = [13, 31, 43, 45, 48, 63, 64, 74, 79, 92, 94, 95, 119];

export type PlaneWorld = {
  clock: Clock;
  config: Config;
  policy: CompiledPolicy;
  providers: ReadonlyMap<string, Provider>;
  /** API server of the cluster that it manages; `null` = none. */
  kube: { api: KubeApi; seed: number } | null;
  /** CPU milliseconds charged for each activation; simulated time stands still during one. */
  workMs: number;
  committed(change: Change): void;
  /** Called just before the loop observes and before an API read. */
  before(): void;
  log(level: string, message: string, fields?: Record<string, unknown>): void;
};

type Life = {
  process: Process;
  metrics: Metrics;
  authority: Authority;
  ports: GivenPorts;
  app: App;
};

const openNoRuns = (clock: Clock): WorkflowRuns =>
  new WorkflowRuns({
    runner: openNoWorkflows("a simulated control plane runs no workflows"),
    clock,
    log: () => undefined,
    newId: () => "none",
    record: async () => true,
  });

export class Plane {
  readonly #world: PlaneWorld;
  #config: Config;
  #database = MemoryDatabase.empty();
  #life: Life | null = null;
  #paused = false;
  #serial = 0;
  #lives = 0;
  #cpuMs = 0;
  readonly #tokens = new Map<string, string>();
  activations = 0;
  /** Activations that ended in an exception, which in production end the process. */
  readonly crashes = { count: 0, first: "" };

  constructor(world: PlaneWorld) {
    this.#world = world;
    this.#config = world.config;
  }

  /** Sets the configuration of the next start. */
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

  /** Starts a process on the stored state. */
  async start(): Promise<void> {
    if (this.#life !== null) return;
    const { clock, policy, providers, committed, log, kube, workMs } = this.#world;
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
      log: (level, message, fields) => {
        if (message === "activation failed") this.#noteCrash(String(fields?.["error"]));
        log(level, message, fields);
      },
      // The loop reads this before and after each activation.
      cpuMs: () => (this.#cpuMs += workMs),
      turn: async () => this.#world.before(),
      turned: () => void this.activations++,
      credential: (node) => authority.issueNode(node),
      committed: (change) => {
        metrics.committed(change);
        committed(change);
      },
      judged: (judged) => metrics.judged(judged),
      between: {},
    });
    const { store, snapshot, reconciler, ingest } = process;
    for (const credential of snapshot.credentials) authority.put(credential);
    metrics.attach(reconciler, XIDS);
    const ports: GivenPorts = {
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
      traces: null,
      install: null,
      ...{ admission: null, pods: null, caPem: null },
      names: new Set(),
      simulation: null,
      reloader: () => null,
      workflows: openNoRuns(clock),
      queue: noDemandQueue("a simulation has no demand queue"),
      agentPools: noAgentPools("a simulation has no cluster with AgentPools"),
      console: null,
      live: () => null,
    };
    const life = { process, metrics, authority, ports, app: openApp(ports) };
    this.#life = life;
    log("info", "control plane started");
    // Steps of the scenario at this instant run before the first activation.
    clock.after(START_MS, () => {
      if (this.#life === life) reconciler.start();
    });
  }

  /** As SIGSTOP: time passes, and the process does nothing. */
  pause(): void {
    this.#paused = true;
    this.#life?.process.stop();
    this.#world.log("warn", "control plane paused");
  }

  resume(): void {
    this.#paused = false;
    this.#life?.process.goOn();
    this.#world.log("warn", "control plane goes on");
  }

  /** As SIGKILL: everything that is not stored is lost. */
  async kill(): Promise<void> {
    const life = this.#life;
    if (life === null) return;
    this.#life = null;
    this.#paused = false;
    await life.process.kill();
    this.#world.log("warn", "control plane killed");
  }

  /** Loses the database. Call it only while the process is dead. */
  wipe(): void {
    this.#database.close();
    this.#database = MemoryDatabase.empty();
    this.#world.log("warn", "database lost");
  }

  async close(): Promise<void> {
    await this.kill();
    this.#database.close();
  }

  /** Takes a node's report with the node's own credential, as both transports do. */
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

  /** A request of an administrator; `null` while the process is dead or paused. */
  async request(method: string, path: string, body?: unknown): Promise<Response | null> {
    const life = this.#life;
    if (life === null || this.#paused) return null;
    this.#world.before();
    const headers = { Authorization: `Bearer ${ADMIN_TOKEN}` };
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    return life.app.request(path, { method, headers, ...sent });
  }

  #noteCrash(error: string): void {
    if (this.crashes.count++ === 0) this.crashes.first = error.split("\n", 1)[0] ?? error;
  }
}

/** Counts the product's writes to the API server; `close` does not close that server. */
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
