/**
 * The agent as a program. It composes the agent from adapters and touches the ambient world so that
 * nothing else has to. It never ends because of the network, a token or the control plane.
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
import { createInventory } from "../inventory.ts";
import { createLoadReader, type Machine, readMachine } from "../machine.ts";
import type { ReleasableNvml } from "../nvml/release.ts";
import { type Options, parseOptions, formatHelp } from "../option.ts";
import type { AgentParts, Identity, Level } from "../report/part.ts";
import type { Clock } from "../port.ts";
import { EMPTY_MEMORY, type ProbeMemory } from "../probe/probe.ts";
import { openFileStorage } from "../spool/spool-file.ts";
import { Spool } from "../spool/spool.ts";
import { openPodToken } from "../report/pod-token.ts";
import { openStateFiles, type StateFiles } from "../state-file.ts";
import { Promises } from "../report/promise.ts";
import { isCompiled, openGpus } from "./gpus.ts";
import { openHostWatch } from "./host.ts";
import { createLogOpener, pollMsOf } from "./kernel-log.ts";
import { Progress } from "./progress.ts";
import type { KeyTrust } from "../report/key-trust.ts";
import { openRenewal, type Renewal } from "./upgrade.ts";
import { openWay } from "./way.ts";

/** SIGTERM to exit, last report included. */
const GOODBYE_MS = 4_500;
/**
 * How often the runtime lets go of garbage and of machine code: an agent is idle for all but
 * milliseconds of a minute, and what its start and its bursts compiled would stay and grow. Over
 * ten minutes at the usual cadence this keeps 1.4 MiB off the agent's peak, for about 0.01 % of a
 * core; once a minute keeps off half a MiB more for about twice that (one run of each, and two runs
 * of one agent differ by 0.01 % too). The first is early, so that the garbage of starting up is
 * gone within half a minute.
 */
const SHRINK_MS = { first: 20_000, every: 300_000 };
/**
 * The status with which it ends to be restarted as another release (sysexits.h: temporary), and
 * how long after the order was answered, so that the answer is out.
 */
const RENEWED = { status: 75, afterMs: 250 };

const LEVELS: readonly Level[] = ["debug", "info", "warn", "error"];
let lowest: Level = "info";
function log(level: Level, msg: string, fields: Record<string, unknown> = {}): void {
  if (LEVELS.indexOf(level) < LEVELS.indexOf(lowest)) return;
  const line = { time: new Date().toISOString(), level, msg, ...fields };
  process.stderr.write(`${escapeData(JSON.stringify(line))}\n`);
}

/** Monotonic time counts from the boot, so that what is stored keeps its meaning over a restart. */
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
  // A machine that hides its boot id still has one boot per start of the agent.
  const bootId = boot.success ? boot.output : v.parse(BootId, `unknown-${crypto.randomUUID()}`);
  return {
    nodeId: options.nodeId,
    bootId,
    agentVersion: VERSION,
    bootWallMs: clock.wallMs() - clock.monoMs(),
  };
}

