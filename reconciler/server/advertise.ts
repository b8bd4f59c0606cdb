/**
 * Under which address others reach this control plane: replicas, nodes, the fake cloud's agents.
 * What somebody said comes first; what this machine looks like from outside is a guess.
 *
 * Adapter: the machine's interfaces.
 */
import { hostname, networkInterfaces } from "node:os";
import type { Config } from "../../schema/config.ts";

type Env = Readonly<Record<string, string | undefined>>;

/**
 * The URL at which other replicas reach this one. A wildcard listens on every address of this
 * machine, so the first that others can know is named; `server.external_address` may be a Service
 * in front of all replicas and comes last.
 */
export function advertised(
  advertise: string | undefined,
  config: Config,
  host: string,
  port: number,
): string {
  const scheme = schemeOf(config);
  const withScheme = (text: string): string => {
    const url = /^https?:\/\//.test(text) ? text : `${scheme}://${text}`;
    return url.replace(/\/+$/, "");
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

/** What nodes are told to dial; `null` = nothing was said. */
export function external(config: Config, env: Env): string | null {
  const said = env["NAVARCH_EXTERNAL_ADDRESS"] ?? config.server.externalAddress ?? "";
  if (said === "") return null;
  return /^https?:\/\//.test(said) ? said : `${schemeOf(config)}://${said}`;
}

/** What the fake cloud's agents dial: what nodes are told to, else this very process. */
export function dialled(config: Config, env: Env, port: number): string {
  const own = port === 0 ? "" : `${schemeOf(config)}://127.0.0.1:${port}`;
  return external(config, env) ?? own;
}

const schemeOf = (config: Config): string => (config.server.tls === null ? "http" : "https");
