/**
 * Implements the NVML port over a probe child. No call rejects or outlives its deadline: a child
 * that does not answer is abandoned, not awaited, because a thread inside an NVML ioctl ignores
 * SIGKILL (docs/reference/nvml.md#blocking, docs/reference/runtime.md#child-processes). The next
 * call starts a new child, up to a bound.
 * Adapter: child process, /proc.
 */
import { readdirSync } from "node:fs";
import type { Clock } from "../port/port.ts";
import type { PingNvml } from "./pulse.ts";
import { PROBE_PROTOCOL, type ProbeMessage, type ProbeOp, type ProbeRequest } from "./message.ts";
import type { NvmlAnswer, NvmlEvent, NvmlFailure } from "../port/reading.ts";
import { readText } from "../spool/state-file.ts";

export type NvmlLimits = {
  /** With this many abandoned children, no new one is started. */
  abandonedMax: number;
  /** From the start of a child to its first answer, the library's initialisation included. */
  startingMs: number;
  /** For opening one GPU. */
  openingMs: number;
  /** Events kept between two `takeEvents`; the oldest goes first, the kernel log has them too. */
  eventsMax: number;
};

/** Timers of a fully loaded machine run some hundred milliseconds late. */
const STALL_MS = 1_000;

/**
 * Without persistence mode, opening a GPU initialises it in seconds. Each opened GPU extends the
 * deadline, up to this, which the watchdog allows for.
 */
const OPENING_MS_MAX = 20_000;

const LIMITS: NvmlLimits = {
  abandonedMax: 3,
  startingMs: 8_000,
  openingMs: 8_000,
  eventsMax: 256,
};

export type NvmlOptions = {
  /** `[process.execPath]`, with `"run", mainPath` from source. */
  execArgv: readonly string[];
  /** Selects the probe child, for example `["__nvml"]`. */
  childArgv: readonly string[];
  /** The child's whole environment: nothing is inherited. */
  env: Readonly<Record<string, string>>;
  clock: Clock;
  /** Absolute path of the library; else the search list of `library.ts`. */
  libraryPath?: string | null;
  /** Called when events arrived. */
  onEvents?: () => void;
  limits?: Partial<NvmlLimits>;
};

/**
 * The child's runtime, measured on Bun 1.4.5. Code that runs a few times a minute needs no machine
 * code: interpreting saves 3 MiB and costs no time (the JIT's stubs for library calls stay). The
 * idle collector runs every 30 s: 0.3 MiB of garbage for a tenth of the CPU budget. Without it,
 * garbage grows by 8 MiB before it is collected.
 */
const LEAN_RUNTIME = { BUN_JSC_useBaselineJIT: "0", BUN_GC_TIMER_INTERVAL: "30000" } as const;

type Child = Bun.Subprocess<"ignore", "ignore", "ignore">;
type Reply = ProbeMessage & { kind: "reply" };
type Outcome = { kind: "message"; message: Reply } | Exclude<NvmlAnswer<never>, { kind: "ok" }>;
type ReplyTo<Op extends ProbeOp> = Extract<Reply, { op: Op }>;
type Answered<Op extends ProbeOp> = NvmlAnswer<
  Extract<ReplyTo<Op>["reading"], { kind: "ok" }>["value"]
>;
type Pending = {
  id: number;
  op: ProbeOp;
  deadlineMs: number;
  /** Monotonic. */
  sentMs: number;
  /** Stops the deadline; `null` until the request is sent. */
  cancel: (() => void) | null;
  resolve(outcome: Outcome): void;
};

/** The first call starts the child. */
export function openNvml(options: NvmlOptions): PingNvml {
  const link = new ProbeLink(options);
  const { clock } = options;
  const ask = async <Op extends ProbeOp>(op: Op, deadlineMs: number): Promise<Answered<Op>> => {
    const startMs = clock.monoMs();
    const outcome = await link.ask(op, deadlineMs);
    const durationMs = clock.monoMs() - startMs;
    if (outcome.kind !== "message") return outcome;
    const { message } = outcome;
    if (message.op !== op) return { kind: "failed", failure: OTHER_RELEASE, durationMs };
    return { ...(message as ReplyTo<Op>).reading, durationMs } as Answered<Op>;
  };
  return {
    simulated: false,
    sample: (deadlineMs) => ask("sample", deadlineMs),
    check: (deadlineMs) => ask("check", deadlineMs),
    ping: (deadlineMs) => ask("ping", deadlineMs),
    takeEvents: () => link.takeEvents(),
    close: () => link.close(),
  };
}

