/**
 * Runs an operator's executable once: input, output, time and size bounded. Without a shell.
 *
 * Adapter: starts a process.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import type { Clock } from "../core/clock.ts";

/** A list of 100,000 instances fits. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const STDERR_CHARS = 4_096;
/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 2_000;
/** How long after the end its output is still read, if a child of it holds the pipe. */
const LINGER_MS = 1_000;

export type Ran =
  | { kind: "ended"; status: number; output: string; stderr: string }
  /** Not started, killed, or over a limit: what it did is not known, unless `isUnstarted`. */
  | { kind: "failed"; why: string; isUnstarted: boolean };

export type Program = {
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  timeoutMs: number;
  clock: Pick<Clock, "after">;
};

/** Never rejects. A call that is over a limit ends with its whole process group. */
export function runProgram(program: Program, input: string): Promise<Ran> {
  const { argv, env, timeoutMs, clock } = program;
  const [command = "", ...more] = argv;
  const { promise, resolve } = Promise.withResolvers<Ran>();
  const unstarted = (cause: unknown): void => {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    resolve({ kind: "failed", why: `could not be started (${code})`, isUnstarted: true });
  };
  let child: ChildProcessWithoutNullStreams;
  try {
    child = spawn(command, more, { env, stdio: "pipe", detached: true });
  } catch (error) {
    // Bun throws what Node tells later, as for a path below a file (ENOTDIR).
    unstarted(error);
    return promise;
  }
  const stop = (signal: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // It has ended.
    }
  };
  let over: string | null = null;
  const abort = (why: string): void => {
    if (over !== null) return;
    over = why;
    stop("SIGTERM");
    clock.after(GRACE_MS, () => {
      stop("SIGKILL");
      resolve({ kind: "failed", why, isUnstarted: false });
    });
  };
  const cancel = clock.after(timeoutMs, () => abort(`no answer within ${timeoutMs / 1_000} s`));
  const chunks: Buffer[] = [];
  let bytes = 0;
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > OUTPUT_BYTES_MAX) abort(`printed more than ${OUTPUT_BYTES_MAX / 1024 ** 2} MiB`);
    else chunks.push(chunk);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-STDERR_CHARS);
  });
  // A program that does not read its input has closed the pipe: its answer says what came of it.
  child.stdin.on("error", () => undefined);
  child.on("error", (cause) => {
    cancel();
    unstarted(cause);
  });
  const finish = (status: number | null, signal: NodeJS.Signals | null): void => {
    cancel();
    if (over !== null) return resolve({ kind: "failed", why: over, isUnstarted: false });
    if (status === null) {
      return resolve({ kind: "failed", why: `killed by ${signal}`, isUnstarted: false });
    }
    const output = Buffer.concat(chunks).toString();
    resolve({ kind: "ended", status, output, stderr: stderr.trim() });
  };
  // A background process that inherited the pipes must not delay the answer for long.
  child.on("exit", (...how) => clock.after(LINGER_MS, () => finish(...how)));
  child.on("close", finish);
  child.stdin.end(input);
  return promise;
}

/** The words of a command line, separated by spaces. */
export function wordsOf(command: string): string[] {
  return command.split(/\s+/).filter((word) => word !== "");
}

/** A program's environment: without the runtime's variables and ours, which hold secrets. */
export function passedOn(
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !/^(BUN_|NAVARCH_)/.test(name)) passed[name] = value;
  }
  return passed;
}
