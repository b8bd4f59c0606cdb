/**
 * Composes the agent from its adapters and runs it; only this file reads clock, randomness and
 * process state for it. The network, a token or the control plane never end the process.
 */
import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import * as v from "valibot";
import { BootId } from "../../schema/id.ts";
import { escapeData } from "../../schema/terminal.ts";
import { VERSION } from "../../schema/version.ts";
import { Orders } from "../command/order.ts";
import { Agent } from "../report/core.ts";
import type { KernelLogStats } from "../kernel/read.ts";
import { createInventory } from "./inventory.ts";
import { createLoadReader, type Machine, readMachine } from "../host/machine.ts";
import type { ReleasableNvml } from "../nvml/release.ts";
import { FLAGS } from "./flag.ts";
import { type Options, parseOptions, formatHelp } from "./option.ts";
import type { AgentParts, Identity, Level } from "../report/part.ts";
import type { Clock } from "../port/port.ts";
import { EMPTY_MEMORY } from "../probe/probe.ts";
import { openFileStorage } from "../spool/spool-file.ts";
import { Spool } from "../spool/spool.ts";
import { openPodToken } from "../report/pod-token.ts";
import { loadMemory, openStateFiles, readText, type StateFiles } from "../spool/state-file.ts";
import { Promises } from "../report/promise.ts";
import { createLogOpener, openGpus, openHostWatch, openNoticeWatch, pollMsOf } from "./machine.ts";
import { Progress } from "./progress.ts";
import type { KeyTrust } from "../report/key-trust.ts";
import { LastVerdictFile, type LastVerdictParts } from "../slurm/last-verdict.ts";
import { openRenewal } from "./upgrade.ts";
import { openWay } from "./way.ts";
import { openOwnFolder, readyToEnd } from "./worker.ts";
import { WorkerDuty } from "../report/worker-duty.ts";

/** SIGTERM to exit, last report included. */
const GOODBYE_MS = 4_500;
/**
 * How often the runtime frees garbage and machine code of the start and of bursts. Over ten minutes
 * this keeps 1.4 MiB off the peak for about 0.01 % of a core; every minute would keep off 0.5 MiB
 * more for twice that. The first run frees the garbage of the start within half a minute.
 */
const SHRINK_MS = { first: 20_000, every: 300_000 };
/**
 * Exit status after an upgrade (sysexits.h: temporary failure), and the delay that lets the answer
 * to the order leave first.
 */
const RENEWED = { status: 75, afterMs: 250 };

const LEVELS: readonly Level[] = ["debug", "info", "warn", "error"];
let lowest: Level = "info";
function log(level: Level, msg: string, fields: Record<string, unknown> = {}): void {
  if (LEVELS.indexOf(level) < LEVELS.indexOf(lowest)) return;
  const line = { time: new Date().toISOString(), level, msg, ...fields };
  process.stderr.write(`${escapeData(JSON.stringify(line))}\n`);
}

/** Monotonic time counts from the boot, so that stored times stay valid over a restart. */
function createClock(): Clock {
  const [uptime] = readFileSync("/proc/uptime", "utf8").split(" ");
  const originMs = Number(uptime) * 1_000 - performance.now();
  return {
    wallMs: () => Date.now(),
    monoMs: () => originMs + performance.now(),
    after: (ms, work) => {
      const timer = setTimeout(work, ms);
      return () => clearTimeout(timer);
    },
  };
}

function identify(options: Options, machine: Machine, clock: Clock): Identity {
  const boot = v.safeParse(BootId, options.fake?.bootId ?? machine.bootId);
  // Without a readable boot id, each start of the agent counts as a boot.
  const bootId = boot.success ? boot.output : v.parse(BootId, `unknown-${crypto.randomUUID()}`);
  return {
    nodeId: options.nodeId,
    bootId,
    agentVersion: VERSION,
    bootWallMs: clock.wallMs() - clock.monoMs(),
  };
}

function readFootprint(): { pssBytes: number | null; cpuSeconds: number } {
  const { user, system } = process.cpuUsage();
  try {
    const text = readFileSync("/proc/self/smaps_rollup", "utf8");
    const kib = Number(/^Pss: +(\d+)/m.exec(text)?.[1]);
    return { pssBytes: Number.isNaN(kib) ? null : kib * 1_024, cpuSeconds: (user + system) / 1e6 };
  } catch {
    return { pssBytes: null, cpuSeconds: (user + system) / 1e6 };
  }
}

/** The spool on disk, or in memory where the directory cannot be used. */
function openSpool(opened: ReturnType<typeof openFileStorage>, clock: Clock): Spool {
  return new Spool({
    storage: opened.ok ? opened.storage : null,
    failure: opened.ok ? null : opened.message,
    streamId: () => crypto.randomUUID(),
    wallMs: clock.wallMs,
    monoMs: clock.monoMs,
  });
}

