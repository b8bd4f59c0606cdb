/** The HTTP application over a test world: same routes, same auth, no socket. */
import { Authority } from "../../reconciler/security/auth.ts";
import { type DemandQueue, noDemandQueue } from "../../reconciler/core/console/demand.ts";
import { noAgentPools } from "../../reconciler/core/agentpool/none.ts";
import type { AgentPools } from "../../reconciler/core/agentpool/service.ts";
import { Metrics } from "../../reconciler/http/metrics/metrics.ts";
import { type Admission, openAdmission } from "../../reconciler/security/join/admission.ts";
import { Simulation } from "../../reconciler/runtime/simulation.ts";
import { Quota } from "../../reconciler/http/route/quota.ts";
import { actOfCall, type GivenPorts } from "../../reconciler/http/route/table.ts";
import { openApp } from "../../reconciler/http/route/app.ts";
import type { App } from "../../reconciler/http/route/route.ts";
import type { Loaded, Reloader } from "../../reconciler/core/reload.ts";
import { openNoWorkflows, type WorkflowRunner } from "../../reconciler/core/workflow.ts";
import { openRuns } from "../../reconciler/server/open-runs.ts";
import type { World } from "./world.ts";

/** Whatever JSON came back; tests look at what they expect in it. */
export type Json = { [key: string]: Json } & Json[] & string & number & boolean & null;

export type WorldApp = {
  app: App;
  admission: Admission;
  ports: GivenPorts;
  authority: Authority;
  metrics: Metrics;
  /** A request as the holder of `token` (`null` = none). */
  call(
    method: string,
    path: string,
    body?: unknown,
    token?: string | null,
    more?: Record<string, string>,
  ): Promise<{ status: number; body: Json; text: string; headers: Headers }>;
};

const NO_EXTRAS = {
  backup: null,
  install: null,
  pods: null,
  traces: null,
  console: null,
  names: new Set<string>(),
  live: () => null,
};

const log = (): void => undefined;

/** A world has no files: a reload finds what is in force. */
function unchanging({ reconciler, clock }: World): Reloader {
  const loaded = (): Loaded => {
    return { config: reconciler.activeConfig(), policy: reconciler.activePolicy(), warnings: [] };
  };
  const nothing = { restart: [], problems: [], warnings: [], changed: 0 };
  return {
    files: () => [],
    loaded,
    loadedAt: () => 0,
    last: () => null,
    isStale: () => false,
    examine: () => Promise.resolve({ ok: true, loaded: loaded() }),
    reload: (by) => Promise.resolve({ ...nothing, outcome: "unchanged", at: clock.wallMs(), by }),
  };
}

const enabledIn = (world: World): boolean => world.reconciler.activeConfig().simulation.enabled;

export function openWorldApp(
  world: World,
  runner: WorkflowRunner = openNoWorkflows("a world has no cluster to rehearse on"),
  agentPools: AgentPools = noAgentPools("a world has no cluster with AgentPools"),
  queue: DemandQueue = noDemandQueue("this world has no demand queue"),
): WorldApp {
  const { store } = world;
  if (store === null) throw new Error("the world has no store");
  const metrics = new Metrics();
  metrics.attach(world.reconciler, [13, 79]);
  world.onCommit = (change) => metrics.committed(change);
  const authority = new Authority({
    secret: "s",
    admins: ["root"],
    shared: ["both"],
    credentials: [],
    anonymous: false,
  });
  let serial = 0;
  const admission = openAdmission({ store, authority, clock: world.clock, log, actOf: actOfCall });
  const workflows = openRuns({
    runner,
    audit: admission.audit,
    clock: world.clock,
    log,
    newId: () => `w${++serial}`,
  });
  const ports: GivenPorts = {
    admission,
    workflows,
    caPem: "-----BEGIN CERTIFICATE-----\n",
    reconciler: world.reconciler,
    ingest: world.ingest,
    authority,
    store,
    metrics,
    simulation: new Simulation(world.clock, () => enabledIn(world)),
    quota: new Quota(world.clock, log),
    clock: world.clock,
    log,
    newId: () => `id${++serial}`,
    newSecret: () => `nvt.${String(++serial).padStart(43, "s")}`,
    notReady: async () => [],
    agentPools,
    queue,
    ...NO_EXTRAS,
    reloader: () => unchanging(world),
  };
  const app = openApp(ports);
  return {
    app,
    admission,
    ports,
    authority,
    metrics,
    call: openCall(world, app),
  };
}

function openCall(world: World, app: App): WorldApp["call"] {
  return async (method, path, body, token = "root", more = {}) => {
    const headers: Record<string, string> = {
      ...more,
      ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
    };
    const init = {
      method,
      headers,
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    };
    const pending = Promise.resolve(app.request(path, init));
    // An order waits for the loop, so the loop has to run while it waits.
    let done = false;
    void pending.then(() => (done = true));
    for (let i = 0; i < 10 && !done; i++) await world.turn();
    for (let i = 0; i < 5 && !done; i++) await world.clock.pass(1_000);
    const answer = await pending;
    const text = await answer.text();
    let parsed: unknown = null;
    try {
      parsed = JSON.parse(text);
    } catch {
      parsed = null;
    }
    return { status: answer.status, body: parsed as Json, text, headers: answer.headers };
  };
}
