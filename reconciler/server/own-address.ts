/**
 * The addresses of this control plane, for replicas, nodes and the fake cloud's agents; and the
 * file `address` in the state folder with its URL, for a command line on the same machine. A
 * configured address comes first; one derived from this machine is a guess.
 *
 * Adapter: files, the machine's interfaces.
 */
import { mkdirSync, rmSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import type { Config } from "../../schema/config.ts";
import { withoutEndSlash } from "../../schema/end-slash.ts";
import type { Log } from "../core/clock.ts";
import { writeWhole } from "../security/identity.ts";

const ADDRESS_FILE = "address";

type Listening = { host: string; port: number; isTls: boolean };

/** The URL on this machine; a wildcard host becomes loopback. */
function ownUrl({ host, port, isTls }: Listening): string {
  const wildcard: Record<string, string> = { "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1" };
  const reached = wildcard[host] ?? host;
  const name = reached.includes(":") ? `[${reached}]` : reached;
  return `${isTls ? "https" : "http"}://${name}:${port}`;
}

/** Returns a function that removes the file. A full disk does not prevent the start. */
export function writeAddress(state: string, listening: Listening, log: Log): () => void {
  const path = join(state, ADDRESS_FILE);
  try {
    writeWhole(path, `${ownUrl(listening)}\n`);
  } catch (error) {
    log("warn", "the address is not written: --state gives no address", { error: String(error) });
  }
  return () => rmSync(path, { force: true });
}

/** `--test-port-file`. */
export function writePort(path: string | undefined, port: number): void {
  if (path === undefined) return;
  mkdirSync(dirname(path), { recursive: true });
  writeWhole(path, `${port}\n`);
}

type Env = Readonly<Record<string, string | undefined>>;

/**
 * The URL for other replicas. For a wildcard it is the first non-internal IPv4 address of this
 * machine; `server.external_address` comes last, because it may be a Service in front of all
 * replicas.
 */
export function advertised(
  advertise: string | undefined,
  config: Config,
  host: string,
  port: number,
): string {
  const scheme = schemeOf(config);
  const withScheme = (text: string): string => {
    return withoutEndSlash(/^https?:\/\//.test(text) ? text : `${scheme}://${text}`);
  };
  if (advertise !== undefined) return withScheme(advertise);
  if (host !== "" && host !== "0.0.0.0" && host !== "::") {
    return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
  }
  for (const one of Object.values(networkInterfaces()).flat()) {
    if (one === undefined || one.internal || one.family !== "IPv4") continue;
    return `${scheme}://${one.address}:${port}`;
  }
  const external = config.server.externalAddress;
  return external === null ? `${scheme}://${hostname()}:${port}` : withScheme(external);
}

/** The URL that nodes are given; `null` = not configured. */
export function external(config: Config, env: Env): string | null {
  const given = env["NAVARCH_EXTERNAL_ADDRESS"] ?? config.server.externalAddress ?? "";
  if (given === "") return null;
  return /^https?:\/\//.test(given) ? given : `${schemeOf(config)}://${given}`;
}

/** The URL for the fake cloud's agents: the one for nodes, else this process's own. */
export function dialled(config: Config, env: Env, port: number): string {
  const own = port === 0 ? "" : `${schemeOf(config)}://127.0.0.1:${port}`;
  return external(config, env) ?? own;
}

const schemeOf = (config: Config): string => (config.server.tls === null ? "http" : "https");
