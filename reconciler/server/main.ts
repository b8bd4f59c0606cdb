/**
 * Opens the production ports, composes the control plane and runs it: the only file of this room
 * that touches clock, random and environment (law 8). `cli/command/control-plane.ts` calls it.
 */
import { randomBytes } from "node:crypto";
import { homedir, hostname } from "node:os";
import { join, resolve } from "node:path";
import type { Config } from "../../schema/config.ts";
import { logText } from "../../schema/terminal.ts";
import { VERSION } from "../../schema/version.ts";
import { openNotifier } from "./notifier.ts";
import { openTracing } from "./open-traces.ts";
import type { Authority } from "../security/auth.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { Loaded, Reloader } from "../core/reload.ts";
import { refuseLostPolicy } from "./reload.ts";
import type { Identity } from "../security/identity.ts";
import { openLeadership } from "./leadership.ts";
import type { Parts } from "./role.ts";
import {
  catchHangups,
  type Hangups,
  loadFiles,
  logSimulation,
  openReloads,
} from "./open-reload.ts";
import { Metrics } from "../http/metrics/metrics.ts";
import { openMetricsPort } from "./metrics-port.ts";
import { openService, type ServiceWatch } from "./notify-systemd.ts";
import { openSignals, type Signals } from "./signal.ts";
import { openSetUp, type SetUp } from "./open-bootstrap.ts";
import { advertised, dialled, external, writeAddress, writePort } from "./own-address.ts";
import {
  addressOf,
  databaseFile,
  type Kept,
  openKept,
  openShown,
  openTokens,
  formatAt,
  serverOf,
} from "./open-start.ts";
import { inventoryOf } from "../config/open.ts";
import { heldSecrets } from "../security/held-secret.ts";
import { openScriptRecord } from "./open-script-record.ts";
import { openMetricReader } from "../metric/read.ts";
import { fingerprintOf } from "../provider/fingerprint.ts";
import { openWorkerMachines } from "../provider/fake/machine-fault.ts";
import { openProviders } from "../provider/open.ts";
import { openSchedulers, type Schedulers } from "./open-scheduler.ts";
import { Simulation } from "../runtime/simulation.ts";
import { openNoWorkflows, type WorkflowRunner } from "../core/workflow.ts";
import type { WorkflowPorts } from "./open-runs.ts";
import { stepOf, failureFields, UsageError } from "./start-failure.ts";
import { writeBackup } from "./backup.ts";
import { openScheduledBackups } from "./scheduled-backup.ts";
import { namesOf } from "../http/route/anonymous.ts";
import type { Port } from "../http/port.ts";
import { isLoopback } from "../../schema/loopback.ts";

export type ControlPlaneOptions = {
  configPaths: string[];
  authToken?: string;
  authTokenFile?: string;
  /** Overrides `server.address`. */
  addr?: string;
  /** State folder (`stateFolder`), or the URL of a libSQL server that replicas share. */
  state?: string;
  /** Where other replicas reach this one. */
  advertise?: string;
  logLevel: "debug" | "info" | "warn" | "error";
  logFormat: "json" | "text";
  shutdownTimeoutMs: number;
  /** Observe, decide and show the plan, but do not act. */
  dryRun: boolean;
  /** Pools with nodes may be removed by a reload, or by a start after a while. */
  removesPools?: boolean;
  /** File for the bound port, for tests with port 0. */
  testPortFile?: string;
  /** Runs workflows against the cluster; `api` is `null` without one. */
  openWorkflows(from: WorkflowPorts): WorkflowRunner;
  /** A shorter lease, for tests. */
  testLeaseExpiryMs?: number;
  /** How the fake provider starts agents; default: the one beside this binary, or from source. */
  agentCommand?: readonly string[];
};

const SLEW = 0.1;

/**
 * Wall time for records, slewed: it approaches the system's clock by at most a tenth of the elapsed
 * time, so that deadlines do not jump when that clock is set.
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

const drawBytes = (n: number): Uint8Array => randomBytes(n);

/** CPU time of all threads. */
function usedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/**
 * `--state`, else /var/lib/navarch as root, else ~/.local/state/navarch. Absolute, because child
 * processes run in other folders.
 */
export function stateFolder(given: string | undefined): string {
  if (given !== undefined) return resolve(given);
  const root = process.getuid?.() === 0;
  return resolve(root ? "/var/lib/navarch" : join(homedir(), ".local", "state", "navarch"));
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
    process.stdout.write(`${logText(line)}\n`);
  };
}

