/**
 * Composes the control plane and runs it: the one place of this room that touches the ambient world
 * (law 8). `cli/command/control-plane.ts` calls it with parsed flags.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { Config } from "../schema/config.ts";
import type { NodeId } from "../schema/id.ts";
import { VERSION } from "../schema/version.ts";
import { openNotifier } from "./act/open-notifier.ts";
import { Authority } from "./auth.ts";
import type { Clock, Log } from "./clock.ts";
import { type Identity, openAdminToken, openIdentity } from "./identity.ts";
import { Ingest } from "./ingest.ts";
import { load, type Loaded } from "./load.ts";
import { takeLock } from "./lock.ts";
import { Reconciler } from "./loop.ts";
import { Metrics } from "./metrics.ts";
import { openProviders, type OpenProviders } from "./provider/open.ts";
import type { RoutePorts } from "./route/app.ts";
import { listen } from "./route/listen.ts";
import { openReadiness } from "./route/ready.ts";
import { openNoScheduler } from "./scheduler/none.ts";
import { openLibsqlStore } from "./store/libsql.ts";
import type { Snapshot, Store } from "./store/store.ts";

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
  /** Look, decide and show the plan, but do not act. */
  dryRun: boolean;
  /** Where to write the port that was bound, for tests with port 0. */
  testPortFile?: string;
  /** How the fake provider starts agents; without it, beside this binary or from source. */
  agentCommand?: readonly string[];
};

/** A mistake of the person who started it: exit status 2, one line. */
class UsageError extends Error {}

const SLEW = 0.1;

/**
 * Wall time for records and stored instants, slewed: it follows the system's clock, but never by
 * more than a tenth of the time that passes. A clock set by an hour moves no deadline by an hour.
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

const CLOCK: Clock = {
  wallMs: openWall(),
  monoMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

/** `--state`, else /var/lib/navarch as root, else ~/.local/state/navarch. */
export function stateFolder(given: string | undefined): string {
  if (given !== undefined) return given;
  const root = process.getuid?.() === 0;
  return root ? "/var/lib/navarch" : join(homedir(), ".local", "state", "navarch");
}

function openLog(options: ControlPlaneOptions): Log {
  const rank = { debug: 0, info: 1, warn: 2, error: 3 };
  return (level, msg, fields = {}) => {
    if (rank[level] < rank[options.logLevel]) return;
    const time = new Date().toISOString();
    const more = Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`;
    const json = options.logFormat === "json";
    const line = json
      ? JSON.stringify({ time, level, msg, ...fields })
      : `${time} ${level} ${msg}${more}`;
    process.stdout.write(`${line}\n`);
  };
}

/** Tokens given from outside; they serve operators and agents alike (the guide's shared token). */
function sharedTokens(options: ControlPlaneOptions, config: Config): string[] {
  const { auth } = config.server;
  const env = process.env;
  const file = options.authTokenFile ?? env["NAVARCH_AUTH_TOKEN_FILE"] ?? auth.tokenFile;
  const read = typeof file === "string" ? readFileSync(file, "utf8").trim() : "";
  const given = [options.authToken ?? "", read, env[auth.tokenEnv] ?? ""];
  return given.filter((token) => token !== "");
}

function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address);
  if (match === null) throw new UsageError(`--addr ${address}: expected host:port`);
  return { host: match[1] ?? match[2] ?? "", port: Number(match[3]) };
}

/** Starts; `exitCode` resolves when it has stopped. 0 clean, 2 bad configuration, 1 failed. */
export async function startControlPlane(
  options: ControlPlaneOptions,
): Promise<{ exitCode: Promise<number> }> {
  const log = openLog(options);
  try {
    const answer = await load(options.configPaths, {
      portZero: options.testPortFile !== undefined,
      externalAddress: process.env["NAVARCH_EXTERNAL_ADDRESS"] !== undefined,
    });
    if (!answer.ok) throw new UsageError(answer.lines.join("\n"));
    for (const warning of answer.loaded.warnings) log("warn", warning);
    return await serve(options, answer.loaded, log);
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n`);
      return { exitCode: Promise.resolve(2) };
    }
    const told = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log("error", "cannot start", { error: told });
    return { exitCode: Promise.resolve(1) };
  }
}

function openAuthority(
  options: ControlPlaneOptions,
  config: Config,
  from: { state: string; identity: Identity; snapshot: Snapshot; log: Log },
): Authority {
  const { state, identity, snapshot, log } = from;
  const { allowAnonymous, adminTokenFile } = config.server.auth;
  const shared = sharedTokens(options, config);
  const own = shared.length === 0 ? openAdminToken(state, (n) => randomBytes(n)) : null;
  const admins = own === null ? [] : [own.token];
  if (adminTokenFile !== null) admins.push(readFileSync(adminTokenFile, "utf8").trim());
  if (allowAnonymous) {
    log("warn", "allow_anonymous is on: ANYONE who reaches this port may do anything");
  }
  if (shared.length > 0) {
    log("warn", "one shared token serves operators and agents: see `navarch doctor`");
  }
  if (own !== null) {
    log("info", own.fresh ? "wrote the first admin's token" : "admin token", { path: own.path });
  }
  const { secret } = identity;
  const { credentials } = snapshot;
  return new Authority({ secret, admins, shared, credentials, anonymous: allowAnonymous });
}

async function openStore(config: Config, state: string): Promise<Store> {
  const given = config.server.statePath;
  const file = given ?? join(state, "navarch.db");
  const url = file.includes("://") || file.startsWith("file:") ? file : `file:${file}`;
  return openLibsqlStore({ url, now: CLOCK.wallMs() });
}

