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
import { type Found, found } from "./found.ts";
import { containerKey, instanceKey } from "./metadata.ts";
import { keyOf, type Place, type Plan, planOf } from "./plan.ts";
import { processKey } from "./process.ts";
import { profileIn } from "./profile.ts";
import { ssoKey } from "./sso.ts";
import { assumeRole, assumeWithToken, type StsFrom } from "./sts.ts";

/** Before the end of a temporary key, as AWS's tools do. */
const RENEW_MS = 300_000;
/** Files and the environment are read again so that a rotated key needs no restart. */
const REREAD_MS = 60_000;
/** A source that fails, or gives keys that end soon, is not asked at each call. */
const PAUSE_MS = 10_000;

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
  #failed: Failed | null = null;
  /** When the source was last asked. */
  #askedMono = 0;
  #loading: Promise<Answer> | null = null;

  constructor(options: CredentialOptions) {
    this.#options = options;
  }

  /** Rejects never. */
  async get(): Promise<Answer> {
    const held = this.#held;
    if (held !== null && !this.#isDue(held)) return held;
    if (this.#failed !== null && this.#isPaused()) return this.#failed;
    this.#loading ??= this.#load(held).finally(() => void (this.#loading = null));
    return this.#loading;
  }

  /** The cloud refused the key: the next call looks for another one. */
  forget(): void {
    this.#held = null;
  }

  async #load(held: Found | null): Promise<Answer> {
    const answer = await findKey(this.#options);
    const { clock } = this.#options;
    this.#askedMono = clock.monoMs();
    this.#failed = answer.kind === "failed" ? answer : null;
    if (answer.kind === "ok") {
      this.#held = answer;
      return answer;
    }
    // The old key serves until its end, so a short failure of the source is not felt.
    const isAlive = held?.expiresAtMs != null && held.expiresAtMs > clock.wallMs();
    return isAlive && this.#held === held ? held : answer;
  }

  #isDue({ expiresAtMs }: Found): boolean {
    const { clock } = this.#options;
    if (expiresAtMs === null) return clock.monoMs() - this.#askedMono >= REREAD_MS;
    const leftMs = expiresAtMs - clock.wallMs();
    return leftMs <= 0 || (leftMs <= RENEW_MS && !this.#isPaused());
  }

  #isPaused(): boolean {
    return this.#options.clock.monoMs() - this.#askedMono < PAUSE_MS;
  }
}

async function findKey(from: CredentialOptions): Promise<Answer> {
  const { env } = from;
  if (from.profile !== null || from.file !== null) {
    const name = from.profile ?? "default";
    return (await fromProfile(name, from)) ?? missing(name, from);
  }
  const given = fromEnvironment(env);
  if (given !== null) return given;
  const named = env["AWS_PROFILE"] ?? "";
  if (named !== "") return (await fromProfile(named, from)) ?? missing(named, from);
  const role = env["AWS_ROLE_ARN"] ?? "";
  const file = env["AWS_WEB_IDENTITY_TOKEN_FILE"] ?? "";
  if (role !== "" && file !== "") {
    return fromToken(file, role, env["AWS_ROLE_SESSION_NAME"] ?? null, from);
  }
  const own = await fromProfile("default", from);
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
  return key === null ? null : found(key, "AWS_ACCESS_KEY_ID", null);
}

/** `null`: the files have no such profile, or it holds no credentials. */
async function fromProfile(name: string, from: CredentialOptions): Promise<Answer | null> {
  const { path, texts } = readShared(from);
  const plan = planOf(name, texts);
  return plan === null || plan.kind === "failed" ? plan : follow(plan, path, from);
}

/** Why the profile in use can give no key, by what the files say; `null` = nothing is known. */
export function whyNoProfile(from: Omit<CredentialOptions, "region" | "clock">): string | null {
  const { env, profile, file } = from;
  const isOnly = profile !== null || file !== null;
  const named = profile ?? (isOnly ? null : env["AWS_PROFILE"] || null);
  const hasToken = Boolean(env["AWS_ROLE_ARN"] && env["AWS_WEB_IDENTITY_TOKEN_FILE"]);
  const isFirst = isOnly || (fromEnvironment(env) === null && (named !== null || !hasToken));
  const plan = isFirst ? planOf(named ?? "default", readShared(from).texts) : null;
  return plan?.kind === "failed" ? plan.message : null;
}

async function follow(plan: Plan, path: string, from: CredentialOptions): Promise<Answer> {
  const source = `profile ${plan.profile} of ${path}`;
  switch (plan.kind) {
    case "keys":
      return found(plan.key, source, null);
    case "process":
      return processKey(plan.argv, source, from);
    case "sso":
      return ssoKey(plan, source, from);
    case "token":
      return fromToken(plan.file, plan.role, plan.session, from);
    case "role": {
      const { base } = plan;
      const key =
        typeof base === "string"
          ? await fromPlace(base, plan.profile, from)
          : await follow(base, path, from);
      return key.kind === "failed" ? key : assumeRole(plan, key.key, source, stsOf(from));
    }
  }
}

async function fromPlace(place: Place, profile: string, from: CredentialOptions): Promise<Answer> {
  const key =
    place === "Environment"
      ? fromEnvironment(from.env)
      : place === "EcsContainer"
        ? await containerKey(from.env)
        : await instanceKey(from.env);
  return key ?? failed("auth", `profile ${profile}: credential_source ${place} gives no key here`);
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

function readShared({ env, home, file }: Pick<CredentialOptions, "env" | "home" | "file">) {
  const path = expand(file ?? (env["AWS_SHARED_CREDENTIALS_FILE"] || "~/.aws/credentials"), home);
  const config = file === null ? expand(env["AWS_CONFIG_FILE"] || "~/.aws/config", home) : "";
  return { path, texts: { credentials: readText(path), config: readText(config) } };
}

/** The region of the profile in use; `null` = the files name none. */
export function profileRegion(from: Omit<CredentialOptions, "region" | "clock">): string | null {
  const name = from.profile ?? (from.env["AWS_PROFILE"] || "default");
  const { texts } = readShared(from);
  return profileIn(texts, name)?.["region"] ?? null;
}

function stsOf({ env, region, clock }: CredentialOptions): StsFrom {
  const endpoint = env["AWS_ENDPOINT_URL_STS"] || env["AWS_ENDPOINT_URL"] || null;
  return { region, endpoint, atMs: clock.wallMs() };
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
