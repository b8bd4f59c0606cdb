/**
 * Runs the setup of one machine and prints it while it runs. Ctrl-C first stops the commands on the
 * machine.
 *
 * Adapter: timers, signals.
 */
import type { Job, Outcome, Ports } from "../bootstrap/run/job.ts";
import { runBootstrap } from "../bootstrap/run/run.ts";
import type { Connect } from "../bootstrap/shell.ts";
import { openBinary } from "../bootstrap/ssh/binary.ts";
import { viewAttempt } from "../reconciler/http/view/bootstrap.ts";
import type { BootstrapAttempt } from "../schema/bootstrap.ts";
import { LiveAttempt } from "./bootstrap-live.ts";
import type { Context } from "./command.ts";
import type { HostRequest } from "./host-flag.ts";
import type { HostKeyFile } from "./host-key-file.ts";
import { renameAttempt } from "./host-print.ts";
import type { HostScript } from "./host-script.ts";
import { type Interrupt, watchInterrupts } from "./interrupt.ts";
import { openProgress } from "./progress.ts";

/** A step without output for this long is printed as running. */
const SILENT_MS = 700;

export type Running = {
  request: HostRequest;
  script: HostScript;
  job: Job;
  keys: HostKeyFile;
  connect: Connect;
  masks: readonly string[];
};
/** `interrupt` = the signal that stopped it. */
export type Ran = { outcome: Outcome; interrupt: Interrupt | null };

/** Throws a `HostKeyFault` if the first key cannot be stored. */
export async function runJob(context: Context, running: Running): Promise<Ran> {
  const { world, flags } = context;
  const { request, script, job, keys, masks } = running;
  const human = isForPeople(context);
  const live = new LiveAttempt(flags.on("commands"));
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isKept = false;
  const tell = (attempt: BootstrapAttempt, patient: boolean): void => {
    clearTimeout(timer);
    if (!human) return;
    world.out(live.next(renameAttempt(viewAttempt(attempt), script.names), patient));
    if (attempt.endedAt === null) timer = setTimeout(() => tell(attempt, true), SILENT_MS);
  };
  const ports: Ports = {
    connect: request.sshTimeoutMs === null ? onceDenied(running.connect) : running.connect,
    clock: {
      wallMs: world.wallMs,
      monoMs: world.monoMs,
      after(ms, work) {
        const after = setTimeout(work, ms);
        return () => clearTimeout(after);
      },
    },
    openBinary: (path, compress) => pushed(context, openBinary(path, compress)),
    record(attempt) {
      if (attempt.hostKey !== null && !isKept) {
        isKept = true;
        keys.accept(job.address, job.port, job.hostKey, attempt.hostKey);
      }
      tell(attempt, false);
    },
    masks,
  };
  const stop = new AbortController();
  let interrupt: Interrupt | null = null;
  const unwatch = watchInterrupts((signal) => {
    interrupt = signal;
    world.err("stopping: ending the commands on the machine (Ctrl-C again exits at once)\n");
    stop.abort("interrupted");
  });
  try {
    return { outcome: await runBootstrap(job, ports, stop.signal), interrupt };
  } finally {
    clearTimeout(timer);
    unwatch();
  }
}

/** Shows progress while the agent is pushed; the compressed size is not known before the end. */
async function* pushed(
  { world }: Context,
  chunks: AsyncGenerator<Uint8Array, void>,
): AsyncGenerator<Uint8Array, void> {
  const progress = openProgress(world, "push agent", "bytes");
  let bytes = 0;
  try {
    for await (const chunk of chunks) {
      yield chunk;
      bytes += chunk.length;
      progress.show(bytes, null);
    }
  } finally {
    progress.end();
  }
}

/**
 * A refused key is final: only a booting machine may not have it yet, and `--ssh-timeout` says to
 * wait for that.
 */
function onceDenied(connect: Connect): Connect {
  return async (request) => {
    const answer = await connect(request);
    return answer.kind === "denied" ? { ...answer, isFinal: true } : answer;
  };
}

/** True if the join token is, or may be, on the machine. */
export function isPlaced({ attempt }: Outcome): boolean {
  const { steps } = attempt;
  return steps.some(({ kind, endedAt }) => kind === "credential" && endedAt !== null);
}

/** False for formats of programs, which get no progress. */
export function isForPeople({ format }: Context): boolean {
  return format === "table" || format === "wide";
}
