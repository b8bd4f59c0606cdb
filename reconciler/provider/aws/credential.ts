/**
 * Finds credentials where AWS's own tools do (docs/provider-aws.md#credentials): environment,
 * shared files, workload identity, container, instance role. Temporary ones are renewed before they
 * end. No message holds a secret.
 *
 * Adapter: files, network.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import { type Failed, failed } from "./failure.ts";
import { containerKey, instanceKey } from "./metadata.ts";
import { type Profile, profileIn } from "./profile.ts";
import type { AwsKey } from "./sign.ts";
import { assumeRole, assumeWithToken, type StsFrom } from "./sts.ts";

/** Before the end of a temporary key, as AWS's tools do. */
const RENEW_MS = 300_000;
/** Files and the environment are read again so that a rotated key needs no restart. */
const REREAD_MS = 60_000;
const SOURCES_MAX = 4;

export type Found = { kind: "ok"; key: AwsKey; source: string; expiresAtMs: number | null };
type Answer = Found | Failed;

export type CredentialOptions = {
  env: Readonly<Record<string, string | undefined>>;
  home: string;
  region: string;
  /** Settings of the provider: with one of them nothing else is looked at. */
  profile: string | null;
  file: string | null;
  clock: Clock;
};

export class Credentials {
  readonly #options: CredentialOptions;
  #held: Found | null = null;
  #readMono = 0;
  #loading: Promise<Answer> | null = null;

  constructor(options: CredentialOptions) {
    this.#options = options;
  }

  /** Rejects never. */
  async get(): Promise<Answer> {
    const held = this.#held;
    if (held !== null && !this.#isDue(held)) return held;
    this.#loading ??= findKey(this.#options).finally(() => void (this.#loading = null));
    const found = await this.#loading;
    if (found.kind === "ok") {
      this.#held = found;
      this.#readMono = this.#options.clock.monoMs();
      return found;
    }
    // The old key serves until its end, so a short failure of the source is not felt.
    const isAlive = held?.expiresAtMs != null && held.expiresAtMs > this.#options.clock.wallMs();
    return isAlive && this.#held === held ? held : found;
  }

  /** The cloud refused the key: the next call looks for another one. */
  forget(): void {
    this.#held = null;
  }

  #isDue({ expiresAtMs }: Found): boolean {
    const { clock } = this.#options;
    if (expiresAtMs !== null) return clock.wallMs() >= expiresAtMs - RENEW_MS;
    return clock.monoMs() - this.#readMono >= REREAD_MS;
  }
}

async function findKey(from: CredentialOptions): Promise<Answer> {
  const { env } = from;
  if (from.profile !== null || from.file !== null) {
    const name = from.profile ?? "default";
    return (await fromProfile(name, from, [])) ?? missing(name, from);
  }
  const given = fromEnvironment(env);
  if (given !== null) return given;
  const named = env["AWS_PROFILE"] ?? "";
  if (named !== "") return (await fromProfile(named, from, [])) ?? missing(named, from);
  const role = env["AWS_ROLE_ARN"] ?? "";
  const file = env["AWS_WEB_IDENTITY_TOKEN_FILE"] ?? "";
  if (role !== "" && file !== "") {
    return fromToken(file, role, env["AWS_ROLE_SESSION_NAME"] ?? null, from);
  }
  const own = await fromProfile("default", from, []);
  if (own !== null) return own;
  const task = await containerKey(env);
  if (task !== null) return task;
  if (env["AWS_EC2_METADATA_DISABLED"]?.toLowerCase() !== "true") {
    const machine = await instanceKey(env);
    if (machine !== null) return machine;
  }
  const ways = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or profile or credentials_file";
  return failed("auth", `no AWS credentials: ${ways}, or run on a machine with a role`);
}

function fromEnvironment(env: CredentialOptions["env"]): Answer | null {
  const key = keyOf({
    aws_access_key_id: env["AWS_ACCESS_KEY_ID"] ?? "",
    aws_secret_access_key: env["AWS_SECRET_ACCESS_KEY"] ?? "",
    aws_session_token: env["AWS_SESSION_TOKEN"] ?? "",
  });
  return key === null ? null : found(key, "AWS_ACCESS_KEY_ID");
}

