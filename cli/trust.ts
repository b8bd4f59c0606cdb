/**
 * Decides which server certificates to trust: those of the system's CAs, of a CA file, or of the CA
 * with the given fingerprint. That CA is fetched from the server over an unverified connection and
 * used only if its fingerprint matches; no token is sent before.
 *
 * Adapter: network, files.
 */
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { readText } from "../reconciler/core/reply.ts";
import type { Address } from "./address.ts";
import { unreachable } from "./answer.ts";
import { EXIT, failure, type Failure, usage } from "./failure.ts";
import type { Flags } from "./flag.ts";

/** Options of `fetch`; PEM. */
export type Tls = { ca?: string; cert?: string; key?: string; rejectUnauthorized?: boolean };

/** Resolves to the options of each request; fetched once. */
export type Trust = { ok: true; tls(timeoutMs: number): Promise<Tls | null | Failure> };

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * `own` = the address is of a state folder, whose PEM file is trusted if no flag names another. The
 * environment counts only where the folder leaves it open: TLS with a certificate from elsewhere.
 */
export function openTrust(
  flags: Flags,
  address: Address,
  own: { authority: string | null } | null = null,
): Trust | Failure {
  const authority = own?.authority ?? null;
  const isSettled = own !== null && (authority !== null || !address.secure);
  const textOf = (name: string): string =>
    isSettled && flags.from(name) === "env" ? "" : (flags.text(name) ?? "");
  const given = textOf("ca-fingerprint");
  const hex = given
    .replace(/^sha256[:=]/i, "")
    .replaceAll(":", "")
    .toLowerCase();
  if (given !== "" && !/^[0-9a-f]{64}$/.test(hex)) {
    return usage(`${flags.source("ca-fingerprint")}: expected sha256: and 64 hex digits`);
  }
  if (given !== "" && !address.secure) {
    return usage(`${flags.source("ca-fingerprint")} needs a --server with https://`);
  }
  const read: Tls = flags.on("insecure") ? { rejectUnauthorized: false } : {};
  const files = [
    ["ca-file", "ca"],
    ["client-cert-file", "cert"],
    ["client-key-file", "key"],
  ] as const;
  for (const [flag, key] of files) {
    const known = flag === "ca-file" && address.secure && given === "" ? authority : null;
    const path = textOf(flag) || (known ?? "");
    if (path === "") continue;
    try {
      read[key] = readFileSync(path, "utf8");
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return usage(`${flags.source(flag)} ${path}: ${why}`);
    }
  }
  const plain = Object.keys(read).length === 0 ? null : read;
  if (given === "") return { ok: true, tls: async () => plain };
  let pinned: Tls | null = null;
  return {
    ok: true,
    async tls(timeoutMs) {
      if (pinned !== null) return pinned;
      const ca = await fetchAuthority(address.url, hex, timeoutMs, read);
      if (typeof ca !== "string") return ca;
      pinned = { ...read, ca, rejectUnauthorized: true };
      return pinned;
    },
  };
}

const PEM_BYTES_MAX = 1024 * 1024;

async function fetchAuthority(
  url: string,
  hex: string,
  timeoutMs: number,
  shown: Tls,
): Promise<string | Failure> {
  const refused = (why: string): Failure => failure(EXIT.unreachable, "unreachable", why);
  try {
    const response = await fetch(`${url}/ca.pem`, {
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
      tls: { ...shown, rejectUnauthorized: false },
    });
    if (!response.ok) return refused(`${url}/ca.pem answered ${response.status}`);
    const text = await readText(response, PEM_BYTES_MAX);
    if (text === null) return refused(`${url}/ca.pem is too large`);
    const blocks = text.match(BLOCK) ?? [];
    const found = blocks.find((pem) => fingerprintOf(pem) === `sha256:${hex}`);
    if (found !== undefined) return found;
    return refused(`${url} has a different CA than --ca-fingerprint`);
  } catch (error) {
    return unreachable(url, error, timeoutMs);
  }
}

/** `sha256:<hex>` of a certificate; empty if it is invalid. */
export function fingerprintOf(pem: string): string {
  try {
    const { raw } = new X509Certificate(pem);
    return `sha256:${createHash("sha256").update(raw).digest("hex")}`;
  } catch {
    return "";
  }
}
