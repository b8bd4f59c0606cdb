/**
 * Reads the command line and environment of `navarch-node` into settings. An error is one sentence
 * that names the flag. Pure.
 */
import * as v from "valibot";
import { parseDuration } from "../schema/duration.ts";
import { type FlagSpecs, parseFlags, formatFlags } from "../schema/flag.ts";
import { BootId, NodeId } from "../schema/id.ts";
import { LIMIT } from "../schema/limit.ts";
import { parseAddress } from "./report/address.ts";
import { isLoopback } from "../schema/loopback.ts";

export const FLAGS = {
  server: {
    kind: "text",
    value: "ADDRESS",
    env: ["NAVARCH_SERVER"],
    default: "http://localhost:50051",
    help: "control plane: host, host:port or URL",
  },
  "node-id": {
    kind: "text",
    value: "ID",
    env: ["NODE_NAME"],
    help: "this node's id (default: hostname)",
  },
  provider: { kind: "text", value: "NAME", help: "cloud provider, if it cannot be detected" },
  region: { kind: "text", value: "NAME", help: "region" },
  zone: { kind: "text", value: "NAME", help: "zone" },
  "instance-type": { kind: "text", value: "TYPE", help: "instance type" },
  pool: {
    kind: "text",
    value: "NAME",
    env: ["NAVARCH_POOL"],
    help: "expected pool (a hint)",
  },
  label: { kind: "list", value: "KEY=VALUE", help: "label of this node (repeatable)" },
  "auth-token": {
    kind: "text",
    value: "TOKEN",
    help: "bearer token; visible to other users here, prefer a file or NAVARCH_AUTH_TOKEN",
  },
  "auth-token-file": {
    kind: "text",
    value: "FILE",
    env: ["NAVARCH_AUTH_TOKEN_FILE"],
    help: "file with the token, re-read on changes",
  },
  "join-token": {
    kind: "text",
    value: "TOKEN",
    env: ["NAVARCH_JOIN_TOKEN"],
    help: "token of navarch join-token create; visible to other users here, prefer a file",
  },
  "join-token-file": {
    kind: "text",
    value: "FILE",
    env: ["NAVARCH_JOIN_TOKEN_FILE"],
    help: "file with the join token",
  },
  "pod-token-file": {
    kind: "text",
    value: "FILE",
    env: ["NAVARCH_POD_TOKEN_FILE"],
    help: "service-account token of this pod (audience navarch), to join by its Node",
  },
  "ca-fingerprint": {
    kind: "text",
    value: "SHA256",
    env: ["NAVARCH_CA_FINGERPRINT"],
    help: "sha256:… of the control plane's CA certificate; implies https",
  },
  "key-fingerprint": {
    kind: "text",
    value: "SHA256",
    env: ["NAVARCH_KEY_FINGERPRINT"],
    help: "sha256:… of the control plane's key that signs commands and releases",
  },
  "ca-file": {
    kind: "text",
    value: "FILE",
    env: ["NAVARCH_CA_FILE"],
    help: "PEM file with the CAs to trust instead of the system's",
  },
  "client-cert-file": {
    kind: "text",
    value: "FILE",
    env: ["NAVARCH_CLIENT_CERT_FILE"],
    help: "client certificate, if the control plane requires one",
  },
  "client-key-file": {
    kind: "text",
    value: "FILE",
    env: ["NAVARCH_CLIENT_KEY_FILE"],
    help: "private key of the client certificate",
  },
  spool: {
    kind: "text",
    value: "DIR",
    default: "/var/lib/navarch-node",
    help: "folder for findings, the credential and state",
  },
  once: {
    kind: "switch",
    help: "one full check as JSON; exit 0 healthy, 10 degraded, 11 unhealthy, 12 unknown",
  },
  text: { kind: "switch", help: "with --once: a readable summary instead of JSON" },
  since: {
    kind: "text",
    value: "TIME",
    help: "with --once: kernel log since then (30m, or an RFC 3339 time)",
  },
  "kernel-log": {
    kind: "text",
    value: "FILE",
    env: ["NAVARCH_KERNEL_LOG"],
    help: "kernel log (default /dev/kmsg)",
  },
  "nvml-path": {
    kind: "text",
    value: "FILE",
    help: "path of the NVML library (default: searched)",
  },
  "host-root": { kind: "text", value: "DIR", help: "where the node's file system is mounted" },
  "host-proc": {
    kind: "text",
    value: "DIR",
    help: "where the node's /proc is mounted (default /host/proc, /proc)",
  },
  "host-sys": {
    kind: "text",
    value: "DIR",
    help: "where the node's /sys is mounted (default /host/sys, /sys)",
  },
  "expected-gpus": { kind: "text", value: "N", help: "number of GPUs that this machine must have" },
  "expected-ports": {
    kind: "text",
    value: "N",
    help: "InfiniBand and RoCE ports that must be active (default: those seen active before)",
  },
  "allow-commands": { kind: "switch", help: "allow reboot and gpu_reset by the control plane" },
  "metrics-addr": {
    kind: "text",
    value: "HOST:PORT",
    help: "serve Prometheus metrics on this loopback address",
  },
  "metrics-insecure": { kind: "switch", help: "allow a --metrics-addr that is not loopback" },
  "fake-gpus": {
    kind: "text",
    value: "N",
    help: "simulate N GPUs; the node is marked as simulated",
  },
  "boot-id": { kind: "text", value: "ID", help: "boot id of a simulated node" },
  "sim-faults": { kind: "text", value: "FILE", help: "faults of a simulated node" },
  "log-level": {
    kind: "text",
    value: "LEVEL",
    default: "info",
    help: "debug, info, warn or error",
  },
  version: { kind: "switch", short: "v", help: "print the version" },
  help: { kind: "switch", short: "h", help: "print this help" },
} as const satisfies FlagSpecs;

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