/** `null`: the files have no such profile, or it holds no credentials. */
async function fromProfile(
  name: string,
  from: CredentialOptions,
  above: readonly string[],
): Promise<Answer | null> {
  const { path, texts } = readShared(from);
  const profile = profileIn(texts, name);
  if (profile === null) return null;
  const source = `profile ${name} of ${path}`;
  const role = profile["role_arn"];
  if (role !== undefined && !above.includes(name) && above.length < SOURCES_MAX) {
    const file = profile["web_identity_token_file"];
    const session = profile["role_session_name"] ?? null;
    if (file !== undefined) return fromToken(file, role, session, from);
    const base = await baseOf(name, profile, from, above);
    if (base.kind === "failed") return base;
    const externalId = profile["external_id"] ?? null;
    return assumeRole({ role, session, externalId }, base.key, source, stsOf(from));
  }
  const key = keyOf(profile);
  if (key !== null) return found(key, source);
  const odd = Object.keys(profile).find((one) => /^(sso_|credential_process|login_)/.test(one));
  if (odd === undefined) return null;
  const remedy = `aws configure export-credentials --profile ${name} writes keys that can be used`;
  return failed("auth", `${source}: ${odd} is not supported; ${remedy}`);
}

/** The credentials with which a profile takes its role. */
async function baseOf(
  name: string,
  profile: Profile,
  from: CredentialOptions,
  above: readonly string[],
): Promise<Answer> {
  const { source_profile: next, credential_source: kind } = profile;
  const none = failed("auth", `profile ${name}: role_arn needs source_profile`);
  if (next !== undefined) return (await fromProfile(next, from, [...above, name])) ?? none;
  if (kind === "Ec2InstanceMetadata") return (await instanceKey(from.env)) ?? none;
  if (kind === "EcsContainer") return (await containerKey(from.env)) ?? none;
  if (kind === "Environment") return fromEnvironment(from.env) ?? none;
  return none;
}

async function fromToken(
  file: string,
  role: string,
  session: string | null,
  from: CredentialOptions,
): Promise<Answer> {
  let token: string;
  try {
    token = readFileSync(file, "utf8").trim();
  } catch {
    return failed("auth", `the identity token ${file} cannot be read`);
  }
  return assumeWithToken({ role, session, token }, `role ${role}`, stsOf(from));
}

function readShared({ env, home, file }: CredentialOptions) {
  const path = expand(file ?? (env["AWS_SHARED_CREDENTIALS_FILE"] || "~/.aws/credentials"), home);
  const config = file === null ? expand(env["AWS_CONFIG_FILE"] || "~/.aws/config", home) : "";
  return { path, texts: { credentials: readText(path), config: readText(config) } };
}

/** The region of the profile in use; `null` = the files name none. */
export function profileRegion(from: Omit<CredentialOptions, "region" | "clock">): string | null {
  const name = from.profile ?? (from.env["AWS_PROFILE"] || "default");
  const clock = { wallMs: () => 0, monoMs: () => 0, after: () => () => undefined };
  const { texts } = readShared({ ...from, region: "", clock });
  return profileIn(texts, name)?.["region"] ?? null;
}

function stsOf({ env, region, clock }: CredentialOptions): StsFrom {
  const endpoint = env["AWS_ENDPOINT_URL_STS"] || env["AWS_ENDPOINT_URL"] || null;
  return { region, endpoint, atMs: clock.wallMs() };
}

function keyOf(given: Profile): AwsKey | null {
  const [accessKeyId = "", secretKey = "", token = ""] = [
    given["aws_access_key_id"],
    given["aws_secret_access_key"],
    given["aws_session_token"],
  ].map((text) => text?.trim());
  if (accessKeyId === "" || secretKey === "") return null;
  return { accessKeyId, secretKey, sessionToken: token === "" ? null : token };
}

/** A header takes nothing else, and the message must not repeat the key. */
function found(key: AwsKey, source: string): Answer {
  const isSound = /^[\x21-\x7e]+$/.test(`${key.accessKeyId}${key.sessionToken ?? ""}`);
  if (!isSound) return failed("auth", `the key of ${source} is not printable ASCII`);
  return { kind: "ok", key, source, expiresAtMs: null };
}

function missing(name: string, from: CredentialOptions): Failed {
  const { path } = readShared(from);
  return failed("auth", `${path} has no credentials for profile ${name}`);
}

function readText(path: string): string {
  try {
    return path === "" ? "" : readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

const expand = (path: string, home: string): string =>
  path.startsWith("~/") ? join(home, path.slice(2)) : path;
