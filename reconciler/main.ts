/**
 * Composes the control plane and runs it: the one place of this room that touches the ambient world
 * (law 8). `cli/command/control-plane.ts` calls it with parsed flags.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { builtinPolicy } from "../health/policy/builtin.ts";
import { compilePolicy, type CompiledPolicy } from "../health/policy/compile.ts";
import type { Config } from "../schema/config.ts";
import { LIMIT } from "../schema/limit.ts";
import { VERSION } from "../schema/version.ts";
import { expandEnv, Notifier } from "./act/deliver.ts";
import { Authority } from "./auth.ts";
import type { Clock, Log } from "./clock.ts";
import { openConfig, openPolicy, readDisk } from "./config/open.ts";
import { printProblem } from "./config/problem.ts";
import { openAdminToken, openIdentity } from "./identity.ts";
import { Ingest } from "./ingest.ts";
import { takeLock } from "./lock.ts";
import { Reconciler } from "./loop.ts";
import { Metrics } from "./metrics.ts";
import { openProviders } from "./provider/open.ts";
import { openApp, refuseUpgrade, type RoutePorts } from "./route/app.ts";
import { streamHandler, type StreamData } from "./route/stream.ts";
import { openNoScheduler } from "./scheduler/none.ts";
import type { Store } from "./store/store.ts";
import { openLibsqlStore } from "./store/libsql.ts";

export type ControlPlaneOptions = {
  configPaths: string[];
  authToken?: string;
  authTokenFile?: string;
  /** Overrides `server.address`. */
  addr?: string;
  /** State folder; see `stateFolder`. */
  state?: string;
  logLevel: "debug" | "info" | "warn" | "error";
  logFormat: "json" | "text";
  shutdownTimeoutMs: number;
  dryRun: boolean;
  /** Where to write the port that was bound, for tests with port 0. */
  testPortFile?: string;
  /** How the fake provider starts agents; `null` = beside this binary, or from source. */
  agentCommand?: readonly string[];
};

/**
 * Wall time for records and stored instants, slewed: it follows the system's clock, but never by
 * more than a tenth of the time that passes. A clock that is set by an hour then moves no deadline
 * by an hour.
 */
function openWall(): () => number {
  let atMono = performance.now();
  let wall = Date.now();
  return () => {
    const mono = performance.now();
    const passed = mono - atMono;
    const drift = Date.now() - (wall + passed);
    wall += passed + Math.max(-SLEW * passed, Math.min(SLEW * passed, drift));
    atMono = mono;
    return Math.round(wall);
  };
}
const SLEW = 0.1;

