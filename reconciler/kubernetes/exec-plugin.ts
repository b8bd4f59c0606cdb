/**
 * Runs credential plugins (`client.authentication.k8s.io/v1` and `v1beta1`), which print a token or
 * a client certificate, through `@kubernetes/client-node`. Version 1.4.0 has no time limit, leaves
 * their stdin open, does not set `KUBERNETES_EXEC_INFO`, passes our whole environment, runs a
 * plugin at each call if its answer names no expiry, and quotes all of stderr; this file corrects
 * these.
 *
 * Adapter: starts the plugin.
 */
import { spawn } from "node:child_process";
import type { RequestOptions } from "node:https";
import type { Readable } from "node:stream";
import * as v from "valibot";
import type { Clock } from "../core/clock.ts";
import { credentialOf, Renewed } from "./credential.ts";
import type { Held } from "./credential.ts";
import type { ExecEntry } from "./kubeconfig.ts";
import { parseInstant } from "../../schema/instant.ts";

/** A plugin that waits for a person, as with a browser, cannot serve a service. */
const RUN_MS = 30_000;
/** A failing plugin, or one with a refused token, is run once in this time. */
const PACE = { everyMs: Number.POSITIVE_INFINITY, pauseMs: 5_000 };
const OUTPUT_CHARS_MAX = 1024 * 1024;
const STDERR_CHARS = 16 * 1024;
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

/** For a plugin with `provideClusterInfo`. */
export type ClusterInfo = Readonly<Record<string, unknown>>;
type Environment = Readonly<Record<string, string | undefined>>;

/** The plugin gets `env`, the control plane's, without Bun's and our own variables. */
export function openPlugin(
  entry: ExecEntry,
  info: ClusterInfo | null,
  env: Environment,
  clock: Clock,
): Renewed {
  const passed = environmentOf(entry, info, env);
  return new Renewed(() => askPlugin(entry, passed, clock), clock, PACE);
}

function environmentOf(
  entry: ExecEntry,
  info: ClusterInfo | null,
  env: Environment,
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

type Run = {
  /** Why there is no answer; `null`: it succeeded. */
  failed: string | null;
  stderr: string;
  /** Its output, if that was JSON. */
  answer: unknown;
  /** The library's result. */
  options: RequestOptions;
};

/** Rejects with a message for display. */
async function askPlugin(entry: ExecEntry, env: Environment, clock: Clock): Promise<Held> {
  const named = `credential plugin ${entry.command}`;
  const run = await runPlugin(entry, env, clock);
  if (run.failed === null) return readAnswer(run, entry.apiVersion, named);
  const said = run.stderr === "" ? "" : `: ${withoutSecrets(run.stderr)}`;
  const hint = entry.installHint ? ` (${entry.installHint.slice(0, STDERR_SHOWN)})` : "";
  throw new Error(`${named}: ${run.failed}${said}${hint}`);
}

async function runPlugin(entry: ExecEntry, env: Environment, clock: Clock): Promise<Run> {
  const { ExecAuth } = await import("@kubernetes/client-node/dist/exec_auth.js");
  // A new instance each time: an old one would return a refused or expiring credential.
  const auth = new ExecAuth();
  const run: Run = { failed: "could not be started", stderr: "", answer: undefined, options: {} };
  const stop = Promise.withResolvers<string>();
  // A private field, and the only way to limit the process that the library starts.
  auth["execFn"] = (command: string, args: string[]) => {
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    child.on("close", (code, signal) => {
      run.failed = code === 0 ? null : `exit status ${code ?? signal}`;
    });
    child.on("error", (cause) => {
      stop.resolve(`could not be started: ${"code" in cause ? cause.code : cause.message}`);
    });
    bound(child.stdout, stop.resolve);
    bound(child.stderr, stop.resolve, (text) => {
      run.stderr = (run.stderr + text).slice(-STDERR_CHARS);
    });
    void stop.promise.then(() => {
      child.kill("SIGKILL");
      // A grandchild may hold the pipes open.
      for (const stream of [child.stdout, child.stderr]) stream.destroy();
    });
    return child;
  };
  const cancel = clock.after(RUN_MS, () => stop.resolve(`no answer in ${RUN_MS / 1000} s`));
  const user = { name: "plugin", exec: { command: entry.command, args: entry.args } };
  // The library's error only quotes the plugin's output.
  const applied = auth.applyAuthentication(user, run.options).catch(() => {});
  const stopped = await Promise.race([stop.promise, applied]);
  cancel();
  return { ...run, failed: stopped ?? run.failed, answer: auth["tokenCache"][user.name] };
}

function bound(stream: Readable, stop: (why: string) => void, keep?: (text: string) => void) {
  let chars = 0;
  stream.on("data", (text: string) => {
    chars += text.length;
    keep?.(text);
    if (chars > OUTPUT_CHARS_MAX) stop("printed more than 1 MiB");
  });
}

function readAnswer({ answer, options }: Run, apiVersion: string, named: string): Held {
  if (answer === undefined) throw new Error(`${named}: expected an ExecCredential in JSON`);
  const parsed = v.safeParse(Answer, answer);
  if (!parsed.success) {
    const at = v.getDotPath(parsed.issues[0]) ?? "";
    throw new Error(`${named}: expected an ExecCredential, not so at ${at || "its root"}`);
  }
  if (parsed.output.apiVersion !== apiVersion) {
    throw new Error(`${named}: expected apiVersion ${apiVersion}, found another`);
  }
  const { token, clientCertificateData, clientKeyData, expirationTimestamp } = parsed.output.status;
  if (!token && !(clientCertificateData && clientKeyData)) {
    throw new Error(`${named}: expected a token, or a client certificate and its key`);
  }
  const endsAt = expirationTimestamp ? parseInstant(expirationTimestamp) : null;
  if (Number.isNaN(endsAt)) throw new Error(`${named}: unreadable expirationTimestamp`);
  return { credential: credentialOf(options), endsAt };
}

/** The end of stderr; long words are replaced, because they may be secrets. */
function withoutSecrets(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.replace(/[\w+/=.~-]{24,}/g, "…").slice(-STDERR_SHOWN);
}
