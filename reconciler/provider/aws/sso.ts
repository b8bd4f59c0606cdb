/**
 * Keys of a role in IAM Identity Center, with the session that `aws sso login` has left in
 * `~/.aws/sso/cache`. A session that can be renewed is renewed there, so that the AWS CLI and
 * Navarch go on with the same one. Tokens are in no message.
 *
 * Adapter: files, network.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { withoutEndSlash } from "../../../schema/end-slash.ts";
import { positive } from "../../../schema/number.ts";
import type { Clock } from "../../core/clock.ts";
import { isPrivate } from "../../core/reply.ts";
import { writeWhole } from "../../security/identity.ts";
import { type Failed, failed } from "./failure.ts";
import { type Found, found } from "./found.ts";
import { type Reply, send } from "./http.ts";
import type { SsoPlan } from "./plan.ts";
import { parseInstant } from "../../../schema/instant.ts";

const CALL_MS = 10_000;
/** As botocore does. */
const RENEW_MS = 900_000;
/** IAM Identity Center grants sessions of 90 days at most. */
const LAST_S = 31_536_000;

const text = v.pipe(v.string(), v.nonEmpty());
const at = v.pipe(
  text,
  // Old releases of the AWS CLI write "UTC".
  v.transform((when) => parseInstant(when.replace(/UTC$/, "Z"))),
  v.check((ms) => !Number.isNaN(ms)),
);
/** Other fields are kept when it is written. */
const Cached = v.looseObject({
  accessToken: v.pipe(text, v.regex(/^[\x21-\x7e]+$/)),
  expiresAt: at,
});
const Renewable = v.object({
  clientId: text,
  clientSecret: text,
  refreshToken: text,
  registrationExpiresAt: at,
});
const Renewed = v.object({
  accessToken: text,
  expiresIn: v.pipe(positive, v.maxValue(LAST_S)),
  refreshToken: v.nullish(text, null),
});
const Given = v.object({
  roleCredentials: v.object({
    accessKeyId: text,
    secretAccessKey: text,
    sessionToken: text,
    /** Milliseconds since the epoch. */
    expiration: positive,
  }),
});

type From = { home: string; env: Readonly<Record<string, string | undefined>>; clock: Clock };
type Session = v.InferOutput<typeof Cached>;

export async function ssoKey(
  plan: SsoPlan & { profile: string },
  source: string,
  from: From,
): Promise<Found | Failed> {
  const file = cacheFile(plan.cachedAs, from.home);
  const login = `run aws sso login --profile ${plan.profile} as the control plane's user`;
  const cached = readSession(file);
  if (cached === null) return failed("auth", `${source}: no session in ${file}: ${login}`);
  const renewal = await renew(cached, file, plan, from);
  if (renewal.kind === "failed") return { ...renewal, message: `${source}: ${renewal.message}` };
  const { session } = renewal;
  if (session.expiresAt <= from.clock.wallMs()) {
    const ended = new Date(session.expiresAt).toISOString();
    return failed("auth", `${source}: the session in ${file} ended at ${ended}: ${login}`);
  }
  const url = endpointOf("SSO", `portal.sso.${plan.region}`, plan.region, from.env);
  if (url === null) {
    return failed("auth", `${source}: AWS_ENDPOINT_URL_SSO must be an https address`);
  }
  const asked = new URLSearchParams({ role_name: plan.role, account_id: plan.account });
  const reply = await send({
    what: "GetRoleCredentials",
    method: "GET",
    url: new URL(`${url}/federation/credentials?${asked}`),
    headers: { "x-amz-sso_bearer_token": session.accessToken },
    body: null,
    limitMs: CALL_MS,
  });
  return readKey(reply, plan, source, login);
}

