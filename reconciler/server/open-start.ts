/**
 * Opens what a start needs before anything is composed: listen address, state, port, tokens.
 * Failures are reported as `start-failure.ts` formats them.
 *
 * Adapter: files.
 */
import { mkdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Config } from "../../schema/config.ts";
import type { Authority } from "../security/auth.ts";
import type { Clock, Log } from "../core/clock.ts";
import { parseListen } from "../config/address.ts";
import {
  type Identity,
  openIdentity,
  openSharedIdentity,
  writeIdentity,
} from "../security/identity.ts";
import { type Lock, lockState } from "./lock.ts";
import { openAuthority } from "./open-authority.ts";
import { keepPrivate } from "../security/private-folder.ts";
import { type Named, StartError, stepOf, UsageError } from "./start-failure.ts";
import { openLibsqlStore } from "../store/libsql.ts";
import { DATABASE_TOKEN, whyNoDatabase } from "../store/address.ts";
import { nextTurn } from "../runtime/turn.ts";
import { isServer } from "../store/server.ts";
import type { Store } from "../core/store.ts";
import { whyUnfit } from "../security/tls/fit.ts";
import { broughtTls } from "../security/tls/open.ts";
import { openPort, type Port, type PortFrom } from "../http/port.ts";

/** `by` names the flag or key that set it. An empty host means every interface. */
export type Address = { host: string; port: number; by: string };

/** Where to listen: the flag, else the configuration. */
export function addressOf(flag: string | undefined, config: Config): Address {
  const { host, port } = config.server;
  if (flag === undefined) return { host, port, by: "server.address" };
  const answer = parseListen(flag);
  if (answer.ok) return { ...answer.value, by: "--addr" };
  const hint = answer.hint === null ? "" : ` (${answer.hint})`;
  throw new UsageError(`--addr: ${answer.message}${hint}`);
}