/** The executable was replaced while the agent runs, and the new one uses another protocol. */
const OTHER_RELEASE: NvmlFailure = {
  reason: "other",
  code: 0,
  message: "the probe child uses another protocol: restart the agent after its upgrade",
};

/** One child at most, one request in flight; every promise settles exactly once. */
class ProbeLink {
  readonly #options: NvmlOptions;
  readonly #limits: NvmlLimits;
  #child: Child | null = null;
  /** True once the child has answered, so that one that cannot start is not restarted forever. */
  #answered = false;
  #queue: Pending[] = [];
  #events: NvmlEvent[] = [];
  #serial = 0;
  #abandoned = 0;
  /** The next call reports a child that died between two calls. */
  #crash: string | null = null;

  constructor(options: NvmlOptions) {
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
  }

  /** The deadline starts with the sending: a slow check must not time out the next sample. */
  ask(op: ProbeOp, deadlineMs: number): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    if (this.#crash !== null) {
      resolve({ kind: "crashed", signal: this.#crash, abandoned: this.#abandoned });
      this.#crash = null;
      return promise;
    }
    if (this.#child === null && this.#abandoned >= this.#limits.abandonedMax) {
      resolve({ kind: "stuck", abandoned: this.#abandoned });
      return promise;
    }
    this.#queue.push({ id: ++this.#serial, op, deadlineMs, sentMs: 0, cancel: null, resolve });
    this.#pump();
    return promise;
  }

  takeEvents(): NvmlEvent[] {
    const taken = this.#events;
    this.#events = [];
    return taken;
  }

  /** Ends the child, which releases the GPU; a later call starts another. */
  close(): void {
    const child = this.#forget();
    if (child !== null) this.#kill(child);
    this.#settleAll({ kind: "crashed", signal: "closed", abandoned: this.#abandoned });
  }

  #pump(): void {
    const next = this.#queue[0];
    if (next === undefined || next.cancel !== null) return;
    next.sentMs = this.#options.clock.monoMs();
    const leastMs = this.#answered ? 0 : this.#limits.startingMs;
    this.#watch(next, Math.max(leastMs, next.deadlineMs), true);
    this.#send(next);
  }

  /** A late deadline means that this process was paused: an answer may be in the channel. */
  #watch(pending: Pending, ms: number, patient: boolean): void {
    const { clock } = this.#options;
    const dueMs = clock.monoMs() + ms;
    pending.cancel = clock.after(ms, () => {
      const stalled = clock.monoMs() - dueMs > STALL_MS;
      if (stalled && patient) this.#watch(pending, STALL_MS, false);
      else this.#abandon();
    });
  }

  #send({ id, op }: Pending): void {
    const request: ProbeRequest = { id, op };
    try {
      this.#child ??= this.#spawn();
    } catch (error) {
      // The executable is gone, or no process can be started.
      const why = error instanceof Error ? error.message : String(error);
      const message = `the probe child cannot be started: ${why}`;
      const failure: NvmlFailure = { reason: "other", code: 0, message };
      return this.#settleAll({ kind: "failed", failure, durationMs: 0 });
    }
    try {
      this.#child.send(request);
    } catch {
      // The channel closed before the exit was noticed; `onExit` settles the request.
    }
  }

  #spawn(): Child {
    const { execArgv, childArgv, env, libraryPath } = this.#options;
    const path = libraryPath === null || libraryPath === undefined ? [] : [libraryPath];
    const child: Child = Bun.spawn([...execArgv, ...childArgv, ...path], {
      // A working folder could hold a library or a settings file.
      cwd: "/",
      env: { ...LEAN_RUNTIME, ...env },
      stdio: ["ignore", "ignore", "ignore"],
      serialization: "json",
      ipc: (message: ProbeMessage) => {
        if (this.#child === child) this.#hear(message);
      },
      onExit: (_, code, signal) => this.#exited(child, code, signal),
    });
    child.unref();
    return child;
  }