const CLOCK: Clock = {
  wallMs: openWall(),
  monoMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * `--state`, else /var/lib/navarch as root, else ~/.local/state/navarch (decisions, "Auth on day
 * one").
 */
export function stateFolder(given: string | undefined): string {
  if (given !== undefined) return given;
  return process.getuid?.() === 0
    ? "/var/lib/navarch"
    : join(homedir(), ".local", "state", "navarch");
}

function openLog(options: ControlPlaneOptions): Log {
  const rank = { debug: 0, info: 1, warn: 2, error: 3 };
  return (level, msg, fields = {}) => {
    if (rank[level] < rank[options.logLevel]) return;
    const time = new Date().toISOString();
    if (options.logFormat === "json")
      process.stdout.write(`${JSON.stringify({ time, level, msg, ...fields })}\n`);
    else
      process.stdout.write(
        `${time} ${level.padEnd(5)} ${msg} ${Object.keys(fields).length === 0 ? "" : JSON.stringify(fields)}\n`,
      );
  };
}

type Loaded = { config: Config; policy: CompiledPolicy; warnings: string[] };

/** Configuration and policy, or the lines that say why not. */
async function load(options: ControlPlaneOptions): Promise<Loaded | { errors: string[] }> {
  const read = await openConfig(options.configPaths, readDisk, {
    portZero: options.testPortFile !== undefined,
    externalAddress: process.env["NAVARCH_EXTERNAL_ADDRESS"] !== undefined,
  });
  const errors = read.problems.filter((p) => p.severity === "error").map(printProblem);
  if (read.config === null || errors.length > 0) return { errors };
  const warnings = read.problems.filter((p) => p.severity === "warning").map(printProblem);
  const path = read.config.server.healthPolicyPath;
  const given = path === null ? null : await openPolicy(path);
  if (given !== null && !given.missing && given.policy === null)
    return { errors: given.problems.map(printProblem) };
  if (given?.missing === true)
    warnings.push(`health policy ${path} is missing: running on the built-in policy`);
  const compiled = compilePolicy(given?.policy ?? builtinPolicy);
  if (!compiled.ok)
    return {
      errors: compiled.problems.map(
        (p) => `${path ?? "built-in policy"}: ${p.rule ?? ""}: ${p.message}`,
      ),
    };
  return { config: read.config, policy: compiled.compiled, warnings };
}

/** Tokens given from outside; they serve operators and agents alike (the guide's shared token). */
function sharedTokens(options: ControlPlaneOptions, config: Config): string[] {
  const { auth } = config.server;
  const out: string[] = [];
  const file = options.authTokenFile ?? process.env["NAVARCH_AUTH_TOKEN_FILE"] ?? auth.tokenFile;
  if (options.authToken !== undefined) out.push(options.authToken);
  if (file !== null && file !== undefined) out.push(readFileSync(file, "utf8").trim());
  const env = process.env[auth.tokenEnv];
  if (env !== undefined && env !== "") out.push(env);
  return out.filter((token) => token !== "");
}

function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address);
  if (match === null) throw new UsageError(`--addr ${address}: expected host:port`);
  return { host: match[1] ?? match[2] ?? "", port: Number(match[3]) };
}

class UsageError extends Error {}

/**
 * Starts; `exitCode` resolves when the server has stopped. 0 clean · 2 bad configuration · 1
 * run-time failure.
 */