function loadMemory(files: StateFiles): ProbeMemory {
  try {
    // Written by this program only; a field that is missing has the value of an empty memory.
    const stored = JSON.parse(files.load("probe.json") ?? "null") as ProbeMemory | null;
    return { ...EMPTY_MEMORY, ...stored };
  } catch {
    return EMPTY_MEMORY;
  }
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

async function serve(options: Options): Promise<void> {
  const clock = createClock();
  const opened = openFileStorage(options.spool);
  const directory = opened.ok ? options.spool : null;
  const files = openStateFiles(directory);
  let leave = () => {};
  const soon = () => void clock.after(RENEWED.afterMs, () => leave());
  // Before anything that a new release may trip over: each start of it is to be counted.
  let guard: KeyTrust | null = null;
  const hasSigned = (...one: [Uint8Array, Uint8Array]) => guard?.hasSigned(...one) ?? false;
  const renewal = openOwnRenewal(options, { clock, files, directory, hasSigned, leave: soon });
  if (renewal.trial.over) process.exit(RENEWED.status);
  const proc = options.hostProc ?? (existsSync("/host/proc/stat") ? "/host/proc" : "/proc");
  const machine = readMachine(proc);
  const identity = identify(options, machine, clock);
  const spool = openSpool(opened, clock);
  const save = (name: string, text: string) => {
    const problem = files.save(name, text);
    if (problem !== null && directory !== null) log("warn", `cannot store ${name}`, { problem });
  };
  let [wake, sampleNow] = [() => {}, () => {}];
  const kernel = createLogOpener(options, identity, clock, () => wake());
  const progress = new Progress(clock);
  // A disk that takes nothing now may still hold what an earlier life kept.
  const forgetful = directory === null || spool.stats().memory !== null;
  const own = { hostname: hostname(), providerIds: machine.providerIds };
  const way = openWay({ options, clock, files, directory, forgetful, log, ...own });
  guard = way.keys;
  const gpus = await openGpus(options, clock, () => sampleNow(), () => wake());
  const agent = new Agent({
    clock,
    nvml: progress.followNvml(gpus.nvml),
    openKernelLog: kernel.open,
    kernelPollMs: pollMsOf(options.kernelLog),
    sender: progress.followSender(renewal.trial.follow(way.sender)),
    spool,
    orders: new Orders(files.load("command.json"), identity.bootId, (text) => {
      save("command.json", text);
    }),
    guard: way.keys,
    identity,
    promises: new Promises(options.expectedGpus),
    readBus: gpus.readBus,
    ...openHostWatch(options, { proc, clock, files, save }),
    memory: loadMemory(files),
    saveMemory: (memory) => save("probe.json", JSON.stringify(memory)),
    inventory: createInventory(options, machine, hostname(), renewal.capabilities),
    podToken: openPodToken(options.podTokenFile, log),
    load: createLoadReader(proc),
    adopt: way.adopt,
    runCommand: options.allowCommands ? await openCommands(gpus) : null,
    upgrade: renewal.upgrade,
    random: Math.random,
    log,
  });
  [wake, sampleNow] = [() => agent.wake(), () => agent.sampleNow()];
  const metrics = await openMetrics(options, agent, kernel.stats);
  const watchdog = await attendTo(agent, progress, clock);
  const close = () => {
    watchdog?.stop();
    metrics?.stop();
  };
  stopOnSignal(agent, close);
  leave = () => goodbye(agent, close, RENEWED.status);
  const { fake, nodeId, server } = options;
  log("info", "started", { node_id: nodeId, server, version: VERSION, boot_id: identity.bootId });
  if (fake) log("warn", "the GPUs of this node are simulated", { gpus: fake.count });
  agent.start();
  shrinkRegularly(clock, SHRINK_MS.first);
}

/** What changes the machine; for a reset the agent lets go of the GPUs. */
async function openCommands(gpus: ReleasableNvml): Promise<AgentParts["runCommand"]> {
  const { runCommand } = await import("../command/run.ts");
  return (command) => {
    if (command.type !== "gpu_reset") return runCommand(command);
    return gpus.lend(() => runCommand(command));
  };
}

/** The ways to another release of this program, as far as this process can have them. */
function openOwnRenewal(
  options: Options,
  parts: Pick<
    Parameters<typeof openRenewal>[0],
    "clock" | "files" | "directory" | "hasSigned" | "leave"
  >,
): Renewal {
  const { INVOCATION_ID, NOTIFY_SOCKET } = process.env;
  return openRenewal({
    ...parts,
    options,
    binary: isCompiled() ? process.execPath : null,
    // A shell of a desktop session inherits the id of the service that opened it.
    managed: Boolean(NOTIFY_SOCKET) || (Boolean(INVOCATION_ID) && process.ppid === 1),
    architecture: process.arch,
    log,
  });
}

/** The service manager, where one started this process and waits for its words. */
async function attendTo(agent: Agent, progress: Progress, clock: Clock) {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = process.env;
  if (!NOTIFY_SOCKET) return null;
  // It is this process's alone: whatever is started from here has nothing to say there.
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

/** For the life of the process. */
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

function stopOnSignal(agent: Agent, close: () => void): void {
  const stop = () => {
    log("info", "stopping");
    goodbye(agent, close, 0);
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
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
    // Watching the GPUs is worth more than being scraped.
    log("error", "cannot serve metrics", { reason: String(cause) });
    return null;
  }
}

async function once(options: Options): Promise<number> {
  const clock = createClock();
  const proc = options.hostProc ?? "/proc";
  const identity = identify(options, readMachine(proc), clock);
  const { nvml, readBus } = await openGpus(options, clock, () => {}, () => {});
  const { EXIT, runOnce } = await import("../once.ts");
  const { formatSummary } = await import("../summary.ts");
  const { result, notes } = await runOnce({
    clock,
    nvml,
    openKernelLog: createLogOpener(options, identity, clock).open,
    identity,
    promises: new Promises(options.expectedGpus),
    readBus,
    ...openHostWatch(options, { proc, clock, files: openStateFiles(options.spool), save: null }),
    pool: options.pool ?? "",
    labels: options.labels,
  });
  nvml.close();
  for (const note of notes) log("warn", note);
  process.stdout.write(options.text ? formatSummary(result) : `${JSON.stringify(result)}\n`);
  return EXIT[result.verdict];
}

/** Runs what `argv`, the words behind the program's name, asks for. */
export async function main(argv: readonly string[]): Promise<void> {
  const answer = parseOptions(argv, process.env, hostname(), Date.now());
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
