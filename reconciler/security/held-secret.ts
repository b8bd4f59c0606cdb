/**
 * Every secret that this control plane holds in plain text, for masking the output of machines:
 * tokens from flags, files and the environment, the fleet's secret, private keys, credentials of
 * clouds and notified systems. Read again each time, because files are rotated. Join tokens and
 * people's tokens are stored as hashes only; they are recognised by their form
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
  /** The fleet's secret. */
  secret: string;
  config: Config;
  /** As the control plane was started. */
  authToken?: string;
  authTokenFile?: string;
  env: Readonly<Record<string, string | undefined>>;
};

/** Read by the control plane whatever the configuration says. */
const NAMES = ["NAVARCH_AUTH_TOKEN", "NAVARCH_TOKEN", "NAVARCH_DATABASE_TOKEN"];
/** In the state folder. */
const OWN = ["admin.token", "ca.key", "server.key", "release-key.pem", "release-key.previous.pem"];

/** Without order or duplicates; unreadable files are skipped. */
export function heldSecrets(from: HeldFrom): string[] {
  const { state, secret, config, authToken, authTokenFile, env } = from;
  const { auth, tls, notifier } = config.server;
  const files = [
    ...[authTokenFile ?? null, env["NAVARCH_AUTH_TOKEN_FILE"] ?? null, auth.tokenFile],
    ...[auth.adminTokenFile, auth.nodeTokenFile, tls?.keyFile ?? null],
    config.server.console.pipelineSecretFile,
    ...OWN.map((name) => join(state, name)),
    ...config.providers.map(({ settings }) => settings["apiKeyFile"]),
  ].filter((path) => typeof path === "string");
  const clouds = config.providers.flatMap(({ settings }) =>
    Object.entries(settings).flatMap(([key, value]) => {
      return key.endsWith("Env") && typeof value === "string" ? [value] : [];
    }),
  );
  const hook = notifier.type === "webhook" ? notifier : null;
  const headers = Object.entries(hook?.headers ?? {}).flatMap(([name, text]) =>
    SECRET_HEADER.test(name) ? [text] : [],
  );
  const urls = [hook?.cordonUrl, hook?.uncordonUrl, hook?.drainUrl, hook?.drainStatusUrl];
  const named = [...headers, ...urls].flatMap(namesIn);
  const names = [...NAMES, auth.tokenEnv, hook?.secretEnv ?? "", ...named, ...clouds];
  const all = [
    ...[secret, authToken ?? ""],
    ...names.map((name) => env[name] ?? ""),
    ...files.flatMap(secretsOf),
    ...headers.flatMap(wordsIn),
  ];
  return [...new Set(all)].filter((one) => one !== "");
}

/** Other headers, such as `content-type`, hold no secret. */
const SECRET_HEADER = /auth|token|secret|key|cookie/i;

/** The `x` of `Bearer x`; a header of one word as a whole. */
function wordsIn(header: string): string[] {
  const words = header.trim().split(/\s+/);
  return words.length > 1 ? words.slice(1) : words;
}

/** Environment variables that a text refers to. */
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

/** Shorter lines are the padding at a key's end, which also occurs in other texts. */
const KEY_LINE_CHARS = 24;

/** The secret lines of a private key: the first and last are the same in all keys. */
export function keyLines(pem: string): string[] {
  const lines = pem.split(/\r?\n/).map((line) => line.trim());
  return lines.filter((line) => line.length >= KEY_LINE_CHARS && !line.startsWith("-----"));
}