/** A pod's files end with it, and many workers may run on one machine. */
function workerFolder({ nodeId, spool }: Options): string {
  return spool === FLAGS.spool.default ? openOwnFolder(nodeId) : spool;
}

function createSave(files: StateFiles, directory: string | null) {
  return (name: string, text: string): void => {
    const problem = files.save(name, text);
    if (problem !== null && directory !== null) log("warn", `cannot store ${name}`, { problem });
  };
}

async function serve(options: Options): Promise<void> {
  const clock = createClock();
  const spoolAt = options.worker === null ? options.spool : workerFolder(options);
  const opened = openFileStorage(spoolAt);
  const directory = opened.ok ? spoolAt : null;
  const files = openStateFiles(directory);
  let leave = () => {};
  const soon = () => void clock.after(RENEWED.afterMs, () => leave());
  // First, so that a start of a new release counts even if a later step fails.
  let guard: KeyTrust | null = null;
  const hasSigned = (...one: [Uint8Array, Uint8Array]) => guard?.hasSigned(...one) ?? false;
  const renewal = openRenewal({ options, clock, files, directory, hasSigned, leave: soon, log });
  if (renewal.trial.over) process.exit(RENEWED.status);
  const proc = options.hostProc ?? (existsSync("/host/proc/stat") ? "/host/proc" : "/proc");
  const machine = readMachine(proc);
  const identity = identify(options, machine, clock);
  const spool = openSpool(opened, clock);
  const save = createSave(files, directory);
  let [wake, sampleNow] = [() => {}, () => {}];
  const kernel = createLogOpener(options, identity, clock, () => wake());
  const progress = new Progress(clock);
  // A disk that refuses writes may still hold the state of an earlier process.
  const forgetful = directory === null || spool.stats().memory !== null;
  const own = { hostname: hostname(), providerIds: machine.providerIds };
  const way = openWay({ options, clock, files, directory, forgetful, log, ...own });
  guard = way.keys;
  const gpus = await openGpus(
    options,
    clock,
    () => sampleNow(),
    () => wake(),
  );
  const notices = await openNoticeWatch(options, clock, log);
  const duty = options.worker === null ? null : new WorkerDuty(options.worker);
  const agent = new Agent({
    clock,
    nvml: progress.followNvml(gpus.nvml),
    openKernelLog: kernel.open,
    kernelPollMs: pollMsOf(options.kernelLog),
    sender: progress.followSender(renewal.trial.follow(way.sender)),
    spool,
    orders: openOrders(files.load("command.json"), identity, save),
    guard: way.keys,
    identity,
    promises: new Promises(options.expectedGpus),
    readBus: gpus.readBus,
    host: openHostWatch(options, { proc, clock, files, save }),
    memory: loadMemory(files, "probe.json", EMPTY_MEMORY),
    saveMemory: (memory) => save("probe.json", JSON.stringify(memory)),
    inventory: createInventory(options, machine, hostname(), renewal.capabilities),
    duty,
    podToken: openPodToken(options.podTokenFile, log),
    notice: () => notices?.notice ?? null,
    load: createLoadReader(proc),
    adopt: way.adopt,
    runCommand: options.allowCommands ? await openCommands(gpus) : null,
    upgrade: renewal.upgrade,
    random: Math.random,
    log,
  });
  [wake, sampleNow] = [() => agent.wake(), () => agent.sampleNow()];
  const close = await openWatches(options, agent, { progress, clock, stats: kernel.stats });
  stopOnSignal(agent, close, () => readyToEnd(duty, { agent, clock, ...options.worker }));
  leave = () => goodbye(agent, close, RENEWED.status);
  logStart(options, identity);
  agent.start();
  startLastVerdict(options, { clock, files, directory, identity, progress, agent });
  void notices?.start(() => agent.noticed());
  shrinkRegularly(clock, SHRINK_MS.first);
}

/** The page of metrics and the supervisor's watchdog; the answer closes both. */
async function openWatches(
  options: Options,
  agent: Agent,
  parts: { progress: Progress; clock: Clock; stats: Parameters<typeof openMetrics>[2] },
): Promise<() => void> {
  const metrics = await openMetrics(options, agent, parts.stats);
  const watchdog = await openWatchdog(agent, parts.progress, parts.clock);
  return () => {
    watchdog?.stop();
    metrics?.stop();
  };
}

type Watched = Pick<LastVerdictParts, "clock" | "files" | "directory" | "identity">;

function startLastVerdict(
  { pool, labels }: Options,
  { agent, progress, ...parts }: Watched & { agent: Agent; progress: Progress },
): void {
  const node = { pool: pool ?? "", labels, stuck: () => progress.stuck() };
  new LastVerdictFile({ ...parts, ...node, view: () => agent.view() }).start();
}

