/**
 * Credential plugins (`client.authentication.k8s.io/v1` and `v1beta1`): a program that prints a
 * token or a client certificate. It runs when nothing is held, when what is held is about to
 * expire, and when the server refused it; a failing plugin is not run in a loop. What it prints to
 * its standard error is quoted, shortened and with everything that looks like a secret taken out.
 *
 * Adapter: starts the plugin.
 */
import * as v from "valibot";
import type { Clock } from "../core/clock.ts";
import type { Credential, CredentialSource } from "./credential.ts";
import type { ExecEntry } from "./kubeconfig.ts";

/** A plugin that opens a browser needs a person; a service that waits longer is only blind. */
const RUN_MS = 30_000;
/** Between two runs: a plugin that fails, or whose token is refused, costs one process in this. */
const PAUSE_MS = 5_000;
/** A token is renewed this long before it ends, so that none ends on its way. */
const EARLY_MS = 10_000;
const STDOUT_BYTES_MAX = 1024 * 1024;
const STDERR_BYTES_MAX = 16 * 1024;
const STDERR_SHOWN = 300;

const Answer = v.object({
  apiVersion: v.string(),
  kind: v.literal("ExecCredential"),
  status: v.object({
    token: v.nullish(v.string()),
    clientCertificateData: v.nullish(v.string()),
    clientKeyData: v.nullish(v.string()),
    expirationTimestamp: v.nullish(v.string()),
  }),
});

/** What the plugin is told if it asks for `provideClusterInfo`. */
export type ClusterInfo = Readonly<Record<string, unknown>>;

type Held = { credential: Credential; expiresAt: number | null };
type Run = Held | { failed: string };

export class ExecPlugin implements CredentialSource {
  readonly #entry: ExecEntry;
  readonly #env: Record<string, string>;
  readonly #clock: Clock;
  #last: Run | null = null;
  #lastMs = Number.NEGATIVE_INFINITY;
  #refused = false;
  #running: Promise<Run> | null = null;

  /** `env` is the control plane's; the plugin gets all of it but Bun's and our own words. */
  constructor(
    entry: ExecEntry,
    info: ClusterInfo | null,
    env: Readonly<Record<string, string | undefined>>,
    clock: Clock,
  ) {
    this.#entry = entry;
    this.#clock = clock;
    this.#env = environmentOf(entry, info, env);
  }

  async current(): Promise<Credential> {
    if (this.#running === null && this.#mustRun()) {
      this.#running = this.#run().finally(() => {
        this.#running = null;
      });
    }
    const run = this.#running === null ? this.#last : await this.#running;
    if (run === null) throw new Error(`credential plugin ${this.#entry.command}: not run`);
    if ("failed" in run) throw new Error(run.failed);
    return run.credential;
  }

  refresh(): void {
    this.#refused = true;
  }

  #mustRun(): boolean {
    const last = this.#last;
    if (last === null) return true;
    const rested = this.#clock.monoMs() - this.#lastMs >= PAUSE_MS;
    if ("failed" in last || this.#refused) return rested;
    const soon = this.#clock.wallMs() + EARLY_MS;
    return last.expiresAt !== null && last.expiresAt <= soon && rested;
  }

  async #run(): Promise<Run> {
    this.#refused = false;
    const run = await this.#ask();
    const last = this.#last;
    // What is held may still be good for a while; the next call after the pause asks again.
    const spare = "failed" in run && last !== null && !("failed" in last) && this.#lives(last);
    if (!spare) this.#last = run;
    this.#lastMs = this.#clock.monoMs();
    return this.#last ?? run;
  }

  #lives({ expiresAt }: Held): boolean {
    return expiresAt !== null && expiresAt > this.#clock.wallMs();
  }

  async #ask(): Promise<Run> {
    const { command, installHint } = this.#entry;
    const named = `credential plugin ${command}`;
    const hint = installHint === null ? "" : ` (${installHint.slice(0, STDERR_SHOWN)})`;
    let output: Output;
    try {
      output = await runPlugin(this.#entry, this.#env, this.#clock);
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? `: ${cause.code}` : "";
      return { failed: `${named}: could not be started${code}${hint}` };
    }
    const { exitCode, stdout, stderr } = output;
    const said = stderr === "" ? "" : `: ${stderr}`;
    if (exitCode === null) return { failed: `${named}: no answer in ${RUN_MS / 1000} s${said}` };
    if (exitCode !== 0) return { failed: `${named}: exit status ${exitCode}${said}${hint}` };
    return readAnswer(stdout, this.#entry.apiVersion, named);
  }
}