/** Starts; `exitCode` resolves when it has stopped. 0 clean, 2 bad configuration, 1 failed. */
export async function startControlPlane(
  options: ControlPlaneOptions,
): Promise<{ exitCode: Promise<number> }> {
  const log = openLog(options);
  const hangups = catchHangups();
  const signals = openSignals(log, leave);
  try {
    const answer = await loadFiles(options);
    if (!answer.ok) throw new UsageError(answer.lines.join("\n"));
    for (const warning of answer.loaded.warnings) log("warn", warning);
    return await serve(options, answer.loaded, { hangups, signals }, log);
  } catch (error) {
    const code = error instanceof UsageError ? 2 : 1;
    if (error instanceof UsageError) process.stderr.write(`${error.message}\n`);
    else log("error", "cannot start", failureFields(error));
    // An open port or watched file must not keep the process alive.
    leave(code);
    return { exitCode: Promise.resolve(code) };
  }
}

/** A copy beside the database, so no other disk needs room; the caller removes it. */
async function backUp(file: string, state: string, identity: Identity): Promise<string> {
  const out = join(state, `backup-${randomBytes(6).toString("hex")}.db`);
  await writeBackup(file.replace(/^file:/, ""), out, identity);
  return out;
}

/** A database on a server is backed up there, and may have several writers of backups here. */
function openBackups({ backup, reloader, loaded, log }: Parts, state: string) {
  if (backup === null) return null;
  const settings = () => (reloader()?.loaded() ?? loaded).config.server.backup;
  const folder = join(state, "backups");
  return openScheduledBackups({ folder, settings, write: backup, clock: CLOCK, log });
}

/** XIDs whose counters exist from the start, so that `increase()` counts the first. */
const XIDS = [
  13, 31, 43, 45, 46, 48, 61, 62, 63, 64, 68, 69, 74, 79, 92, 94, 95, 109, 110, 119, 120, 136, 140,
  143, 149, 154, 155, 156, 158,
];

type Made = Schedulers & {
  options: ControlPlaneOptions;
  loaded: Loaded;
  log: Log;
  state: string;
  identity: Identity;
  shared: boolean;
  authority: Authority;
  metrics: Metrics;
  setUp: SetUp;
  caPem: string | null;
  names: ReadonlySet<string>;
  peer: Port["peer"];
  bound: { port: number };
  watch: ServiceWatch;
  restart(fleet: string): void;
  reloader(): Reloader | null;
};

function composeParts(made: Made): Parts {
  const { options, loaded, log, state, identity, shared, authority, metrics, bound } = made;
  const { config } = loaded;
  const running = (): Config => made.reloader()?.loaded().config ?? config;
  const held = { ...options, state, secret: identity.secret, env: process.env };
  const named = { fleetId: identity.fleetId, instance: hostname(), env: process.env, log };
  const workers = openWorkerMachines(join(state, "workers"));
  const simulation = new Simulation(CLOCK, () => running().simulation.enabled, workers);
  logSimulation(log, config.simulation.enabled, null);
  return {
    simulation,
    caPem: made.caPem,
    peerTls: made.peer,
    install: made.setUp.install,
    names: made.names,
    openBootstrapper: made.setUp.bootstrapper,
    keyProblem: made.setUp.keyProblem,
    readMetric: openMetricReader({ env: process.env, clock: CLOCK }),
    traces: openTracing(config.server.tracing, named),
    loaded,
    fleetId: identity.fleetId,
    clock: CLOCK,
    log,
    authority,
    metrics,
    scheduler: made.scheduler,
    slurm: made.slurm,
    podSet: made.podSet,
    openConsole: made.openConsole,
    pools: made.pools,
    turned: made.watch.turned,
    dryRun: options.dryRun,
    cpuMs: usedMs,
    systemMs: () => Date.now(),
    xids: XIDS,
    newId: () => randomBytes(9).toString("base64url").replace(/^[-_]/, "x"),
    newSecret: () => `nvt.${randomBytes(32).toString("base64url")}`,
    backup: shared ? null : () => backUp(databaseFile(config, state), state, identity),
    fingerprint: fingerprintOf,
    ...{ host: hostname(), restart: made.restart },
    openWorkflows: (ask) =>
      options.dryRun
        ? openNoWorkflows("this control plane runs with --dry-run and changes nothing")
        : options.openWorkflows({ api: made.api, clock: CLOCK, random: () => Math.random(), ask }),
    reloader: made.reloader,
    openProviders: (configs, led) =>
      openProviders(configs, {
        folder: (name) => join(state, "cloud", name),
        fleetId: identity.fleetId,
        clock: CLOCK,
        random: () => Math.random(),
        serverUrl: () => dialled(config, process.env, bound.port),
        agentTls: made.peer,
        agentKey: made.setUp.install.key.fingerprint,
        agentCommand: options.agentCommand ?? null,
        env: process.env,
        problem: (message) => log("warn", message),
        claims: led.claimTable(),
        inventory: inventoryOf,
        count: (provider, op, outcome) => metrics.countRequest(provider, op, outcome),
        simulation,
        scripts: openScriptRecord({
          ...{ clock: CLOCK, log, table: led.auditTable(), env: process.env },
          secrets: () => heldSecrets({ ...held, config: running() }),
        }),
      }),
    openNotifier: (notifier, led) =>
      openNotifier(notifier, { store: led, clock: CLOCK, log, env: process.env }),
  };
}

