/**
 * Obtains access tokens as Google's libraries do: from the metadata server, with a service
 * account's key file, or in exchange for another identity's token (workload identity federation).
 * Files are read at each renewal, so a rotated one needs no restart.
 *
 * Adapter: network, files.
 */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { positive } from "../../schema/number.ts";
import type { Clock } from "../core/clock.ts";
import { isPrivate } from "../core/reply.ts";
import type { Grant, Source, Ungranted } from "./token.ts";
import { parseInstant } from "../../schema/instant.ts";

const SCOPE = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_URI = "https://oauth2.googleapis.com/token";
const CALL_MS = 10_000;
const FILE_BYTES_MAX = 1024 * 1024;
const JWT_S = 3_600;

const text = v.string();
const optional = v.nullish(text, null);

const Key = v.object({
  type: v.literal("service_account"),
  client_email: text,
  private_key: text,
  private_key_id: optional,
  token_uri: v.nullish(text, TOKEN_URI),
});
const User = v.object({
  type: v.literal("authorized_user"),
  client_id: text,
  client_secret: text,
  refresh_token: text,
  token_uri: v.nullish(text, TOKEN_URI),
});
const External = v.object({
  type: v.literal("external_account"),
  audience: text,
  subject_token_type: text,
  token_url: text,
  service_account_impersonation_url: optional,
  credential_source: v.object({
    file: optional,
    url: optional,
    headers: v.nullish(v.record(text, text), {}),
    format: v.nullish(v.object({ type: text, subject_token_field_name: optional }), null),
    /** Not read, and named where it is refused. */
    executable: v.nullish(v.unknown(), null),
    environment_id: optional,
  }),
});
const OWN = [Key, User, External] as const;
/** `gcloud auth application-default login --impersonate-service-account`. */
const Impersonating = v.object({
  type: v.literal("impersonated_service_account"),
  service_account_impersonation_url: text,
  delegates: v.nullish(v.array(text), []),
  source_credentials: v.variant("type", OWN),
});
const CredentialFile = v.variant("type", [...OWN, Impersonating]);
type Read = v.InferOutput<typeof CredentialFile>;

const Granted = v.object({ access_token: text, expires_in: v.nullish(positive, 3_600) });
const Impersonated = v.object({ accessToken: text, expireTime: text });

/** The machine's own service account. */
export function metadataSource(host: string): Source {
  const path = "/computeMetadata/v1/instance/service-accounts/default/token";
  const headers = { "metadata-flavor": "Google" };
  const remedy = "attach a service account to this machine, or set credentials_file";
  return guarded("the metadata server", remedy, () =>
    askFor("the metadata server", `http://${host}${path}`, { headers }),
  );
}

/** A key file, a user's login, or a configuration of workload identity federation. */
export function fileSource(path: string, clock: Clock): Source {
  const remedy = "replace the file, or set credentials_file to another one";
  return guarded(`credentials_file ${path}`, remedy, async () => {
    const file = readCredential(path);
    return "kind" in file ? file : grantOf(file, clock);
  });
}

/** What a file says that is not taken, before a call needs its token; `null` = nothing is known. */
export function whyRefused(path: string): string | null {
  try {
    const file = readCredential(path);
    return "kind" in file ? file.message : null;
  } catch {
    // An unreadable file is told by its path.
    return null;
  }
}

function readCredential(path: string): Read | Ungranted {
  const read = v.safeParse(CredentialFile, JSON.parse(readText(path)));
  const named = `credentials_file ${path}`;
  if (!read.success) {
    const kinds = "service_account, authorized_user, external_account";
    return refused(`${named} is no ${kinds} or impersonated_service_account file`);
  }
  const file = read.output;
  const own = file.type === "impersonated_service_account" ? file.source_credentials : file;
  if (own.type !== "external_account") return file;
  const { executable, environment_id: cloud } = own.credential_source;
  if (executable !== null) {
    const way = "let the program keep its token in a file, and name that as credential_source.file";
    return refused(`${named}: credential_source.executable is not run: ${way}`);
  }
  if (cloud === null) return file;
  const way = "use a provider for tokens of OpenID Connect, or a service account's key";
  return refused(`${named}: credential_source.environment_id ${cloud} is not read: ${way}`);
}

async function grantOf(file: Read, clock: Clock): Promise<Grant | Ungranted> {
  switch (file.type) {
    case "service_account":
      return withKey(file, clock);
    case "authorized_user":
      return withLogin(file);
    case "external_account":
      return withIdentity(file, clock);
    case "impersonated_service_account": {
      const grant = await grantOf(file.source_credentials, clock);
      if ("kind" in grant) return grant;
      return actAs(file.service_account_impersonation_url, file.delegates, grant, clock);
    }
  }
}

/** The project that a key file names. */
export function projectOf(path: string): string | null {
  try {
    const file = v.safeParse(v.object({ project_id: text }), JSON.parse(readText(path)));
    return file.success ? file.output.project_id : null;
  } catch {
    return null;
  }
}

async function withKey(key: v.InferOutput<typeof Key>, clock: Clock): Promise<Grant | Ungranted> {
  const nowS = Math.floor(clock.wallMs() / 1_000);
  const { private_key_id: kid, token_uri: uri, client_email: iss } = key;
  const head = { alg: "RS256", typ: "JWT", ...(kid === null ? {} : { kid }) };
  const claims = { iss, scope: SCOPE, aud: uri, iat: nowS, exp: nowS + JWT_S };
  const signed = `${base64url(JSON.stringify(head))}.${base64url(JSON.stringify(claims))}`;
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const der = Buffer.from(key.private_key.replace(/-----[^-]+-----|\s+/g, ""), "base64");
  const secret = await crypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
  const signature = await crypto.subtle.sign(algorithm, secret, Buffer.from(signed));
  const assertion = `${signed}.${Buffer.from(signature).toString("base64url")}`;
  const grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
  return askFor("the token endpoint", uri, { form: { grant_type: grant, assertion } });
}

