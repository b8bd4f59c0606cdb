/**
 * What the port speaks: nothing, a certificate that somebody brought, or one of the fleet's own
 * authority; and whether callers must show one, too.
 *
 * Adapter: files.
 */
import { readFileSync } from "node:fs";
import type { Config, ServerConfig } from "../../../schema/config.ts";
import type { Log } from "../../core/clock.ts";
import { fingerprintOf, type KeyPair } from "./certificate.ts";
import {
  hostsOf,
  issueNodeTls,
  openClientTls,
  openOwnAuthority,
  openServerTls,
  openSharedAuthority,
} from "./own.ts";

/** All PEM. */
export type ServerTls = {
  cert: string;
  key: string;
  /** Callers must show a certificate of one of these authorities; `null` = they need none. */
  clientCa: string | null;
  /** What this process shows where others of the fleet ask the same; `null` = nothing. */
  client: KeyPair | null;
  /**
   * A certificate for a node to show, by the fleet's own authority; absent where nobody asks for
   * one, or it is for somebody else to make.
   */
  clientFor?: (name: string) => KeyPair;
  /** The fleet's CA, served at `/ca.pem`; `null` with a certificate from files. */
  ca: string | null;
  /** `sha256:<hex>` of that authority. */
  fingerprint: string | null;
  /** Wall milliseconds; `null` = renewed outside of Navarch. */
  renewAtMs: number | null;
};

/** Whom a part of this fleet trusts, and what it shows, when it dials a control plane; PEM. */
export type PeerTls = { ca?: string; cert?: string; key?: string };

/** `null` = as the system has it. */
export function peerOf(tls: ServerTls | null): PeerTls | null {
  if (tls === null) return null;
  const { ca, client } = tls;
  const shown = client === null ? {} : { cert: client.certificate, key: client.key };
  const peer = { ...(ca === null ? {} : { ca }), ...shown };
  return Object.keys(peer).length === 0 ? null : peer;
}

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
  return openOwn(from, readClientCa(tls));
}

/** What the configuration names; an authority of our own is opened by `openTls`. */
export function broughtTls({ server }: Config): ServerTls | null {
  const { tls } = server;
  if (tls?.ownCa === true) throw new Error("the own authority was not opened");
  return tls === null ? null : readBrought(tls);
}

type CertificateRequest = NonNullable<ServerConfig["tls"]>;

function readBrought(tls: CertificateRequest): ServerTls {
  const cert = readFileSync(tls.certFile ?? "", "utf8");
  const key = readFileSync(tls.keyFile ?? "", "utf8");
  const clientCa = readClientCa(tls);
  // There is nothing else to show: an authority that signs servers for both uses is asked for.
  const client = clientCa === null ? null : { certificate: cert, key };
  return { cert, key, clientCa, client, ca: null, fingerprint: null, renewAtMs: null };
}

function readClientCa({ clientCaFile }: CertificateRequest): string | null {
  return clientCaFile === null ? null : readFileSync(clientCaFile, "utf8");
}

/**
 * With `asked`, the fleet's own authority counts beside it: what that signs for a client, only the
 * control plane has or has given away.
 */
async function openOwn(from: OpenTlsFrom, asked: string | null): Promise<ServerTls> {
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
  const client = asked === null ? null : openClientTls(authority, nowMs);
  const clientCa = asked === null ? null : `${asked.trimEnd()}\n${ca}`;
  const served = { cert, key, clientCa, client, ca, fingerprint, renewAtMs };
  if (asked === null) return served;
  return { ...served, clientFor: (name) => issueNodeTls(authority, name, nowMs) };
}