function environmentOf(
  entry: ExecEntry,
  info: ClusterInfo | null,
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !/^(BUN_|NAVARCH_)/.test(name)) passed[name] = value;
  }
  for (const { name, value } of entry.env) passed[name] = value;
  const cluster = entry.provideClusterInfo && info !== null ? { cluster: info } : {};
  passed["KUBERNETES_EXEC_INFO"] = JSON.stringify({
    apiVersion: entry.apiVersion,
    kind: "ExecCredential",
    spec: { interactive: false, ...cluster },
  });
  return passed;
}

/** `exitCode` is `null` if it had to be killed. */
type Output = { exitCode: number | null; stdout: string; stderr: string };

/** Rejects if the program cannot be started. */
async function runPlugin(
  { command, args }: ExecEntry,
  env: Record<string, string>,
  clock: Clock,
): Promise<Output> {
  const child = Bun.spawn([command, ...args], {
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const late = Promise.withResolvers<null>();
  const cancel = clock.after(RUN_MS, () => late.resolve(null));
  const stop = new AbortController();
  const stdout = readSome(child.stdout, STDOUT_BYTES_MAX, stop.signal);
  const stderr = readSome(child.stderr, STDERR_BYTES_MAX, stop.signal);
  try {
    // A grandchild may hold the pipes open for ever, so the end of the reads is part of the wait.
    const ended = Promise.all([child.exited, stdout, stderr]).then(([exitCode]) => exitCode);
    const exitCode = await Promise.race([ended, late.promise]);
    if (exitCode === null) child.kill("SIGKILL");
    stop.abort();
    return { exitCode, stdout: await stdout, stderr: withoutSecrets(await stderr) };
  } finally {
    cancel();
  }
}

/** The first `bytesMax` of a stream; the rest is read and dropped, so that nobody blocks on it. */
async function readSome(
  stream: ReadableStream<Uint8Array>,
  bytesMax: number,
  signal: AbortSignal,
): Promise<string> {
  const reader = stream.getReader();
  const stopped = Promise.withResolvers<null>();
  signal.addEventListener("abort", () => stopped.resolve(null));
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const read = await Promise.race([reader.read().catch(() => null), stopped.promise]);
    if (read === null || read.done) break;
    if (bytes < bytesMax) chunks.push(read.value.subarray(0, bytesMax - bytes));
    bytes += read.value.byteLength;
  }
  // Not awaited: a pipe that somebody else holds may never confirm it.
  reader.cancel().catch(() => {});
  return Buffer.concat(chunks).toString("utf8");
}

function readAnswer(stdout: string, apiVersion: string, named: string): Run {
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch {
    return { failed: `${named}: expected an ExecCredential in JSON` };
  }
  const parsed = v.safeParse(Answer, value);
  if (!parsed.success) {
    const at = v.getDotPath(parsed.issues[0]) ?? "";
    return { failed: `${named}: expected an ExecCredential, not so at ${at || "its root"}` };
  }
  if (parsed.output.apiVersion !== apiVersion) {
    return { failed: `${named}: expected apiVersion ${apiVersion}, found another` };
  }
  const { token, clientCertificateData, clientKeyData, expirationTimestamp } = parsed.output.status;
  if (!token && !(clientCertificateData && clientKeyData)) {
    return { failed: `${named}: expected a token, or a client certificate and its key` };
  }
  const expiresAt = expirationTimestamp ? Date.parse(expirationTimestamp) : null;
  if (Number.isNaN(expiresAt)) return { failed: `${named}: unreadable expirationTimestamp` };
  return {
    credential: {
      headers: token ? { authorization: `Bearer ${token.trim()}` } : {},
      cert: clientCertificateData || null,
      key: clientKeyData || null,
    },
    expiresAt,
  };
}

/** What a plugin complains about is worth reading, but it may well print what it was refused. */
function withoutSecrets(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.replace(/[\w+/=.~-]{24,}/g, "…").slice(-STDERR_SHOWN);
}