export function formatAt({ host, port }: { host: string; port: number }): string {
  if (host === "") return `*:${port}`;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The URL of a libSQL server, if `--state` is one. */
export function serverOf(state: string | undefined): string | null {
  return state !== undefined && isServer(state) ? state : null;
}

/** The embedded database's file, or whatever `server.state_path` names. */
export function databaseFile(config: Config, folder: string): string {
  return config.server.statePath ?? join(folder, "navarch.db");
}

type Given = {
  /** The flag's value. */
  state: string | undefined;
  /** The state folder. */
  folder: string;
  env: Readonly<Record<string, string | undefined>>;
};

type With = {
  clock: Clock;
  random(bytes: number): Uint8Array;
  log: Log;
  /** Names this process in the log of another that waits for the folder. */
  own: { host: string; pid: number };
};

export type Kept = {
  state: string;
  /** A database server, which other control planes may share. */
  shared: boolean;
  lock: Lock | null;
  store: Store;
  identity: Identity;
  /** Stores the first value that any replica gives; `null` = there are no replicas. */
  first: Store["first"] | null;
};

/** Opens the state folder, the database and the identity. */
export async function openKept(given: Given, config: Config, by: With): Promise<Kept> {
  const { folder } = given;
  const { statePath } = config.server;
  const flag: Named = [[given.state === undefined ? "state folder" : "--state", folder]];
  await stepOf("state folder", () => mkdirSync(folder, { recursive: true, mode: 0o700 }), flag);
  await stepOf("state folder", () => keepPrivate(folder, by.log), flag);
  const file = serverOf(given.state) ?? databaseFile(config, folder);
  const url = file.includes("://") || file.startsWith("file:") ? file : `file:${file}`;
  const shared = isServer(url);
  const path = file.replace(/^file:/, "");
  if (!shared) await checkFile(statePath === null ? "database" : "server.state_path", path);
  const beside: Named = [["folder of server.state_path", dirname(resolve(path))]];
  const holder = { ...by.own, since: new Date(by.clock.wallMs()).toISOString() };
  const take = (): Promise<Lock> => lockState(folder, file, { log: by.log, holder });
  const lock = shared ? null : await stepOf(`lock.db of ${folder}`, take, beside);
  const what = shared ? `of ${URL.parse(url)?.host ?? "a server"}` : path;
  const store = await stepOf(`database ${what}`, () => openStore(url, given.env, by.clock));
  const first = shared ? store.first.bind(store) : null;
  const identity = await stepOf(`identity in ${folder}`, async () => {
    const own =
      first === null
        ? openOwnIdentity(folder, by.random)
        : await openSharedIdentity(folder, by.random, first);
    const given = await store.fact("fleet");
    if (given?.kind !== "fleet" || given.id === own.fleetId) return own;
    // A person gave the store this id. The folder's survives the loss of the database.
    const { id: fleetId } = given;
    const adopted = { ...own, fleetId };
    if (first === null) writeIdentity(folder, adopted);
    by.log("warn", "fleet adopted", { fleet: fleetId, before: own.fleetId });
    return adopted;
  });
  return { state: folder, shared, lock, store, identity, first };
}

async function checkFile(name: string, path: string): Promise<void> {
  const why = whyNoDatabase(path);
  if (why !== null) throw new UsageError(`${name} ${why}`);
  const look = (): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  const isFolder = await stepOf(name, look, [[name, path]]);
  if (isFolder) throw new UsageError(`${name} ${path}: is a folder, expected a file`);
}

/** The token comes from the environment; a credential in the address would be logged. */
function openStore(url: string, env: Given["env"], clock: Clock): Promise<Store> {
  const why = whyNoDatabase(url);
  if (why !== null) throw new UsageError(why);
  const authToken = env[DATABASE_TOKEN];
  const auth = authToken === undefined || authToken === "" ? {} : { authToken };
  return openLibsqlStore({ url, now: clock.wallMs(), turn: nextTurn, ...auth });
}

/** An unusable file is an error and is never overwritten. */
function openOwnIdentity(folder: string, random: With["random"]): Identity {
  try {
    return openIdentity(folder, random);
  } catch (error) {
    if (!(error instanceof Error) || "code" in error) throw error;
    const why = error instanceof SyntaxError ? "is not JSON" : "lacks fleetId or secret";
    const hint = "restore it from a backup: a new one would make this another fleet";
    throw new StartError(`identity ${join(folder, "identity.json")}: ${why} (${hint})`);
  }
}

/** Opens the port's certificates before anything is composed: configured files must be valid. */
export async function openShown(from: PortFrom): Promise<Port> {
  const { tls } = from.config.server;
  const named: Named = [
    ["server.tls.cert_file", tls?.certFile],
    ["server.tls.key_file", tls?.keyFile],
    ["server.tls.client_ca_file", tls?.clientCaFile],
  ];
  if (tls === null && isPlain([from.config.server.externalAddress, ...from.dialled])) {
    const advice = "server.tls: { own_ca: true } makes a certificate of its own";
    from.log("warn", "plain http: tokens and reports can be read in transit", { advice });
  }
  const port = await stepOf("server.tls", () => openPort(from), named);
  const brought = tls === null || tls.ownCa ? null : broughtTls(from.config);
  const unfit = brought === null ? null : whyUnfit(brought);
  if (unfit === null) return port;
  throw new UsageError(`server.tls ${tls?.certFile} with ${tls?.keyFile}: ${unfit}`);
}

/** Whether one of these is called without TLS. Given an https one, a proxy terminates TLS. */
function isPlain(names: readonly (string | null | undefined)[]): boolean {
  const given = names.filter((name) => typeof name === "string");
  if (given.some((name) => name.startsWith("https:"))) return false;
  const own = /^(http:\/\/)?(127\.|localhost(:|$)|\[?::1\]?(:|$))/;
  return given.some((name) => !own.test(name));
}

/** Without a configured token file, the wrong callers, or none, would be admitted. */
export function openTokens(
  given: Parameters<typeof openAuthority>[0],
  config: Config,
  from: Parameters<typeof openAuthority>[2],
): Promise<Authority> {
  const { auth } = config.server;
  const named: Named = [
    ["--auth-token-file", given.authTokenFile],
    ["NAVARCH_AUTH_TOKEN_FILE", given.env["NAVARCH_AUTH_TOKEN_FILE"]],
    ["server.auth.token_file", auth.tokenFile],
    ["server.auth.admin_token_file", auth.adminTokenFile],
  ];
  return stepOf("tokens", () => openAuthority(given, config, from), named);
}
