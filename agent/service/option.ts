/**
 * Reads the command line and environment of `navarch-node` into settings. An error is one sentence
 * that names the flag. Pure.
 */
import * as v from "valibot";
import { parseDuration } from "../../schema/duration.ts";
import { parseFlags, formatFlags } from "../../schema/flag.ts";
import { BootId, NodeId } from "../../schema/id.ts";
import { LIMIT } from "../../schema/limit.ts";
import { FLAGS } from "./flag.ts";
import { parseAddress } from "../report/address.ts";
import { isLoopback } from "../../schema/loopback.ts";
import { readWorker, type WorkerPlace } from "./worker-option.ts";

export type Fake = { count: number; name: string; bootId: BootId | null; faultPath: string | null };
/** Every setting, validated; `null` where it was not given. */
export type Options = ReturnType<typeof readOptions>;
export type OptionAnswer =
  | { kind: "options"; options: Options; warnings: string[] }
  | { kind: "help" | "version" }
  | { kind: "bad"; message: string };

type Env = Readonly<Record<string, string | undefined>>;
/** Thrown only inside this file, and caught in `parseOptions`. */
class Bad extends Error {}

/** `nowMs` resolves a relative `--since`; `hostname` is the default id; `read` reads a file. */
export function parseOptions(
  argv: readonly string[],
  env: Env,
  hostname: string,
  nowMs: number,
  read: (path: string) => string | null = () => null,
): OptionAnswer {
  const parsed = parseFlags(FLAGS, argv, env);
  if (!parsed.ok) return { kind: "bad", message: parsed.message };
  const { values, rest, given } = parsed;
  if (values.help) return { kind: "help" };
  if (values.version) return { kind: "version" };
  if (rest.length > 0) return { kind: "bad", message: `unexpected argument "${rest[0]}"` };
  try {
    const place = readWorker({ values, given, env, read });
    if (place.kind === "bad") throw new Bad(place.message);
    const options = readOptions(values, env, hostname, nowMs, place);
    const warnings: string[] = (["auth-token", "join-token"] as const)
      .filter((flag) => given.has(flag))
      .map((flag) => `--${flag} is visible to every user of this machine; use --${flag}-file`);
    if (env["NAVARCH_AUTH_TOKEN"]?.trim() === "")
      warnings.push("NAVARCH_AUTH_TOKEN is set and empty, so it is no token: set it, or unset it");
    return { kind: "options", options, warnings: [...place.warnings, ...warnings] };
  } catch (cause) {
    if (cause instanceof Bad) return { kind: "bad", message: cause.message };
    throw cause;
  }
}

/** The help text, with every flag. */
export function formatHelp(): string {
  const usage = "usage: navarch-node [flags]";
  const purpose = "Watches the GPUs of this node and reports to the control plane.";
  return `${usage}\n\n${purpose}\n\n${formatFlags(FLAGS)}\n`;
}

type Values = Extract<ReturnType<typeof parseFlags<typeof FLAGS>>, { ok: true }>["values"];

function readOptions(
  values: Values,
  env: Env,
  hostname: string,
  nowMs: number,
  { worker, over }: WorkerPlace,
) {
  const server = over.server ?? values.server;
  const address = parseAddress(server, over.server === null ? "--server" : "broker.address");
  if (!address.ok) throw new Bad(address.message);
  const text = (value: string | undefined) => value?.trim() || null;
  const fake = readFake(values, env);
  const caFingerprint = readFingerprint(text(values["ca-fingerprint"]), "--ca-fingerprint");
  return {
    server: withScheme(address.base, server, caFingerprint, over.isSecure),
    nodeId: readNodeId(worker === null ? values["node-id"] : over.nodeId, hostname),
    /** `null` = a machine. */
    worker,
    provider: text(values.provider),
    region: text(values.region),
    zone: text(values.zone),
    instanceType: text(values["instance-type"]),
    pool: text(values.pool) ?? over.pool,
    labels: readLabels(values.label),
    authToken: values["auth-token"],
    authTokenFile: values["auth-token-file"],
    authTokenEnvironment: env["NAVARCH_AUTH_TOKEN"],
    joinToken: text(values["join-token"]),
    joinTokenFile: text(values["join-token-file"]),
    podTokenFile: worker === null ? text(values["pod-token-file"]) : null,
    caFingerprint,
    /** Fingerprint of the key that signs orders and releases. */
    keyFingerprint: readFingerprint(text(values["key-fingerprint"]), "--key-fingerprint"),
    caFile: text(values["ca-file"]) ?? over.caFile,
    clientCertFile: text(values["client-cert-file"]) ?? over.certFile,
    clientKeyFile: text(values["client-key-file"]) ?? over.keyFile,
    spool: values.spool,
    once: values.once,
    text: values.text,
    sinceMs: readSince(values.since, nowMs),
    /**
     * Default: `/dev/kmsg`; `null`, no kernel log, on a simulated node, and in a pod, which shares
     * the machine's log with its neighbours.
     */
    kernelLog: text(values["kernel-log"]) ?? (fake || worker ? null : "/dev/kmsg"),
    nvmlPath: readAbsolute(values["nvml-path"], "--nvml-path"),
    hostRoot: readAbsolute(values["host-root"], "--host-root"),
    hostProc: readAbsolute(values["host-proc"], "--host-proc"),
    hostSys: readAbsolute(values["host-sys"], "--host-sys"),
    expectedGpus: readCount(values["expected-gpus"], "--expected-gpus"),
    expectedPorts: readCount(values["expected-ports"], "--expected-ports", PORTS_MAX),
    allowCommands: values["allow-commands"],
    metrics: readMetrics(values["metrics-addr"], values["metrics-insecure"]),
    fake,
    logLevel: readLevel(values["log-level"]),
  };
}