/** `nowMs` resolves a relative `--since`; `hostname` is the default id. */
export function parseOptions(
  argv: readonly string[],
  env: Env,
  hostname: string,
  nowMs: number,
): OptionAnswer {
  const parsed = parseFlags(FLAGS, argv, env);
  if (!parsed.ok) return { kind: "bad", message: parsed.message };
  const { values, rest, given } = parsed;
  if (values.help) return { kind: "help" };
  if (values.version) return { kind: "version" };
  if (rest.length > 0) return { kind: "bad", message: `unexpected argument "${rest[0]}"` };
  try {
    const options = readOptions(values, env, hostname, nowMs);
    const warnings = (["auth-token", "join-token"] as const)
      .filter((flag) => given.has(flag))
      .map((flag) => `--${flag} is visible to every user of this machine; use --${flag}-file`);
    if (env["NAVARCH_AUTH_TOKEN"]?.trim() === "")
      warnings.push("NAVARCH_AUTH_TOKEN is set and empty, so it is no token: set it, or unset it");
    return { kind: "options", options, warnings };
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

function readOptions(values: Values, env: Env, hostname: string, nowMs: number) {
  const address = parseAddress(values.server, "--server");
  if (!address.ok) throw new Bad(address.message);
  const text = (value: string | undefined) => value?.trim() || null;
  const fake = readFake(values, env);
  const caFingerprint = readFingerprint(text(values["ca-fingerprint"]), "--ca-fingerprint");
  return {
    server: withScheme(address.base, values.server, caFingerprint),
    nodeId: readNodeId(values["node-id"], hostname),
    provider: text(values.provider),
    region: text(values.region),
    zone: text(values.zone),
    instanceType: text(values["instance-type"]),
    pool: text(values.pool),
    labels: readLabels(values.label),
    authToken: values["auth-token"],
    authTokenFile: values["auth-token-file"],
    authTokenEnvironment: env["NAVARCH_AUTH_TOKEN"],
    joinToken: text(values["join-token"]),
    joinTokenFile: text(values["join-token-file"]),
    podTokenFile: text(values["pod-token-file"]),
    caFingerprint,
    /** Fingerprint of the key that signs orders and releases. */
    keyFingerprint: readFingerprint(text(values["key-fingerprint"]), "--key-fingerprint"),
    caFile: text(values["ca-file"]),
    clientCertFile: text(values["client-cert-file"]),
    clientKeyFile: text(values["client-key-file"]),
    spool: values.spool,
    once: values.once,
    text: values.text,
    sinceMs: readSince(values.since, nowMs),
    /** Default: `/dev/kmsg`; on a simulated node `null`, no kernel log. */
    kernelLog: text(values["kernel-log"]) ?? (fake ? null : "/dev/kmsg"),
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
function withScheme(base: string, given: string, caFingerprint: string | null): string {
  if (caFingerprint === null || base.startsWith("https:")) return base;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(given.trim())) {
    throw new Bad("--ca-fingerprint needs a --server with https://");
  }
  return base.replace(/^http:/, "https:");
}

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
