/**
 * Temporary credentials of a role, from AWS's Security Token Service.
 *
 * Adapter: network.
 */
import { type Failed, failed } from "./failure.ts";
import type { Found } from "./found.ts";
import { send } from "./http.ts";
import type { RolePlan } from "./plan.ts";
import { type AwsKey, sign } from "./sign.ts";
import { find, parseXml, textAt, type Xml } from "./xml.ts";
import { parseInstant } from "../../../schema/instant.ts";

const VERSION = "2011-06-15";
const CALL_MS = 10_000;
const SHOWN_CHARS = 200;

export type StsFrom = { region: string; endpoint: string | null; atMs: number };

/** With a workload's identity token, which is the proof: the call is not signed. */
export function assumeWithToken(
  { role, session, token }: { role: string; session: string | null; token: string },
  source: string,
  from: StsFrom,
): Promise<Found | Failed> {
  const RoleSessionName = session ?? "navarch";
  const fields = { RoleArn: role, RoleSessionName, WebIdentityToken: token };
  return call("AssumeRoleWithWebIdentity", fields, null, source, from);
}

export function assumeRole(
  role: RolePlan,
  key: AwsKey,
  source: string,
  from: StsFrom,
): Promise<Found | Failed> {
  const fields = {
    RoleArn: role.role,
    RoleSessionName: role.session ?? "navarch",
    ...(role.externalId === null ? {} : { ExternalId: role.externalId }),
    ...(role.durationS === null ? {} : { DurationSeconds: String(role.durationS) }),
  };
  return call("AssumeRole", fields, key, source, from);
}

async function call(
  action: string,
  fields: Record<string, string>,
  key: AwsKey | null,
  source: string,
  { region, endpoint, atMs }: StsFrom,
): Promise<Found | Failed> {
  const domain = region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  const address = endpoint ?? `https://sts.${region}.${domain}`;
  if (!URL.canParse(address)) return failed("auth", "AWS_ENDPOINT_URL_STS is not a URL");
  const url = new URL(address);
  const body = new URLSearchParams({ Action: action, Version: VERSION, ...fields }).toString();
  const form = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };
  const request = { method: "POST" as const, url, body, headers: form };
  const headers = key === null ? form : sign(request, { service: "sts", region, atMs }, key);
  const reply = await send({ ...request, what: action, headers, limitMs: CALL_MS });
  // Whatever happened, no purchase was sent.
  if (reply.kind === "failed") return { ...reply, class: "unsent" };
  const root = parseXml(reply.text) ?? undefined;
  const code = textAt(root, "Error", "Code");
  if (code !== null) {
    const said = (textAt(root, "Error", "Message") ?? "").slice(0, SHOWN_CHARS);
    const cls = reply.status < 500 ? "auth" : "unsent";
    return failed(cls, `${source}: ${action}: ${code}: ${said}`, code);
  }
  const given = find(root, `${action}Result`, "Credentials");
  return temporaryKey(given, source) ?? failed("unsent", `${action}: HTTP ${reply.status}`);
}

function temporaryKey(given: Xml | undefined, source: string): Found | null {
  const [accessKeyId, secretKey, sessionToken, end] = [
    textAt(given, "AccessKeyId"),
    textAt(given, "SecretAccessKey"),
    textAt(given, "SessionToken"),
    textAt(given, "Expiration"),
  ];
  const expiresAtMs = parseInstant(end ?? "");
  if (accessKeyId === null || secretKey === null || Number.isNaN(expiresAtMs)) return null;
  return { kind: "ok", key: { accessKeyId, secretKey, sessionToken }, source, expiresAtMs };
}
