/**
 * Every secret that this control plane holds in plain, so that it can be hidden wherever a machine
 * says it back: tokens from flags, files and the environment, the fleet's own secret, private keys,
 * what clouds and notified systems are shown. Read again each time, because files are rotated. Join
 * tokens and people's tokens are kept as hashes only; they are known by their look
 * (`bootstrap/run/mask.ts`).
 *
 * Adapter: files.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../../schema/config.ts";

export type HeldFrom = {
  /** The state folder. */
  state: string;
  /** Of the fleet. */
  secret: string;
  config: Config;
  /** As the control plane was started. */
  authToken?: string;
  authTokenFile?: string;
  env: Readonly<Record<string, string | undefined>>;
};

/** What the control plane itself reads, whatever the configuration says. */
const NAMES = ["NAVARCH_AUTH_TOKEN", "NAVARCH_TOKEN", "NAVARCH_DATABASE_TOKEN"];
/** In the state folder: the first admin's token, and private keys. */
const OWN = ["admin.token", "ca.key", "server.key", "release-key.pem", "release-key.previous.pem"];

/** Without order or duplicates; a file that cannot be read holds nothing that we know. */
export function heldSecrets(from: HeldFrom): string[] {
  const { state, secret, config, authToken, authTokenFile, env } = from;
  const { auth, tls, notifier } = config.server;
  const files = [
    ...[authTokenFile ?? null, env["NAVARCH_AUTH_TOKEN_FILE"] ?? null, auth.tokenFile],
    ...[auth.adminTokenFile, auth.nodeTokenFile, tls?.keyFile ?? null],
    ...OWN.map((name) => join(state, name)),
  ];
  const clouds = config.providers.flatMap(({ settings }) =>
    Object.entries(settings).flatMap(([key, value]) => {
      return key.endsWith("Env") && typeof value === "string" ? [value] : [];
    }),
  );
  const told = notifier.type === "webhook" ? notifier : null;
  const headers = Object.entries(told?.headers ?? {}).flatMap(([name, text]) =>
    SECRET_HEADER.test(name) ? [text] : [],
  );
  const urls = [told?.cordonUrl, told?.uncordonUrl, told?.drainUrl, told?.drainStatusUrl];
  const named = [...headers, ...urls].flatMap(namesIn);
  const names = [...NAMES, auth.tokenEnv, told?.secretEnv ?? "", ...named, ...clouds];
  const all = [
    ...[secret, authToken ?? ""],
    ...names.map((name) => env[name] ?? ""),
    ...files.flatMap((path) => (path === null ? [] : secretsOf(path))),
    ...headers.flatMap(wordsIn),
  ];
  return [...new Set(all)].filter((one) => one !== "");
}

/** A header that says what is sent, as `content-type` does, hides nothing. */
const SECRET_HEADER = /auth|token|secret|key|cookie/i;

/** Of `Bearer x` the `x`: the scheme is nobody's secret; a header of one word is whole. */
function wordsIn(header: string): string[] {
  const words = header.trim().split(/\s+/);
  return words.length > 1 ? words.slice(1) : words;
}

/** Variables of the environment that a text is filled in from. */
function namesIn(text: string | null | undefined): string[] {
  return [...(text ?? "").matchAll(/\$\{(\w+)\}/g)].flatMap(([, name]) => name ?? []);
}

/** A token file's token, or a key file's lines. */
function secretsOf(path: string): string[] {
  try {
    const text = readFileSync(path, "utf8").trim();
    return text.includes("-----BEGIN") ? keyLines(text) : [text];
  } catch {
    return [];
  }
}

/** Shorter ones are the padding at a key's end, which says nothing and is found in other texts. */
const KEY_LINE_CHARS = 24;

/** What of a private key is secret: its lines but the first and the last, which are all alike. */
export function keyLines(pem: string): string[] {
  const lines = pem.split(/\r?\n/).map((line) => line.trim());
  return lines.filter((line) => line.length >= KEY_LINE_CHARS && !line.startsWith("-----"));
}
