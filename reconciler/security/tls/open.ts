/**
 * The certificate of the port: none, one from files, or one of the fleet's own authority; and
 * whether callers must show a certificate.
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
  /** Callers must show a certificate of one of these authorities; `null` = not required. */
  clientCa: string | null;
  /** What this process shows to other control planes of the fleet; `null` = nothing. */
  client: KeyPair | null;
  /**
   * Issues a certificate for a node to show, by the fleet's own authority; `null` if none is
   * required, or another authority issues them.
   */
  clientFor: ((name: string) => KeyPair) | null;
  /** The fleet's CA, served at `/ca.pem`; `null` with a certificate from files. */
  ca: string | null;
  /** `sha256:<hex>` of that authority. */
  fingerprint: string | null;
  /** Wall milliseconds; `null` = renewed outside of Navarch. */
  renewAtMs: number | null;
};

/** What a client of this fleet trusts, and shows, when it connects to a control plane; PEM. */
export type PeerTls = { ca?: string; cert?: string; key?: string };

/** `null` = the system's defaults. */
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
  /** Hosts of this server: see `hostsOf`. */
  hosts: Parameters<typeof hostsOf>[0];
  /** `Store.first` of a database that replicas share; `null` = the authority is in the folder. */
  first: ((key: string, value: string) => Promise<string>) | null;
};

/** Throws if a configured file cannot be read. */
export async function openTls(
  tls: ServerConfig["tls"],
  from: OpenTlsFrom,
): Promise<ServerTls | null> {
  if (tls === null) return null;
  if (!tls.ownCa) return readBrought(tls);
  return openOwn(from, readClientCa(tls));
}

/** The configured files; `openTls` opens an authority of our own. */
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
  // This process has no other certificate, so the server's own must be valid for both uses.
  const client = clientCa === null ? null : { certificate: cert, key };
  const none = { clientFor: null, ca: null, fingerprint: null, renewAtMs: null };
  return { cert, key, clientCa, client, ...none };
}

function readClientCa({ clientCaFile }: CertificateRequest): string | null {
  return clientCaFile === null ? null : readFileSync(clientCaFile, "utf8");
}

/**
 * With `asked`, the fleet's own authority counts too: only the control plane has what that signs
 * for a client, or has given it away.
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
  const clientFor =
    asked === null ? null : (name: string): KeyPair => issueNodeTls(authority, name, nowMs);
  return { cert, key, clientCa, client, clientFor, ca, fingerprint, renewAtMs };
}
