/**
 * Opens the authority of a start: tokens from flags, files and the environment, and the first
 * admin's, which is made if no other is given.
 *
 * Adapter: files.
 */
import { readFileSync } from "node:fs";
import type { Config } from "../../schema/config.ts";
import { Authority } from "../security/auth.ts";
import type { Log } from "../core/clock.ts";
import { type Identity, openAdminToken, openSharedAdminToken } from "../security/identity.ts";
import { UsageError } from "./start-failure.ts";
import { weaknessOf } from "../security/weak-token.ts";

type Given = {
  authToken?: string;
  authTokenFile?: string;
  env: Readonly<Record<string, string | undefined>>;
  /** Random bytes. */
  random(bytes: number): Uint8Array;
};

type Sourced = { source: string; token: string };

/** Tokens given from outside, for operators and agents alike (the guide's shared token). */
function sharedTokens(given: Given, config: Config): Sourced[] {
  const { auth } = config.server;
  const { env } = given;
  const file = given.authTokenFile ?? env["NAVARCH_AUTH_TOKEN_FILE"] ?? auth.tokenFile;
  const read = typeof file === "string" ? readFileSync(file, "utf8") : "";
  const all: [string, string][] = [
    ["--auth-token or NAVARCH_AUTH_TOKEN", given.authToken ?? ""],
    [`the token file ${file}`, read],
    [auth.tokenEnv, env[auth.tokenEnv] ?? ""],
  ];
  return all
    .map(([source, text]) => ({ source, token: usable(source, text) }))
    .filter(({ token }) => token !== "");
}

const MAKE = "make one with `openssl rand -hex 32`";

/** Reports each token that can be guessed, once; throws if other machines reach the port. */
function judge(tokens: readonly Sourced[], isOpen: boolean, log: Log): void {
  const seen = new Set<string>();
  for (const { source, token } of tokens) {
    const weakness = seen.has(token) ? null : weaknessOf(token, isOpen);
    seen.add(token);
    if (weakness === null) continue;
    const { why, isRefused } = weakness;
    if (isRefused) throw new UsageError(`${source}: the token can be guessed: ${why}: ${MAKE}`);
    log("warn", "the shared token can be guessed", { source, reason: why, advice: MAKE });
  }
}

/** An empty variable is a mounted Secret with a mistake; agents with it would have no token. */
function judgeEmpty({ env }: Given, { auth }: Config["server"], log: Log): void {
  for (const name of new Set([auth.tokenEnv, "NAVARCH_AUTH_TOKEN"])) {
    if (env[name] === undefined || env[name].trim() !== "") continue;
    const advice = "set it, for example from the key auth-token of the Secret, or unset it";
    log("warn", `${name} is set and empty: agents and operators cannot use it`, { advice });
  }
}

/**
 * Without surrounding white space, which `echo` and `kubectl create secret --from-file` add. Throws
 * for a token that no HTTP header can carry, because no request could use it.
 */
function usable(source: string, text: string): string {
  const token = text.trim();
  const at = token.search(/[^\x21-\x7e]/);
  if (at === -1) return token;
  const found = /\s/.test(token.charAt(at)) ? "white space" : "a character that is not ASCII";
  throw new UsageError(`${source}: ${found} at character ${at + 1}: write the token on one line`);
}

export function openAuthority(
  given: Given,
  config: Config,
  from: { state: string; identity: Identity; shared: boolean; isOpen: boolean; log: Log },
): Authority {
  const { state, identity, isOpen, log } = from;
  const { allowAnonymous, adminTokenFile } = config.server.auth;
  const sourced = sharedTokens(given, config);
  judge(sourced, isOpen, log);
  judgeEmpty(given, config.server, log);
  const shared = sourced.map(({ token }) => token);
  const make = (): ReturnType<typeof openAdminToken> =>
    from.shared
      ? openSharedAdminToken(state, identity.secret)
      : openAdminToken(state, given.random);
  const own = shared.length === 0 ? make() : null;
  const admins = own === null ? [] : [own.token];
  if (adminTokenFile !== null) {
    admins.push(usable(`admin_token_file ${adminTokenFile}`, readFileSync(adminTokenFile, "utf8")));
  }
  if (allowAnonymous) {
    log("warn", "allow_anonymous is on: ANYONE who reaches this port may do anything");
  }
  if (shared.length > 0) {
    log("warn", "one shared token serves operators and agents: see `navarch doctor`");
  }
  if (own !== null) {
    log("info", own.fresh ? "wrote the first admin's token" : "admin token", { path: own.path });
  }
  const { secret } = identity;
  // Each role reads the stored credentials.
  return new Authority({ secret, admins, shared, credentials: [], anonymous: allowAnonymous });
}
