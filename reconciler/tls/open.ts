/**
 * What the port speaks: nothing, a certificate that somebody brought, or one of the fleet's own
 * authority; and whether callers must show one, too.
 *
 * Adapter: files.
 */
import { readFileSync } from "node:fs";
import type { Config, ServerConfig } from "../../schema/config.ts";
import type { Log } from "../clock.ts";
import { fingerprintOf } from "./certificate.ts";
import { hostsOf, openOwnAuthority, openServerTls, openSharedAuthority } from "./own.ts";

/** All PEM. */
export type ServerTls = {
  cert: string;
  key: string;
  /** Callers must show a certificate of this authority; `null` = they need none. */
  clientCa: string | null;
  /** The fleet's own authority, given away at `/ca.pem`; `null` for a certificate of somebody's. */
  ca: string | null;
  /** `sha256:<hex>` of that authority. */
  fingerprint: string | null;
  /** Wall milliseconds; `null` = whoever brought it renews it. */
  renewAtMs: number | null;
};

export type OpenTlsFrom = {
  state: string;
  fleetId: string;
  nowMs: number;
  log: Log;
  /** By which hosts this server is dialled: see `hostsOf`. */
  hosts: Parameters<typeof hostsOf>[0];
  /** Of a database that replicas share; `null` = the authority lies in the state folder. */
  first: ((key: string, value: string) => Promise<string>) | null;
};

/** Throws if a file that is named cannot be read. */
export async function openTls(
  tls: ServerConfig["tls"],
  from: OpenTlsFrom,
): Promise<ServerTls | null> {
  if (tls === null) return null;
  if (!tls.ownCa) return readBrought(tls);
  return { ...(await openOwn(from)), clientCa: readClientCa(tls) };
}

/** What the configuration names; an authority of our own is opened by `openTls`. */
export function broughtTls({ server }: Config): ServerTls | null {
  const { tls } = server;
  if (tls?.ownCa === true) throw new Error("the own authority was not opened");
  return tls === null ? null : readBrought(tls);
}

type Wish = NonNullable<ServerConfig["tls"]>;

function readBrought(tls: Wish): ServerTls {
  const cert = readFileSync(tls.certFile ?? "", "utf8");
  const key = readFileSync(tls.keyFile ?? "", "utf8");
  return { cert, key, clientCa: readClientCa(tls), ca: null, fingerprint: null, renewAtMs: null };
}

function readClientCa({ clientCaFile }: Wish): string | null {
  return clientCaFile === null ? null : readFileSync(clientCaFile, "utf8");
}

async function openOwn(from: OpenTlsFrom): Promise<Omit<ServerTls, "clientCa">> {
  const { state, fleetId, nowMs, first, log } = from;
  const authority =
    first === null
      ? openOwnAuthority(state, fleetId, nowMs)
      : await openSharedAuthority(state, fleetId, nowMs, first);
  const hosts = hostsOf(from.hosts);
  const { cert, key, ca, renewAtMs, fresh } = openServerTls(state, authority, hosts, nowMs);
  const fingerprint = fingerprintOf(ca);
  const until = new Date(renewAtMs).toISOString();
  if (fresh) log("info", "made a server certificate", { hosts, renew_at: until });
  log("info", "certificate authority", { fingerprint });
  return { cert, key, ca, fingerprint, renewAtMs };
}
