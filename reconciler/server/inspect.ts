/**
 * What a valid configuration needs from this machine: files, environment variables, a cluster,
 * providers that can be opened. `config validate` and the start both check it. An error would be
 * refused by the start; a warning leaves something undone later.
 *
 * Adapter: reads files.
 */
import { accessSync, constants, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, resolve } from "node:path";
import type {
  Config,
  PoolConfig,
  Problem,
  ProviderConfig,
  ProviderType,
} from "../../schema/config.ts";
import { fillNotifier } from "./notifier.ts";
import { inventoryOf, openInventory } from "../config/open.ts";
import type { Finder } from "../config/place.ts";
import { type InventoryHost, placeOfHost } from "../core/inventory.ts";
import { isOwnedType } from "../../schema/config/provider.ts";
import { checkKey } from "./open-bootstrap.ts";
import { readAwsSettings, whyNoKey } from "../provider/aws/setting.ts";
import { whyNoPurchase, whyNoToken } from "../provider/gcp/setting.ts";
import { readLambdaSettings } from "../provider/lambda/setting.ts";
import { flatten } from "../core/scaling/recommend.ts";
import { wordsOf } from "../program/program.ts";
import { openTransport } from "../kubernetes/connect.ts";
import { whyNoDatabase } from "../store/address.ts";
import { whyUnfit } from "../security/tls/fit.ts";
import { broughtTls } from "../security/tls/open.ts";

export type Surroundings = {
  env: Readonly<Record<string, string | undefined>>;
  /** A flag names a database server, so that `server.state_path` is not used. */
  serverGiven?: boolean;
  /** A flag names the file of the shared token. */
  tokenFileGiven?: boolean;
};

type Say = (
  severity: "error" | "warning",
  pool: string | null,
  keys: readonly string[],
  message: string,
  hint?: string | null,
) => void;

/** All problems, in no order. */
export async function inspect(
  config: Config,
  find: Finder,
  around: Surroundings,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const say: Say = (severity, pool, keys, message, hint = null) => {
    const { at, path } = find(pool, keys);
    problems.push({ ...at, path, code: "surroundings", message, hint, severity });
  };
  checkServer(config, around, say);
  for (const provider of config.providers) checkProvider(provider, around.env, say);
  problems.push(...(await checkInventories(config, say)));
  for (const pool of config.pools) {
    await checkPool(pool, config, say);
    checkSources(pool, around.env, say);
  }
  const { env } = around;
  const cluster = await openTransport(config.kubernetes, { ...env });
  if (cluster.kind === "failed") {
    const key = config.kubernetes.kubeconfig === null ? "enabled" : "kubeconfig";
    say("error", null, ["kubernetes", key], cluster.message);
  }
  return problems;
}

function checkServer({ server }: Config, around: Surroundings, say: Say): void {
  const { env, serverGiven, tokenFileGiven } = around;
  const { tls, auth, notifier } = server;
  const { pipelineSecretFile } = server.console;
  // A flag's file, or the environment's, replaces the configured one.
  const named = env["NAVARCH_AUTH_TOKEN_FILE"];
  const tokenFile = tokenFileGiven === true ? null : (named ?? auth.tokenFile);
  const files: [string[], string | null | undefined][] = [
    [["server", "tls", "cert_file"], tls?.certFile],
    [["server", "tls", "key_file"], tls?.keyFile],
    [["server", "tls", "client_ca_file"], tls?.clientCaFile],
    [["server", "auth", "admin_token_file"], auth.adminTokenFile],
    [["server", "auth", "token_file"], tokenFile],
    [["server", "console", "pipeline_secret_file"], pipelineSecretFile],
  ];
  const unread = files.filter(([keys, path]) => {
    const why = typeof path === "string" ? whyUnreadable(path) : null;
    const by = path === named ? "NAVARCH_AUTH_TOKEN_FILE " : "";
    if (why !== null) say("error", null, keys, `${by}${path}: ${why}`);
    return why !== null;
  });
  if (tls !== null && !tls.ownCa && !unread.some(([keys]) => keys[1] === "tls")) {
    const brought = broughtTls({ server } as Config);
    const unfit = brought === null ? null : whyUnfit(brought);
    const pair = `${tls.certFile} with ${tls.keyFile}`;
    if (unfit !== null) say("error", null, ["server", "tls"], `${pair}: ${unfit}`);
  }
  const state = serverGiven === true ? null : server.statePath;
  const why = state === null ? null : (whyNoDatabase(state) ?? whyNoFile(state));
  if (why !== null) say("error", null, ["server", "state_path"], why);
  const filled = notifier.type === "noop" ? null : fillNotifier(notifier, env);
  for (const { keys, message } of filled?.ok === false ? filled.problems : []) {
    say("error", null, keys, message);
  }
}

