/**
 * What a profile of AWS's files says about its credentials, before anything is asked for them. What
 * Navarch does not take is refused here, by name and with what to use in its place. Pure.
 */
import { quotedWords } from "../../program/words.ts";
import { type Failed, failed } from "./failure.ts";
import { isRegion, type Profile, profileIn, type SharedTexts, ssoSessionIn } from "./profile.ts";
import type { AwsKey } from "./sign.ts";

export type SsoPlan = {
  /** The session's name, or the start URL of a profile without one: names the cached token. */
  cachedAs: string;
  region: string;
  account: string;
  role: string;
};
export type RolePlan = {
  role: string;
  session: string | null;
  externalId: string | null;
  durationS: number | null;
};
/** Where the machine itself, and not a profile, has the keys. */
export type Place = "Ec2InstanceMetadata" | "EcsContainer" | "Environment";
const PLACES: readonly string[] = ["Ec2InstanceMetadata", "EcsContainer", "Environment"];
const isPlace = (text: string): text is Place => PLACES.includes(text);

export type Plan = { profile: string } & (
  | { kind: "keys"; key: AwsKey }
  | { kind: "process"; argv: readonly string[] }
  | ({ kind: "sso" } & SsoPlan)
  | { kind: "token"; file: string; role: string; session: string | null }
  | ({ kind: "role"; base: Plan | Place } & RolePlan)
);

/** `null`: the files have no such profile, or it says nothing about credentials. */
export function planOf(
  name: string,
  texts: SharedTexts,
  above: readonly string[] = [],
): Plan | Failed | null {
  const profile = profileIn(texts, name);
  if (profile === null) return null;
  const role = profile["role_arn"];
  // A profile that names itself as its source takes the role with keys of its own.
  if (role !== undefined && !above.includes(name)) {
    return rolePlan(name, role, profile, texts, above);
  }
  const key = keyOf(profile);
  if (key !== null) return { kind: "keys", profile: name, key };
  const command = profile["credential_process"];
  if (command !== undefined) return processPlan(name, command);
  if (Object.keys(profile).some((one) => one.startsWith("sso_"))) {
    return ssoPlan(name, profile, texts.config);
  }
  const odd = Object.keys(profile).find((one) => one.startsWith("login_"));
  if (odd === undefined) return null;
  return refuse(name, `${odd} (aws login) is not read: in another profile, ${exportOf(name)}`);
}

export function keyOf(given: Profile): AwsKey | null {
  const [accessKeyId = "", secretKey = "", token = ""] = [
    given["aws_access_key_id"],
    given["aws_secret_access_key"],
    given["aws_session_token"],
  ].map((text) => text?.trim());
  if (accessKeyId === "" || secretKey === "") return null;
  return { accessKeyId, secretKey, sessionToken: token === "" ? null : token };
}

function rolePlan(
  name: string,
  role: string,
  profile: Profile,
  texts: SharedTexts,
  above: readonly string[],
): Plan | Failed {
  const file = profile["web_identity_token_file"];
  const session = profile["role_session_name"] ?? null;
  if (file !== undefined) return { kind: "token", profile: name, file, role, session };
  if (profile["mfa_serial"] !== undefined) {
    const way = "use a role without that condition, IAM Identity Center, or credential_process";
    const why = "mfa_serial asks for a code, and there is no terminal to type it at";
    return refuse(name, `${why}: ${way}`);
  }
  const base = baseOf(name, profile, texts, above);
  if (typeof base !== "string" && base.kind === "failed") return base;
  const duration = profile["duration_seconds"] ?? null;
  if (duration !== null && !/^\d{3,5}$/.test(duration)) {
    return refuse(name, "duration_seconds is no number of seconds from 900 to 43200");
  }
  const durationS = duration === null ? null : Number(duration);
  const externalId = profile["external_id"] ?? null;
  return { kind: "role", profile: name, role, session, externalId, durationS, base };
}

/** The credentials with which a profile takes its role. */
function baseOf(
  name: string,
  profile: Profile,
  texts: SharedTexts,
  above: readonly string[],
): Plan | Place | Failed {
  const { source_profile: next, credential_source: place } = profile;
  if (next !== undefined) {
    const plan = planOf(next, texts, [...above, name]);
    if (plan !== null) return plan;
    const why = [...above, name].includes(next)
      ? `source_profile ${next} leads back to a profile without keys of its own`
      : `source_profile ${next} is missing or holds no credentials`;
    return refuse(name, why);
  }
  if (place === undefined) {
    return refuse(name, "role_arn needs source_profile, credential_source or a token's file");
  }
  if (isPlace(place)) return place;
  return refuse(name, `credential_source ${place} is none of ${PLACES.join(", ")}`);
}

function processPlan(name: string, command: string): Plan | Failed {
  const refuseIt = (why: string): Failed => refuse(name, `credential_process ${why}`);
  const read = quotedWords(command);
  const script = "write it into a script and name that";
  if (read === null) return refuseIt(`has a quote or a backslash without an end: ${script}`);
  const { words, shell } = read;
  if (shell !== null) {
    return refuseIt(`runs without a shell, which ${shell} needs: quote it, or ${script}`);
  }
  if (words.length === 0) return refuseIt("is empty");
  return { kind: "process", profile: name, argv: words };
}

function ssoPlan(name: string, profile: Profile, config: string): Plan | Failed {
  const { sso_session: session, sso_account_id: account, sso_role_name: role } = profile;
  const shared = session === undefined ? profile : ssoSessionIn(config, session);
  if (shared === null) return refuse(name, `there is no section [sso-session ${session}]`);
  const { sso_start_url: url, sso_region: region } = shared;
  const missing = Object.entries({
    sso_start_url: url,
    sso_region: region,
    sso_account_id: account,
    sso_role_name: role,
  }).find(([, value]) => value === undefined || value === "");
  if (missing !== undefined || !url || !region || !account || !role) {
    return refuse(name, `${missing?.[0]} is missing: run aws configure sso --profile ${name}`);
  }
  if (!isRegion(region)) return refuse(name, "sso_region is not the name of a region");
  return { kind: "sso", profile: name, cachedAs: session ?? url, region, account, role };
}

const exportOf = (name: string): string =>
  `credential_process = aws configure export-credentials --profile ${name} --format process`;

const refuse = (name: string, why: string): Failed => failed("auth", `profile ${name}: ${why}`);