function logStart({ fake, nodeId, server }: Options, { bootId }: Identity): void {
  log("info", "started", { node_id: nodeId, server, version: VERSION, boot_id: bootId });
  if (fake) log("warn", "the GPUs of this node are simulated", { gpus: fake.count });
}

function openOrders(
  stored: string | null,
  { bootId, nodeId }: Identity,
  save: (name: string, text: string) => void,
): Orders {
  return new Orders(stored, bootId, (text) => save("command.json", text), nodeId);
}

/** Commands that change the machine; the agent releases the GPUs for a reset. */
async function openCommands(gpus: ReleasableNvml): Promise<AgentParts["runCommand"]> {
  const { runCommand } = await import("../command/run.ts");
  return (command) => {
    if (command.type !== "gpu_reset") return runCommand(command);
    return gpus.release(() => runCommand(command));
  };
}

/** `null` if no service manager waits for notifications of this process. */
async function openWatchdog(agent: Agent, progress: Progress, clock: Clock) {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = process.env;
  if (!NOTIFY_SOCKET) return null;
  // Child processes must not notify the service manager.
  delete process.env["NOTIFY_SOCKET"];
  const { openServiceManager } = await import("../../systemd/notify.ts");
  const env = { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID };
  const answer = openServiceManager(env, process.pid);
  if (answer.kind === "failed") {
    log("error", "cannot talk to the service manager", { reason: answer.message });
  }
  if (answer.kind !== "manager") return null;
  const { startWatchdog } = await import("./watchdog.ts");
  const { manager } = answer;
  const watchdog = startWatchdog({ manager, clock, progress, view: () => agent.view(), log });
  progress.whenBegun(() => watchdog.ready());
  return watchdog;
}

function shrinkRegularly(clock: Clock, ms: number): void {
  clock.after(ms, () => {
    Bun.shrink();
    shrinkRegularly(clock, SHRINK_MS.every);
  });
}

function goodbye(agent: Agent, close: () => void, status: number): void {
  close();
  void agent.stop(GOODBYE_MS).then(() => process.exit(status));
}

/** A second signal ends it at once. */
function stopOnSignal(agent: Agent, close: () => void, ready: () => Promise<void>): void {
  let isStopping = false;
  const stop = () => {
    if (isStopping) return goodbye(agent, close, 0);
    isStopping = true;
    log("info", "stopping");
    void ready().then(() => goodbye(agent, close, 0));
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

async function openMetrics(options: Options, agent: Agent, stats: () => KernelLogStats | null) {
  if (options.metrics === null) return null;
  const { serveMetrics } = await import("../report/metrics.ts");
  try {
    return serveMetrics(options.metrics, {
      node: options.nodeId,
      view: () => agent.view(),
      footprint: readFootprint,
      kernelLog: stats,
    });
  } catch (cause) {
    // The agent runs on: GPU monitoring does not depend on metrics.
    log("error", "cannot serve metrics", { reason: String(cause) });
    return null;
  }
}

async function once(options: Options): Promise<number> {
  const clock = createClock();
  const proc = options.hostProc ?? "/proc";
  const identity = identify(options, readMachine(proc), clock);
  const { nvml, readBus } = await openGpus(
    options,
    clock,
    () => {},
    () => {},
  );
  const { EXIT, runOnce } = await import("./once.ts");
  const { formatSummary } = await import("./summary.ts");
  const { result, notes } = await runOnce({
    clock,
    nvml,
    openKernelLog: createLogOpener(options, identity, clock, null).open,
    identity,
    promises: new Promises(options.expectedGpus),
    readBus,
    host: openHostWatch(options, { proc, clock, files: openStateFiles(options.spool), save: null }),
    pool: options.pool ?? "",
    labels: options.labels,
  });
  nvml.close();
  for (const note of notes) log("warn", note);
  process.stdout.write(options.text ? formatSummary(result) : `${JSON.stringify(result)}\n`);
  return EXIT[result.verdict];
}

/** Runs the program; `argv` are its arguments without the program's name. */
export async function main(argv: readonly string[]): Promise<void> {
  const answer = parseOptions(argv, process.env, hostname(), Date.now(), readText);
  switch (answer.kind) {
    case "help":
      process.stdout.write(formatHelp());
      return;
    case "version":
      process.stdout.write(`navarch-node ${VERSION}\n`);
      return;
    case "bad":
      process.stderr.write(`navarch-node: ${answer.message}\n`);
      process.exitCode = 2;
      return;
    case "options":
      lowest = answer.options.logLevel;
      for (const warning of answer.warnings) log("warn", warning);
      if (answer.options.once) process.exit(await once(answer.options));
      await serve(answer.options);
  }
}