function checkProvider(
  { name, type, settings }: ProviderConfig,
  env: Surroundings["env"],
  say: Say,
): void {
  const at = ["providers", name];
  const account =
    type === "lambda"
      ? readLambdaSettings(settings, env)
      : type === "aws"
        ? readAwsSettings(settings, env)
        : null;
  const why = type === "gcp" ? whyNoPurchase(settings, env) : account;
  if (typeof why === "string") say("warning", null, at, `nothing can be bought here: ${why}`);
  const token = type === "gcp" ? whyNoToken(settings, env) : null;
  const refused = type === "aws" ? whyNoKey(settings, env) : token;
  if (refused !== null) say("warning", null, at, `no call can be made here: ${refused}`);
  for (const [key, path] of [
    ["agent_path", settings["agentPath"]],
    ["api_key_file", settings["apiKeyFile"]],
    ["credentials_file", settings["credentialsFile"]],
    ["kubeconfig", settings["kubeconfig"]],
  ] as const) {
    const unread = typeof path === "string" ? whyUnreadable(path) : null;
    if (unread !== null) say("warning", null, [...at, key], `${path}: ${unread}`);
  }
  const [program] = String(settings["command"] ?? "")
    .trim()
    .split(/\s+/);
  const idle = program === undefined || program === "" ? null : whyNotRun(program);
  if (idle !== null) say("warning", null, [...at, "command"], `${program}: ${idle}`);
}

/**
 * Inventories of owned machines: each can be read, no machine is in two of them, and no pool is
 * larger than its own.
 */
async function checkInventories({ providers, pools }: Config, say: Say): Promise<Problem[]> {
  const problems: Problem[] = [];
  const first = new Map<string, string>();
  const hostsOf = new Map<string, readonly InventoryHost[]>();
  for (const { name, settings } of providers.filter((one) => isOwnedType(one.type))) {
    const { inventory } = settings;
    if (typeof inventory === "string") problems.push(...(await openInventory(inventory)).problems);
    const read = await inventoryOf(settings);
    if (!read.ok) continue;
    hostsOf.set(name, read.hosts);
    const key = typeof inventory === "string" ? "inventory" : "hosts";
    for (const host of read.hosts) {
      const other = first.get(placeOfHost(host));
      first.set(placeOfHost(host), other ?? name);
      if (other === undefined) continue;
      const message = `host ${host.name} (${host.address}) is also in provider ${other}`;
      say("error", null, ["providers", name, key], message, "remove it from one of the two");
    }
  }
  for (const { name, providers: refs, scaling } of pools) {
    const lists = refs.map((ref) => hostsOf.get(ref.name));
    if (lists.length === 0 || lists.some((one) => one === undefined)) continue;
    const hosts = lists.reduce((sum, one) => sum + (one?.length ?? 0), 0);
    if (scaling.minNodes <= hosts) continue;
    const message = `min_nodes ${scaling.minNodes} is above the ${hosts} hosts of its inventory`;
    say("warning", name, ["scaling", "min_nodes"], message, "the other nodes wait for hosts");
  }
  return problems;
}