/** Opens the state; waits while another process holds it. */
async function openState(options: ControlPlaneOptions, loaded: Loaded, log: Log): Promise<Kept> {
  const folder = stateFolder(serverOf(options.state) === null ? options.state : undefined);
  const given = { state: options.state, folder, env: process.env };
  const own = { host: hostname(), pid: process.pid };
  const by = { clock: CLOCK, random: drawBytes, log, own };
  // SQLite creates files by the umask, and its journals with the mode of the database.
  process.umask(0o077);
  const kept = await openKept(given, loaded.config, by);
  await refuseLostPolicy(kept.store, loaded);
  return kept;
}

async function serve(
  options: ControlPlaneOptions,
  loaded: Loaded,
  { hangups, signals }: { hangups: Hangups; signals: Signals },
  log: Log,
): Promise<{ exitCode: Promise<number> }> {
  const { config } = loaded;
  const address = addressOf(options.addr, config);
  const kept = await openState(options, loaded, log);
  const { state, shared, lock, store, identity, first } = kept;
  const names = [options.advertise, address.host, process.env["NAVARCH_EXTERNAL_ADDRESS"]];
  const opened = { config, state, identity, first, dialled: names, clock: CLOCK, log };
  const port = await openShown(opened);
  const bound = { port: 0 };
  const metrics = new Metrics();
  const tokens = { ...options, env: process.env, random: drawBytes };
  const who = { state, identity, shared, isOpen: !isLoopback(address.host), log };
  const authority = await openTokens(tokens, config, who);
  const cluster = await openSchedulers(config, identity.fleetId, metrics, CLOCK, log);
  let reloader: Reloader | null = null;
  const setUp = openSetUp({
    clock: CLOCK,
    state,
    secret: identity.secret,
    credential: (node) => authority.issueNode(node),
    ...{ caPem: port.caPem, clientFor: port.clientFor },
    join: cluster.scheduler.cluster?.join ?? null,
    external: external(config, process.env),
    ...{ config, address, port: () => bound.port },
    running: () => reloader?.loaded().config ?? config,
    given: { ...options, env: process.env },
  });
  log("info", "release key", { fingerprint: setUp.install.key.fingerprint });
  metrics.key = setUp.install.key.fingerprint;
  const from = { options, loaded, log, state, identity, shared, authority, metrics, ...cluster };
  const watch = await openService(process.env, process.pid, CLOCK.monoMs, log);
  const known = namesOf([...names, config.server.externalAddress, hostname()]);
  const owner = Promise.withResolvers<string>();
  const shown = { caPem: port.caPem, peer: port.peer, names: known, restart: owner.resolve };
  const parts = composeParts({ ...from, ...shown, setUp, bound, watch, reloader: () => reloader });
  const url = (): string => advertised(options.advertise, config, address.host, bound.port);
  const turns = shared ? { expiryMs: options.testLeaseExpiryMs, url } : null;
  const leadership = await openLeadership(parts, store, turns);
  const server = await stepOf(`cannot listen at ${formatAt(address)} (${address.by})`, () =>
    port.listen(() => leadership.front(), address),
  );
  bound.port = server.port;
  await stepOf("--test-port-file", () => writePort(options.testPortFile, bound.port));
  const listening = { host: address.host, port: bound.port };
  const forget = writeAddress(state, { ...listening, isTls: config.server.tls !== null }, log);
  const at = formatAt(listening);
  log("info", "listening", { address: at, version: VERSION, fleet: identity.fleetId });
  const scraped = openMetricsPort({ ...opened, leadership, metrics, host: address.host });
  leadership.begin();
  const backups = openBackups(parts, state);
  watch.ready(`listening at ${at}`);
  const reloads = (reloader = openReloads(options, { parts, leadership, hangups }));
  const exitCode = signals.stopWith(owner.promise, async () => {
    watch.stopping();
    backups?.stop();
    reloads.stop();
    forget();
    await Promise.all([scraped.stop(), server.stop()]);
    await leadership.stop(options.shutdownTimeoutMs);
    await Promise.all([parts.traces?.close(), store.close()]);
    lock?.release();
  });
  return { exitCode };
}

/** Time for the last output; a supervisor waits ten times as long before it kills. */
const LINGER_MS = 1_000;

/** Ends the process even if something still holds it, such as a child's socket. */
function leave(code: number): void {
  setTimeout(() => process.exit(code), LINGER_MS).unref();
}