function readFingerprint(given: string | null, flag: string): string | null {
  if (given === null) return null;
  // OpenSSL prints colons and capitals.
  const hex = given
    .replace(/^sha256[:=]/i, "")
    .replaceAll(":", "")
    .toLowerCase();
  if (/^[0-9a-f]{64}$/.test(hex)) return `sha256:${hex}`;
  throw new Bad(`${flag} must be sha256: and 64 hex digits, found ${given.length} letters`);
}

/** A pinned CA requires TLS; an address with another scheme is an error. */
function withScheme(
  base: string,
  given: string,
  caFingerprint: string | null,
  isSecure: boolean,
): string {
  if ((caFingerprint === null && !isSecure) || base.startsWith("https:")) return base;
  if (caFingerprint === null) return hasScheme(given) ? base : base.replace(/^http:/, "https:");
  if (hasScheme(given)) {
    throw new Bad("--ca-fingerprint needs a --server with https://");
  }
  return base.replace(/^http:/, "https:");
}

const hasScheme = (given: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(given.trim());

function readNodeId(given: string | undefined, hostname: string): NodeId {
  const parsed = v.safeParse(NodeId, given ?? hostname);
  if (parsed.success) return parsed.output;
  const from = given === undefined ? "the hostname cannot be the node id" : "--node-id";
  throw new Bad(`${from}: ${parsed.issues[0].message}, found ${JSON.stringify(given ?? hostname)}`);
}

function readLabels(given: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const pair of given) {
    const at = pair.indexOf("=");
    if (at < 1) throw new Bad(`--label must be KEY=VALUE, found ${JSON.stringify(pair)}`);
    labels[pair.slice(0, at)] = pair.slice(at + 1);
  }
  if (Object.keys(labels).length > LIMIT.labelsMax) {
    throw new Bad(`--label: at most ${LIMIT.labelsMax} labels`);
  }
  return labels;
}

/** More network ports than any machine has. */
const PORTS_MAX = 64;

function readCount(
  given: string | undefined,
  flag: string,
  most: number = LIMIT.gpusPerNodeMax,
): number | null {
  if (given === undefined || given === "") return null;
  const count = Number(given);
  if (/^\d+$/.test(given) && count <= most) return count;
  throw new Bad(`${flag} must be 0 to ${most}, found ${JSON.stringify(given)}`);
}

function readFake(values: Values, env: Env): Fake | null {
  const asked = readCount(values["fake-gpus"], "--fake-gpus");
  const byEnv = /^(true|1|yes|on)$/i.test(env["NAVARCH_FAKE_GPU"] ?? "");
  if (asked === null && !byEnv) {
    const only = (["boot-id", "sim-faults"] as const).find((flag) => values[flag] !== undefined);
    if (only) throw new Bad(`--${only} is for simulated nodes only; it needs --fake-gpus`);
    return null;
  }
  const count = asked ?? readCount(env["NAVARCH_GPU_COUNT"], "NAVARCH_GPU_COUNT") ?? 8;
  const boot = values["boot-id"];
  const parsed = v.safeParse(BootId, boot ?? "none");
  if (!parsed.success) throw new Bad(`--boot-id: ${parsed.issues[0].message}`);
  return {
    count,
    name: env["NAVARCH_GPU_TYPE"] || "NVIDIA H100 80GB HBM3",
    bootId: boot === undefined ? null : parsed.output,
    faultPath: values["sim-faults"] ?? null,
  };
}

function readAbsolute(given: string | undefined, flag: string): string | null {
  if (given === undefined || given === "") return null;
  if (given.startsWith("/")) return given;
  throw new Bad(`${flag} must be an absolute path, found ${JSON.stringify(given)}`);
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

/** A duration before now (`30m`) or an RFC 3339 time, in wall milliseconds. */
function readSince(given: string | undefined, nowMs: number): number | null {
  if (given === undefined) return null;
  const text = given.trim();
  const atMs = TIME.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(atMs)) return atMs;
  const duration = parseDuration(text);
  if (duration.ok) return nowMs - duration.ms;
  const hint = duration.hint ?? "write for example 30m or 2026-03-01T10:00:00Z";
  throw new Bad(`--since: ${duration.message}; ${hint}`);
}

function readMetrics(
  given: string | undefined,
  insecure: boolean,
): { hostname: string; port: number } | null {
  if (given === undefined || given === "") return null;
  const match = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):(\d{1,5})$/.exec(given);
  const port = Number(match?.[2]);
  if (!match || port > 65_535) {
    throw new Bad(`--metrics-addr must be HOST:PORT, found ${JSON.stringify(given)}`);
  }
  const hostname = match[1] === "" ? "0.0.0.0" : (match[1] ?? "").replace(/^\[|\]$/g, "");
  if (!isLoopback(hostname) && !insecure) {
    throw new Bad(`--metrics-addr ${given} is not loopback; --metrics-insecure allows it`);
  }
  return { hostname, port };
}

function readLevel(given: string) {
  const level = (["debug", "info", "warn", "error"] as const).find((each) => each === given);
  if (level) return level;
  throw new Bad(`--log-level must be debug, info, warn or error, found ${JSON.stringify(given)}`);
}