/** Their machines come with an agent. */
const WITH_AGENT: readonly ProviderType[] = ["coreweave", "fake", "kwok"];

/** Warnings only: machines are not bought while they cannot be set up. */
async function checkPool(pool: PoolConfig, config: Config, say: Say): Promise<void> {
  const { sshPrivateKeyPath, sshHostKey, setupCommands, pushAgent } = pool.bootstrap;
  const types = pool.providers.map((ref) => config.providers.find((one) => one.name === ref.name));
  const bare = types.some((one) => one !== undefined && !WITH_AGENT.includes(one.type));
  if (!bare || (setupCommands.length === 0 && !pushAgent)) return;
  const problem = sshPrivateKeyPath === null ? null : await checkKey(sshPrivateKeyPath);
  if (problem !== null) {
    const message = problem.replace(/^ssh_private_key_path /, "");
    const hint = "no machine of the pool is bought before it can be used";
    say("warning", pool.name, ["ssh_private_key_path"], message, hint);
  }
  const known = /^known_hosts:(.+)$/.exec(sshHostKey)?.[1];
  const why = known === undefined ? null : whyUnreadable(known);
  if (why !== null) say("warning", pool.name, ["ssh_host_key"], `${known}: ${why}`);
}

/** Warnings only: a source that cannot be read holds the pool's size. */
function checkSources({ name, scaling }: PoolConfig, env: Surroundings["env"], say: Say): void {
  const parts = scaling.autoscaler === null ? [] : flatten(scaling.autoscaler);
  for (const part of parts) {
    if (part.type !== "external") continue;
    const [program = null] = part.command === null ? [] : wordsOf(part.command);
    const missing = part.tokenEnv === null || (env[part.tokenEnv] ?? "") !== "" ? null : "not set";
    const problems: [string, string | null, string | null][] = [
      ["token_env", part.tokenEnv, missing],
      ["token_file", part.tokenFile, part.tokenFile && whyUnreadable(part.tokenFile)],
      ["ca_file", part.caFile, part.caFile && whyUnreadable(part.caFile)],
      ["command", program, program && whyNotRun(program)],
    ];
    for (const [key, what, why] of problems) {
      const hint = "the size is held while the source cannot be read";
      const at = ["scaling", "autoscaler", key];
      if (why !== null) say("warning", name, at, `${what}: ${why}`, hint);
    }
  }
}

/** Why the program of a `command` provider cannot be started; `null` if it can. */
function whyNotRun(path: string): string | null {
  const unread = whyUnreadable(path);
  if (unread !== null) return unread;
  try {
    accessSync(path, constants.X_OK);
    return null;
  } catch {
    return "is not executable";
  }
}

/** Why a file cannot be read, or `null`. It is not opened: a pipe would block. */
function whyUnreadable(given: string): string | null {
  const path = given.startsWith("~/") ? `${homedir()}${given.slice(1)}` : given;
  try {
    accessSync(path, constants.R_OK);
    return statSync(path).isDirectory() ? "is a folder, expected a file" : null;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT") return "no such file or folder";
    if (code === "EACCES" || code === "EPERM") return "permission denied";
    if (code === "ENOTDIR") return "is below a file, expected a folder";
    return `cannot be read: ${String(error)}`;
  }
}

/** Why no database file can be opened or created at a path, or `null`; its folder may be absent. */
function whyNoFile(given: string): string | null {
  if (given.includes("://")) return null;
  const path = resolve(given.replace(/^file:/, ""));
  if (stat(path) === "folder") return `${path}: is a folder, expected a file`;
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    const found = stat(folder);
    if (found === "file") return `${path}: is below a file, expected a folder`;
    if (found === "folder") return null;
  }
  return null;
}

function stat(path: string): "file" | "folder" | "none" {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    return found === undefined ? "none" : found.isDirectory() ? "folder" : "file";
  } catch {
    return "none";
  }
}