export async function startControlPlane(
  options: ControlPlaneOptions,
): Promise<{ exitCode: Promise<number> }> {
  const log = openLog(options);
  try {
    const loaded = await load(options);
    if ("errors" in loaded) {
      for (const line of loaded.errors) process.stderr.write(`${line}\n`);
      return { exitCode: Promise.resolve(2) };
    }
    for (const warning of loaded.warnings) log("warn", warning);
    return await serve(options, loaded, log);
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n`);
      return { exitCode: Promise.resolve(2) };
    }
    log("error", "cannot start", {
      error: String(error instanceof Error ? (error.stack ?? error) : error),
    });
    return { exitCode: Promise.resolve(1) };
  }
}

async function serve(
  options: ControlPlaneOptions,
  loaded: Loaded,
  log: Log,
): Promise<{ exitCode: Promise<number> }> {
  const { config, policy } = loaded;
  const address =
    options.addr === undefined
      ? { host: config.server.host, port: config.server.port }
      : parseAddress(options.addr);
  const state = stateFolder(options.state);
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const identity = openIdentity(state, (n) => randomBytes(n));
  const lock = await takeLock(
    join(state, "lock.db"),
    (ms) => Bun.sleep(ms),
    () => log("warn", "another control plane has this state folder: waiting", { state }),
  );
  const given = config.server.statePath;
  const url =
    given === null
      ? `file:${join(state, "navarch.db")}`
      : given.includes("://")
        ? given
        : `file:${given}`;
  const store = await openLibsqlStore({ url, now: CLOCK.wallMs() });
  const metrics = new Metrics();
  const shared = sharedTokens(options, config);
  const admin = shared.length === 0 ? openAdminToken(state, (n) => randomBytes(n)) : null;
  const adminFile = config.server.auth.adminTokenFile;
  const admins = [
    admin?.token,
    adminFile === null ? undefined : readFileSync(adminFile, "utf8").trim(),
  ].filter((t) => t !== undefined);
  const snapshot = await store.load();
  const anonymous = config.server.auth.allowAnonymous;
  const authority = new Authority({
    secret: identity.secret,
    admins,
    shared,
    credentials: snapshot.credentials,
    anonymous,
  });
  if (anonymous) log("warn", "allow_anonymous is on: ANYONE who reaches this port may do anything");
  if (shared.length > 0)
    log(
      "warn",
      "one shared token serves operators and agents: `navarch doctor` tells how to split it",
    );
  if (admin !== null)
    log("info", admin.fresh ? "wrote the first admin's token" : "admin token", {
      path: admin.path,
    });

  let port = 0;
  const scheme = config.server.tls === null ? "http" : "https";
  const opened = await openProviders(config.providers, {
    folder: (name) => join(state, "cloud", name),
    fleetId: identity.fleetId,
    clock: CLOCK,
    random: () => Math.random(),
    serverUrl: () => (port === 0 ? "" : `${scheme}://127.0.0.1:${port}`),
    agentCommand: options.agentCommand ?? null,
    problem: (message) => log("warn", message),
    count: (provider, op, outcome) => metrics.countRequest(provider, op, outcome),
  });
  const reconciler = await Reconciler.open(
    {
      store,
      clock: CLOCK,
      log,
      providers: opened.providers,
      unavailable: opened.unavailable,
      targets: {
        provider: (name) => opened.providers.get(name) ?? null,
        scheduler: openNoScheduler(),
        credential: (node) => authority.issueNode(node),
      },
      committed: (change) => metrics.committed(change),
      judged: (judged) => metrics.judged(judged),
    },
    config,
    policy,
    identity.fleetId,
  );
  metrics.attach(reconciler, XIDS);
  const ingest = new Ingest(
    store,
    CLOCK,
    {
      presence: reconciler.presence,
      node: (id) => reconciler.fleet().nodes.get(id) ?? null,
      count: () => reconciler.fleet().nodes.size,
      nodeOfProviderId: (id) =>
        config.providers.flatMap((p) => reconciler.nodeOfInstance(`${p.name}/${id}`) ?? []),
      takeLetters: (letters) => reconciler.takeLetters(letters),
      config: () => config,
    },
    snapshot.cursors,
  );
  const startedMono = CLOCK.monoMs();
  const ports: RoutePorts = {
    reconciler,
    ingest,
    authority,
    store,
    metrics,
    clock: CLOCK,
    log,
    newId: () => randomBytes(9).toString("base64url"),
    newSecret: () => `nvt.${randomBytes(32).toString("base64url")}`,
    notReady: () => notReady(ports, startedMono),
  };
  const server = listen(ports, config, address);
  port = server.port ?? 0;
  if (options.testPortFile !== undefined) {
    mkdirSync(dirname(options.testPortFile), { recursive: true });
    writeFileSync(options.testPortFile, `${port}\n`);
  }
  log("info", "listening", {
    address: `${address.host === "" ? "*" : address.host}:${port}`,
    version: VERSION,
    fleet: identity.fleetId,
    policy: policy.policy.name,
  });
  if (!options.dryRun) reconciler.start();
  const notifier = openNotifier(ports, config);
  notifier?.start();

  const exitCode = new Promise<number>((resolve) => {
    let stopping = false;
    const stop = (signal: string): void => {
      if (stopping) return;
      stopping = true;
      log("info", "stopping", { signal });
      void (async () => {
        notifier?.stop();
        await server.stop(true);
        await reconciler.stop(options.shutdownTimeoutMs);
        for (const provider of opened.providers.values()) await provider.close();
        await store.close();
        lock.release();
        log("info", "stopped");
        resolve(0);
      })();
    };
    process.on("SIGTERM", () => stop("SIGTERM"));
    process.on("SIGINT", () => stop("SIGINT"));
  });
  return { exitCode };
}

/**
 * Codes whose counters exist from the start, so that `increase()` sees the first fault (promise
 * N81).
 */