  #hear(message: ProbeMessage): void {
    if (message.kind === "events") {
      if (message.protocol !== PROBE_PROTOCOL) return;
      this.#events.push(...message.events);
      this.#events.splice(0, this.#events.length - this.#limits.eventsMax);
      this.#options.onEvents?.();
      return;
    }
    const first = this.#queue[0];
    if (message.kind === "step") return this.#prolong(first, message.opening === true);
    if (first === undefined || first.id !== message.id) return;
    this.#queue.shift();
    this.#answered = true;
    const refused: Reply = { ...message, reading: { kind: "failed", failure: OTHER_RELEASE } };
    const known = message.protocol === PROBE_PROTOCOL;
    settle(first, { kind: "message", message: known ? message : refused });
    this.#pump();
  }

  /** After progress, the request in flight gets its whole time again, within bounds. */
  #prolong(pending: Pending | undefined, opening: boolean): void {
    if (pending === undefined || pending.cancel === null) return;
    const spentMs = this.#options.clock.monoMs() - pending.sentMs;
    const stepMs = opening ? this.#limits.openingMs : 0;
    const ms = Math.min(Math.max(stepMs, pending.deadlineMs), OPENING_MS_MAX - spentMs);
    if (ms <= 0) return;
    pending.cancel();
    this.#watch(pending, ms, true);
  }

  /** The exit of the abandoned child is counted when it happens and never awaited. */
  #abandon(): void {
    const child = this.#forget();
    const evidence = child === null ? "no child" : readEvidence(child.pid);
    if (child !== null) {
      this.#abandoned++;
      void child.exited.then(() => this.#abandoned--);
      this.#kill(child);
    }
    // Queued requests would hang in the same driver.
    this.#settleAll({ kind: "unresponsive", evidence, abandoned: this.#abandoned });
  }

  #exited(child: Child, code: number | null, signal: string | number | null): void {
    if (this.#child !== child) return;
    const answered = this.#answered;
    this.#forget();
    // A child exits by itself for a newer library (`child.ts`); a request in flight goes to the
    // next child, within its deadline.
    if (code === 0 && answered && this.#queue[0] !== undefined) return this.#send(this.#queue[0]);
    const how = signal === null ? `exit ${code ?? "unknown"}` : String(signal);
    if (this.#queue.length > 0) {
      this.#settleAll({ kind: "crashed", signal: how, abandoned: this.#abandoned });
    } else if (signal !== null || code !== 0) {
      this.#crash = how;
    }
  }

  #forget(): Child | null {
    const child = this.#child;
    this.#child = null;
    this.#answered = false;
    return child;
  }

  #kill(child: Child): void {
    child.unref();
    child.kill("SIGKILL");
    try {
      child.disconnect();
    } catch {
      // The channel was closed already.
    }
  }

  #settleAll(outcome: Outcome): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const pending of queue) settle(pending, outcome);
  }
}

function settle(pending: Pending, outcome: Outcome): void {
  pending.cancel?.();
  pending.resolve(outcome);
}

/** A runtime has about five threads. */
const THREADS_MAX = 8;

/**
 * Why a process does not answer: `<comm>:<state>:<wait channel>` of each thread, `?` if unreadable.
 * State `D` in an NVIDIA function is a hung driver; `S` or `R` a library that sleeps or spins.
 */
function readEvidence(pid: number): string {
  const folder = `/proc/${pid}/task`;
  let threads: string[];
  try {
    threads = readdirSync(folder);
  } catch {
    return `pid ${pid} is gone`;
  }
  const shown = threads.slice(0, THREADS_MAX).map((thread) => {
    const stat = readOr(`${folder}/${thread}/stat`);
    const channel = readOr(`${folder}/${thread}/wchan`);
    return `${formatThread(stat)}:${channel === "" || channel === "0" ? "-" : channel}`;
  });
  return `pid ${pid} ${shown.join(" ")}`;
}

const readOr = (path: string): string => readText(path)?.trim() ?? "?";

/** `pid (comm) S …`; the name may hold brackets and spaces (proc(5)). */
function formatThread(stat: string): string {
  const open = stat.indexOf("(");
  const close = stat.lastIndexOf(")");
  if (open < 0 || close < open) return "?:?";
  const name = stat.slice(open + 1, close).replaceAll(/[\s:]/g, "_");
  return `${name}:${stat.slice(close + 2, close + 3)}`;
}