function withLogin(user: v.InferOutput<typeof User>): Promise<Grant | Ungranted> {
  const { client_id, client_secret, refresh_token } = user;
  const form = { grant_type: "refresh_token", client_id, client_secret, refresh_token };
  return askFor("the token endpoint", user.token_uri, { form });
}

/** Exchanges the workload's own token (RFC 8693), and acts as a service account if one is named. */
async function withIdentity(
  file: v.InferOutput<typeof External>,
  clock: Clock,
): Promise<Grant | Ungranted> {
  const subject = await subjectOf(file.credential_source);
  if (typeof subject !== "string") return subject;
  const form = {
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    audience: file.audience,
    scope: SCOPE,
    requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
    subject_token: subject,
    subject_token_type: file.subject_token_type,
  };
  const grant = await askFor("the token exchange", file.token_url, { form });
  const url = file.service_account_impersonation_url;
  return "kind" in grant || url === null ? grant : actAs(url, [], grant, clock);
}

/** The token of a service account, which `grant` may impersonate. */
async function actAs(
  url: string,
  delegates: readonly string[],
  grant: Grant,
  clock: Clock,
): Promise<Grant | Ungranted> {
  const headers = { authorization: `Bearer ${grant.token}`, "content-type": "application/json" };
  const chain = delegates.length === 0 ? {} : { delegates };
  const body = JSON.stringify({ scope: [SCOPE], ...chain });
  const answer = await ask("the impersonation", url, { method: "POST", headers, body });
  if (!(answer instanceof Response)) return answer;
  const read = v.parse(Impersonated, await answer.json());
  const lastsMs = parseInstant(read.expireTime) - clock.wallMs();
  // A clock that is wrong by hours must not make each call renew.
  return { token: read.accessToken, lastsMs: lastsMs > 0 ? lastsMs : 600_000 };
}

async function subjectOf(
  source: v.InferOutput<typeof External>["credential_source"],
): Promise<string | Ungranted> {
  const { file, url, headers, format } = source;
  let raw: string;
  if (file !== null) raw = readText(file);
  else if (url !== null) {
    const answer = await ask("the identity's address", url, { headers }, true);
    if (!(answer instanceof Response)) return answer;
    raw = await answer.text();
  } else return refused("credential_source has neither file nor url");
  const field = format?.type === "json" ? (format.subject_token_field_name ?? "") : null;
  if (field === null) return raw.trim();
  return v.parse(v.record(text, v.unknown()), JSON.parse(raw))[field]?.toString() ?? "";
}

type Request = { headers?: Record<string, string>; form?: Record<string, string> };

async function askFor(what: string, url: string, request: Request): Promise<Grant | Ungranted> {
  const { headers = {}, form } = request;
  const body = form === undefined ? {} : { method: "POST", body: new URLSearchParams(form) };
  const answer = await ask(what, url, { headers, ...body }, form === undefined);
  if (!(answer instanceof Response)) return answer;
  const { access_token: token, expires_in: seconds } = v.parse(Granted, await answer.json());
  if (!/^[\x21-\x7e]+$/.test(token)) return refused(`${what} answered with an unusable token`);
  return { token, lastsMs: seconds * 1_000 };
}

/** `plain`: the address is the machine's own, and nothing secret is sent there. */
async function ask(
  what: string,
  url: string,
  init: RequestInit,
  plain = false,
): Promise<Response | Ungranted> {
  if (!plain && !isPrivate(url)) return refused(`${what} must be an https address`);
  const signal = AbortSignal.timeout(CALL_MS);
  const answer = await fetch(url, { ...init, redirect: "manual", signal });
  if (answer.ok) return answer;
  const { status } = answer;
  const message = `${what} answered HTTP ${status}: ${await reasonOf(answer)}`;
  return status >= 400 && status < 500 && status !== 429 ? refused(message) : later(message);
}

/** The standard's `error`, never the body: an endpoint may repeat what it was sent. */
async function reasonOf(answer: Response): Promise<string> {
  const body: unknown = await answer.json().catch(() => null);
  const read = v.safeParse(v.object({ error: v.pipe(text, v.regex(/^[a-z_]{1,40}$/)) }), body);
  return read.success ? read.output.error : "it gave no reason";
}

/** A source whose failures are answers with a remedy; the message names no content. */
function guarded(what: string, remedy: string, source: Source): Source {
  return async () => {
    const answer = await source().catch((error: unknown) => explain(what, error));
    if (!("kind" in answer)) return answer;
    return { ...answer, message: `${answer.message} (${remedy})` };
  };
}

function explain(what: string, error: unknown): Ungranted {
  const name = error instanceof Error ? error.name : "error";
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOENT" || code === "EACCES") return refused(`${what} cannot be read`);
  if (name === "TimeoutError") return later(`${what}: no token within ${CALL_MS / 1_000} s`);
  const isOurs = name === "SyntaxError" || name === "ValiError" || name === "DataError";
  return isOurs ? refused(`${what}: invalid content`) : later(`${what}: ${code || name}`);
}

function readText(path: string): string {
  const bytes = readFileSync(path);
  if (bytes.length > FILE_BYTES_MAX) throw new SyntaxError("too long");
  return bytes.toString();
}

const base64url = (value: string): string => Buffer.from(value).toString("base64url");

const refused = (message: string): Ungranted => ({ kind: "failed", class: "auth", message });
const later = (message: string): Ungranted => ({ kind: "failed", class: "rate_limit", message });
