/**
 * The fleet's own certificate authority and this server's certificate under it, for who brings
 * none. The authority is made once: its fingerprint is pinned by every agent, so losing it means to
 * tell all of them a new one. The server's certificate is short-lived and recreated before it ends
 * or when the server is reached by a name that it does not have.
 *
 * In the state folder: `ca.pem` (0644, to give away), `ca.key`, `server.pem` (with the authority
 * behind it) and `server.key` (0600).
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
/** As long as the fleet: there is no way to change it but by telling every agent. */
const AUTHORITY_MS = 3_650 * DAY_MS;
/** A stolen server key is worth nothing after it; browsers and the CA/B Forum go the same way. */
const SERVER_MS = 90 * DAY_MS;
/** Renewed when a third is left, so that a process that runs on has a month to be noticed. */
const RENEW_MS = SERVER_MS / 3;
/** Clocks of agents may be behind: an hour is what the bootstrap has to cope with. */
const BACKDATE_MS = 2 * 3_600_000;

export type OwnTls = {
  /** PEM, the server's certificate with the authority behind it. */
  cert: string;
  key: string;
  /** The authority, PEM. */
  ca: string;
  /** `sha256:<hex>` of the authority. */
  fingerprint: string;
  /** When this server's certificate has to be recreated, wall milliseconds. */
  renewAtMs: number;
  /** True if it was made just now. */
  fresh: boolean;
};

/** The authority beside an embedded database, made on first start. `name` tells fleets apart. */
export function openOwnAuthority(state: string, name: string, nowMs: number): KeyPair {
  const known = readPair(state, "ca");
  if (known !== null) return known;
  const authority = newAuthority(name, nowMs);
  writeAuthority(state, authority);
  return authority;
}

/** One for all replicas of a database server; `first` keeps the first value that is given. */
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
 * This server's certificate: the one that is there if it is sound, of this authority, has every one
 * of `hosts` and lasts, else a new one.
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
  // The key first: a certificate without its key would be taken for a pair by nobody.
  writeWhole(join(state, "server.key"), made.key);
  writeWhole(join(state, "server.pem"), cert);
  return { cert, key: made.key, ca, fingerprint, renewAtMs: untilMs - RENEW_MS, fresh: true };
}

/** As long as nobody restarts a control plane on purpose; what it shows is recreated each day. */
const CLIENT_MS = 365 * DAY_MS;

/**
 * What this process, and the simulated machines that it runs, show to a control plane that asks for
 * certificates. Kept in memory: the next process makes another one.
 */
export function openClientTls(authority: KeyPair, nowMs: number): KeyPair {
  const span = { fromMs: nowMs - BACKDATE_MS, untilMs: nowMs + CLIENT_MS };
  return issue(authority, { name: "Navarch control plane", ...span });
}

/**
 * What a node shows. It only opens the door: who speaks is told by the credential, which rotates
 * and can be revoked. So it lasts as long as the authority, because a node whose certificate is
 * over could no longer ask for another one.
 */
export function issueNodeTls(authority: KeyPair, name: string, nowMs: number): KeyPair {
  const { validTo } = new X509Certificate(authority.certificate);
  return issue(authority, { name, fromMs: nowMs - BACKDATE_MS, untilMs: Date.parse(validTo) });
}

/** When a stored server certificate ends; `null` if it is not good for these hosts. */
function endOf(pair: KeyPair, authority: KeyPair, hosts: readonly string[]): number | null {
  try {
    const leaf = new X509Certificate(pair.certificate);
    const ca = new X509Certificate(authority.certificate);
    if (!leaf.verify(ca.publicKey)) return null;
    // A process that ended between its two files left a new key beside an old certificate.
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
 * Every name by which this machine may be dialled: given ones first, then its own. Link-local
 * addresses are left out, because nobody dials them without a zone.
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