const XIDS = [
  13, 31, 43, 45, 46, 48, 61, 62, 63, 64, 68, 69, 74, 79, 92, 94, 95, 109, 110, 119, 120, 136, 140,
  143, 149, 154, 155, 156, 158,
];

/**
 * A provider that cannot be listed for this long makes readiness degraded instead of absent
 * (promise N29).
 */
const ADOPT_MS = 60_000;

async function notReady(ports: RoutePorts, startedMono: number): Promise<string[]> {
  const out: string[] = [];
  const failure = ports.reconciler.failure();
  if (failure !== null) out.push(`frozen: ${failure}`);
  const store = await probeStore(ports);
  if (!store.ok) out.push(`store: ${store.message}`);
  const problem = ports.ingest.problem();
  if (problem !== null) out.push(`ingest: ${problem}`);
  const waited = ports.clock.monoMs() - startedMono;
  if (!ports.reconciler.hasAdopted() && waited < ADOPT_MS)
    out.push("adoption: the first look at every provider is not finished");
  return out;
}

/** A probe is a write: anonymous callers get one a second between them. */
const PROBE_MS = 1_000;
let probed: { atMono: number; answer: ReturnType<Store["probe"]> } | null = null;

function probeStore(ports: RoutePorts): ReturnType<Store["probe"]> {
  const mono = ports.clock.monoMs();
  if (probed === null || mono - probed.atMono >= PROBE_MS)
    probed = { atMono: mono, answer: ports.store.probe() };
  return probed.answer;
}

function listen(
  ports: RoutePorts,
  config: Config,
  address: { host: string; port: number },
): Bun.Server<StreamData> {
  const app = openApp(ports);
  const { tls } = config.server;
  return Bun.serve<StreamData>({
    port: address.port,
    hostname: address.host === "" ? "::" : address.host,
    // A request that is silent this long is over; streams have their own timeout.
    idleTimeout: 60,
    maxRequestBodySize: LIMIT.requestBytesMax + 1_024,
    ...(tls === null ? {} : { tls: { cert: Bun.file(tls.certFile), key: Bun.file(tls.keyFile) } }),
    websocket: streamHandler(ports),
    fetch(request, server) {
      const { pathname } = new URL(request.url);
      if (pathname !== "/v1/agent/stream" && pathname !== "/api/v1/agent/stream")
        return app.fetch(request);
      const header = request.headers.get("authorization");
      const principal = ports.authority.identify(header, ports.clock.wallMs());
      if (principal === null) return refuseUpgrade("unauthenticated", "no valid token", 401);
      if (principal.role !== "node" && principal.role !== "admin") {
        return refuseUpgrade("permission_denied", `role ${principal.role} may not report`, 403);
      }
      const upgraded = server.upgrade(request, {
        data: { header, tail: Promise.resolve(), queued: 0 },
      });
      return upgraded
        ? undefined
        : refuseUpgrade("invalid_argument", "a WebSocket upgrade was expected", 400);
    },
  });
}

function openNotifier(ports: RoutePorts, config: Config): Notifier | null {
  const { notifier } = config.server;
  if (notifier.type === "noop") return null;
  const expand = (text: string | null): string | null => {
    if (text === null) return null;
    const answer = expandEnv(text, process.env);
    if (!answer.ok)
      throw new UsageError(`server.notifier: environment variable ${answer.name} is not set`);
    return answer.text;
  };
  const headers = Object.fromEntries(
    Object.entries(notifier.headers).map(([key, value]) => [key, expand(value) ?? ""]),
  );
  const expanded = {
    ...notifier,
    headers,
    cordonUrl: expand(notifier.cordonUrl),
    uncordonUrl: expand(notifier.uncordonUrl),
    drainUrl: expand(notifier.drainUrl),
    drainStatusUrl: expand(notifier.drainStatusUrl),
  };
  const secret = notifier.secretEnv === null ? null : (process.env[notifier.secretEnv] ?? null);
  return new Notifier({
    store: ports.store,
    clock: ports.clock,
    log: ports.log,
    config: expanded,
    secret,
  });
}