async function openReconciler(
  loaded: Loaded,
  from: {
    store: Store;
    log: Log;
    opened: OpenProviders;
    authority: Authority;
    metrics: Metrics;
    dryRun: boolean;
  },
  fleetId: string,
): Promise<Reconciler> {
  const { store, log, opened, authority, metrics, dryRun } = from;
  const ports = {
    dryRun,
    store,
    log,
    clock: CLOCK,
    providers: opened.providers,
    unavailable: opened.unavailable,
    targets: {
      provider: (name: string) => opened.providers.get(name) ?? null,
      scheduler: openNoScheduler(),
      credential: (node: string) => authority.issueNode(node),
    },
    committed: metrics.committed.bind(metrics),
    judged: metrics.judged.bind(metrics),
  };
  const reconciler = await Reconciler.open(ports, loaded.config, loaded.policy, fleetId);
  metrics.attach(reconciler, XIDS);
  return reconciler;
}

/** Codes whose counters exist from the start, so that `increase()` sees the first (promise N81). */
const XIDS = [
  13, 31, 43, 45, 46, 48, 61, 62, 63, 64, 68, 69, 74, 79, 92, 94, 95, 109, 110, 119, 120, 136, 140,
  143, 149, 154, 155, 156, 158,
];

async function serve(
  options: ControlPlaneOptions,
  loaded: Loaded,
  log: Log,
): Promise<{ exitCode: Promise<number> }> {
  const { config } = loaded;
  const { addr } = options;
  const address = addr === undefined ? config.server : parseAddress(addr);
  const state = stateFolder(options.state);
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const identity = openIdentity(state, (n) => randomBytes(n));
  const waiting = (): void => log("warn", "another control plane has this state folder: waiting");
  const lock = await takeLock(join(state, "lock.db"), (ms) => Bun.sleep(ms), waiting);
  const store = await openStore(config, state);
  const snapshot = await store.load();
  const metrics = new Metrics();
  const authority = openAuthority(options, config, { state, identity, snapshot, log });
  const bound = { port: 0 };
  const scheme = config.server.tls === null ? "http" : "https";
  const opened = await openProviders(config.providers, {
    folder: (name) => join(state, "cloud", name),
    fleetId: identity.fleetId,
    clock: CLOCK,
    random: () => Math.random(),
    serverUrl: () => (bound.port === 0 ? "" : `${scheme}://127.0.0.1:${bound.port}`),
    agentCommand: options.agentCommand ?? null,
    problem: (message) => log("warn", message),
    count: (provider, op, outcome) => metrics.countRequest(provider, op, outcome),
  });
  const parts = { store, log, opened, authority, metrics, dryRun: options.dryRun };
  const reconciler = await openReconciler(loaded, parts, identity.fleetId);
  const ingest = openIngest(store, reconciler, snapshot);
  const ports: RoutePorts = {
    reconciler,
    ingest,
    authority,
    store,
    metrics,
    clock: CLOCK,
    log,
    newId: () => randomBytes(9).toString("base64url").replace(/^[-_]/, "x"),
    newSecret: () => `nvt.${randomBytes(32).toString("base64url")}`,
    notReady: openReadiness({ reconciler, ingest, store, clock: CLOCK }),
  };
  const hooks = { store, clock: CLOCK, log, env: process.env };
  const notifier = openNotifier(config.server.notifier, hooks);
  const server = listen(ports, config, address);
  bound.port = server.port ?? 0;
  if (options.testPortFile !== undefined) {
    mkdirSync(dirname(options.testPortFile), { recursive: true });
    writeFileSync(options.testPortFile, `${bound.port}\n`);
  }
  const at = `${address.host === "" ? "*" : address.host}:${bound.port}`;
  log("info", "listening", { address: at, version: VERSION, fleet: identity.fleetId });
  reconciler.start();
  notifier?.start();
  const exitCode = whenTold(log, async () => {
    notifier?.stop();
    await server.stop(true);
    await reconciler.stop(options.shutdownTimeoutMs);
    for (const provider of opened.providers.values()) await provider.close();
    await store.close();
    lock.release();
  });
  return { exitCode };
}

function openIngest(store: Store, reconciler: Reconciler, snapshot: Snapshot): Ingest {
  const config = reconciler.activeConfig();
  const target = {
    presence: reconciler.presence,
    node: (id: NodeId) => reconciler.fleet().nodes.get(id) ?? null,
    count: () => reconciler.fleet().nodes.size,
    nodeOfProviderId: (id: string) =>
      config.providers.flatMap((one) => reconciler.nodeOfInstance(`${one.name}/${id}`) ?? []),
    takeLetters: reconciler.takeLetters.bind(reconciler),
    config: () => config,
  };
  return new Ingest(store, CLOCK, target, snapshot.cursors);
}

/** Resolves with 0 when a signal came and `stop` is done; a second signal changes nothing. */
function whenTold(log: Log, stop: () => Promise<void>): Promise<number> {
  return new Promise((resolve) => {
    let told = false;
    const on = (signal: string): void => {
      if (told) return;
      told = true;
      log("info", "stopping", { signal });
      stop().then(
        () => {
          log("info", "stopped");
          resolve(0);
        },
        (error: unknown) => {
          log("error", "did not stop cleanly", { error: String(error) });
          resolve(1);
        },
      );
    };
    process.on("SIGTERM", () => on("SIGTERM"));
    process.on("SIGINT", () => on("SIGINT"));
  });
}