function readKey(
  reply: Reply | Failed,
  { role, account }: SsoPlan,
  source: string,
  login: string,
): Found | Failed {
  if (reply.kind === "failed") return { ...reply, class: "unsent" };
  const { status } = reply;
  if (status === 401) return failed("auth", `${source}: the session is no longer valid: ${login}`);
  if (status === 403 || status === 404) {
    const what = `role ${role} of account ${account}`;
    return failed("auth", `${source}: IAM Identity Center does not give ${what} (HTTP ${status})`);
  }
  const read = v.safeParse(v.pipe(v.string(), v.parseJson(), Given), reply.text);
  if (status !== 200 || !read.success) {
    const what = `GetRoleCredentials: no keys in the answer (HTTP ${status})`;
    return failed("unsent", `${source}: ${what}`);
  }
  const given = read.output.roleCredentials;
  const { accessKeyId, secretAccessKey: secretKey, sessionToken, expiration } = given;
  return found({ accessKeyId, secretKey, sessionToken }, source, expiration);
}

/** The session itself where it lasts, or cannot be renewed: its end decides then. */
async function renew(
  session: Session,
  file: string,
  { region }: SsoPlan,
  { env, clock }: From,
): Promise<{ kind: "ok"; session: Session } | Failed> {
  const leftMs = session.expiresAt - clock.wallMs();
  const read = v.safeParse(Renewable, session);
  if (leftMs > RENEW_MS || !read.success) return { kind: "ok", session };
  const { clientId, clientSecret, refreshToken, registrationExpiresAt } = read.output;
  if (registrationExpiresAt <= clock.wallMs()) return { kind: "ok", session };
  const url = endpointOf("SSO_OIDC", `oidc.${region}`, region, env);
  if (url === null) return failed("auth", "AWS_ENDPOINT_URL_SSO_OIDC must be an https address");
  const reply = await send({
    what: "CreateToken",
    method: "POST",
    url: new URL(`${url}/token`),
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ clientId, clientSecret, refreshToken, grantType: "refresh_token" }),
    limitMs: CALL_MS,
  });
  const isOk = reply.kind === "ok" && reply.status === 200;
  const answer = isOk ? v.safeParse(v.pipe(v.string(), v.parseJson(), Renewed), reply.text) : null;
  if (answer?.success !== true) {
    // The AWS CLI, or another provider of this process, may have renewed it meanwhile.
    const again = readSession(file) ?? session;
    const status = reply.kind === "ok" ? reply.status : 0;
    const isRefused = status >= 400 && status < 500 && status !== 429;
    if (isRefused || again.expiresAt > clock.wallMs()) return { kind: "ok", session: again };
    const why = reply.kind === "ok" ? `HTTP ${reply.status}` : reply.message;
    return failed("unsent", `the session could not be renewed: ${why}`);
  }
  const { accessToken, expiresIn, refreshToken: next } = answer.output;
  const own = { ...session, accessToken, refreshToken: next ?? refreshToken };
  const expiresAt = clock.wallMs() + expiresIn * 1_000;
  const endsAt = new Date(expiresAt).toISOString().replace(/\.\d+Z$/, "Z");
  try {
    writeWhole(file, JSON.stringify({ ...own, expiresAt: endsAt }));
  } catch {
    // A folder that cannot be written: the session is renewed again the next time.
  }
  return { kind: "ok", session: { ...own, expiresAt } };
}

const cacheFile = (cachedAs: string, home: string): string =>
  join(home, ".aws/sso/cache", `${createHash("sha1").update(cachedAs).digest("hex")}.json`);

function readSession(file: string): Session | null {
  try {
    return v.parse(Cached, JSON.parse(readFileSync(file, "utf8")));
  } catch {
    return null;
  }
}

/** `null`: a token would be sent in the clear. */
function endpointOf(name: string, host: string, region: string, env: From["env"]): string | null {
  const own = env[`AWS_ENDPOINT_URL_${name}`] || env["AWS_ENDPOINT_URL"] || null;
  const domain = region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  const url = withoutEndSlash(own ?? `https://${host}.${domain}`);
  return isPrivate(url) ? url : null;
}
