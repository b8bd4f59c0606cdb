/**
 * The fleet's own certificate authority, and this server's certificate under it. The authority is
 * made once: every agent pins its fingerprint, so losing it means enrolling all of them again. The
 * server's certificate is short-lived, and renewed before it ends or when a host name is missing.
 *
 * In the state folder: `ca.pem` (0644, public), `ca.key`, `server.pem` (followed by the authority)
 * and `server.key` (0600).
 *
 * Adapter: files.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { chmodSync, existsSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { writeWhole } from "../identity.ts";
import { fingerprintOf, issue, type KeyPair, makeAuthority } from "./certificate.ts";

const DAY_MS = 24 * 3_600_000;
/** As long as a fleet lives, because every agent must learn of a new one. */
const AUTHORITY_MS = 3_650 * DAY_MS;
/** Limits the value of a stolen server key. */
const SERVER_MS = 90 * DAY_MS;
/** Renewed when a third is left, which gives a month to notice a failure. */
const RENEW_MS = SERVER_MS / 3;
/** Agents' clocks may be slow; the bootstrap tolerates an hour. */
const BACKDATE_MS = 2 * 3_600_000;

export type OwnTls = {
  /** PEM, the server's certificate with the authority behind it. */
  cert: string;
  key: string;
  /** The authority, PEM. */
  ca: string;
  /** `sha256:<hex>` of the authority. */
  fingerprint: string;
  /** When this server's certificate has to be renewed, wall milliseconds. */
  renewAtMs: number;
  /** True if it was just made. */
  fresh: boolean;
};

/** The authority beside an embedded database, made on first start. `name` is the fleet's. */
export function openOwnAuthority(state: string, name: string, nowMs: number): KeyPair {
  const known = readPair(state, "ca");
  if (known !== null) return known;
  const authority = newAuthority(name, nowMs);
  writeAuthority(state, authority);
  return authority;
}

/** One authority for all replicas of a database server; `first` stores the first value given. */
export async function openSharedAuthority(
  state: string,
  name: string,
  nowMs: number,
  first: (key: string, value: string) => Promise<string>,
): Promise<KeyPair> {
  const offered = readPair(state, "ca") ?? newAuthority(name, nowMs);
  const kept = JSON.parse(await first("authority", JSON.stringify(offered))) as KeyPair;
  if (readPair(state, "ca")?.certificate !== kept.certificate) writeAuthority(state, kept);
  return kept;
}

function newAuthority(name: string, nowMs: number): KeyPair {
  const untilMs = nowMs + AUTHORITY_MS;
  return makeAuthority({ name: `Navarch ${name}`, fromMs: nowMs - BACKDATE_MS, untilMs });
}

function writeAuthority(state: string, authority: KeyPair): void {
  writeWhole(join(state, "ca.key"), authority.key);
  writeWhole(join(state, "ca.pem"), authority.certificate);
  chmodSync(join(state, "ca.pem"), 0o644);
}

/**
 * This server's certificate: the stored one if it is valid, of this authority, covers all `hosts`
 * and is not due for renewal; else a new one.
 */
export function openServerTls(
  state: string,
  authority: KeyPair,
  hosts: readonly string[],
  nowMs: number,
): OwnTls {
  const ca = authority.certificate;
  const fingerprint = fingerprintOf(ca);
  const known = readPair(state, "server");
  const endMs = known === null ? null : endOf(known, authority, hosts);
  if (known !== null && endMs !== null && endMs - RENEW_MS > nowMs) {
    const cert = known.certificate;
    return { cert, key: known.key, ca, fingerprint, renewAtMs: endMs - RENEW_MS, fresh: false };
  }
  const untilMs = nowMs + SERVER_MS;
  const name = hosts[0] ?? "navarch";
  const made = issue(authority, { name, hosts, fromMs: nowMs - BACKDATE_MS, untilMs });
  const cert = `${made.certificate}${ca}`;
  // The key first: `endOf` rejects a pair of an old certificate and a new key.
  writeWhole(join(state, "server.key"), made.key);
  writeWhole(join(state, "server.pem"), cert);
  return { cert, key: made.key, ca, fingerprint, renewAtMs: untilMs - RENEW_MS, fresh: true };
}

/** Longer than a process runs without a restart. Renewals make a new one each day. */
const CLIENT_MS = 365 * DAY_MS;

/**
 * The client certificate with which this process and its simulated machines call a control plane
 * that requires one. Kept in memory only.
 */
export function openClientTls(authority: KeyPair, nowMs: number): KeyPair {
  const span = { fromMs: nowMs - BACKDATE_MS, untilMs: nowMs + CLIENT_MS };
  return issue(authority, { name: "Navarch control plane", ...span });
}

/**
 * A node's client certificate. It only opens the port: the credential, which rotates and can be
 * revoked, identifies the node. It lasts as long as the authority, because a node whose
 * certificate has expired could no longer ask for another.
 */
export function issueNodeTls(authority: KeyPair, name: string, nowMs: number): KeyPair {
  const { validTo } = new X509Certificate(authority.certificate);
  return issue(authority, { name, fromMs: nowMs - BACKDATE_MS, untilMs: Date.parse(validTo) });
}

/** When a stored server certificate ends; `null` if it is not valid for these hosts. */
function endOf(pair: KeyPair, authority: KeyPair, hosts: readonly string[]): number | null {
  try {
    const leaf = new X509Certificate(pair.certificate);
    const ca = new X509Certificate(authority.certificate);
    if (!leaf.verify(ca.publicKey)) return null;
    // A process that was killed between two writes leaves a new key beside an old certificate.
    if (!leaf.checkPrivateKey(createPrivateKey(pair.key))) return null;
    const has = (host: string): boolean =>
      (isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined;
    return hosts.every(has) ? Date.parse(leaf.validTo) : null;
  } catch {
    return null;
  }
}

function readPair(state: string, name: string): KeyPair | null {
  const [certificate, key] = [join(state, `${name}.pem`), join(state, `${name}.key`)];
  if (!existsSync(certificate) || !existsSync(key)) return null;
  return { certificate: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
}

/**
 * All names and addresses at which this machine may be called: given ones first, then its own.
 * Link-local addresses are left out, because they need a zone.
 */
export function hostsOf(from: {
  /** Hosts of `server.address`, `external_address` and `--advertise`; empty ones are ignored. */
  given: readonly string[];
  hostname: string;
  addresses: readonly string[];
}): string[] {
  const wild = new Set(["", "0.0.0.0", "::", "*"]);
  const local = (address: string): boolean => /^(fe80:|169\.254\.)/i.test(address);
  const all = [...from.given, from.hostname, "localhost", "127.0.0.1", "::1", ...from.addresses];
  const hosts = all
    .map((host) => host.replace(/^\[|\]$/g, "").toLowerCase())
    .filter((host) => !wild.has(host) && !local(host));
  return [...new Set(hosts)];
}
