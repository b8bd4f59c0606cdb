/** The settings of an `aws` provider. Adapter: reads the user data's file and AWS's own files. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import type { ValueOf } from "../../../schema/config/field.ts";
import type { RATE_LIMIT, SETTINGS } from "../../../schema/config/provider.ts";
import type { ProviderConfig } from "../../../schema/config.ts";
import type { Rates } from "./api.ts";
import { mergeSettings } from "../../core/machine-setting.ts";
import type { AwsOptions } from "./aws.ts";
import { profileRegion, whyNoProfile } from "./credential.ts";
import { type LaunchSettings, NO_IMAGE } from "./launch.ts";
import { isRegion } from "./profile.ts";

/** Descriptions lag "a few minutes" behind (docs/reference/aws.md#states). */
const SETTLE_MS = 300_000;
const USER_DATA_BYTES_MAX = 16 * 1024;
/** What EC2 grants each account and region (docs/reference/aws.md#rates). */
const LAUNCH = { perSecond: 2, burst: 5 };
const END = { perSecond: 5, burst: 100 };
const READ = { perSecond: 20, burst: 100 };

type Env = Readonly<Record<string, string | undefined>>;
type Given = Partial<ValueOf<typeof SETTINGS> & ValueOf<typeof RATE_LIMIT>>;

/** A text says what is missing. */
export function readAwsSettings(
  settings: ProviderConfig["settings"],
  env: Env,
): Omit<AwsOptions, "name" | "fleetId" | "clock"> | string {
  const given = settings as Given;
  const from = sourceOf(given, env);
  const named = given.region ?? (env["AWS_REGION"] || env["AWS_DEFAULT_REGION"] || null);
  const region = named ?? profileRegion(from);
  if (region === null) return "no region: set region, for example us-east-1";
  if (!isRegion(region)) {
    return `region ${region} is not the name of a region, for example us-east-1`;
  }
  const launch = readLaunch(settings);
  if (typeof launch === "string") return launch;
  const domain = region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  const other = given.endpoint ?? (env["AWS_ENDPOINT_URL_EC2"] || env["AWS_ENDPOINT_URL"] || null);
  const quotas = (env["AWS_ENDPOINT_URL_SERVICE_QUOTAS"] || null) ?? other;
  for (const url of [other, quotas]) {
    if (url !== null && !URL.canParse(url)) return "AWS_ENDPOINT_URL is not a URL";
  }
  return {
    region,
    endpoint: other ?? `https://ec2.${region}.${domain}`,
    quotaEndpoint: quotas ?? `https://servicequotas.${region}.${domain}`,
    credentials: { ...from, region },
    settleMs: given.settleMs ?? SETTLE_MS,
    rates: ratesOf(given),
    launch,
    launchWith: (own) => readLaunch(mergeSettings(settings, own)),
  };
}

/** What the profile in use says that is not taken, before a call needs its key. */
export function whyNoKey(settings: ProviderConfig["settings"], env: Env): string | null {
  return whyNoProfile(sourceOf(settings, env));
}

function sourceOf({ profile = null, credentialsFile = null }: Given, env: Env) {
  return { env, home: env["HOME"] || homedir(), profile, file: credentialsFile };
}

function readLaunch(settings: ProviderConfig["settings"]): LaunchSettings | string {
  const given = settings as Given;
  const { image = null, subnet, userDataFile } = given;
  if (image?.startsWith("ami-") === false) return NO_IMAGE;
  const pairs = listOf(given.subnets).map((text) => {
    const [zone = "", id = ""] = text.split("=");
    return { zone, id };
  });
  const odd = pairs.find(({ zone, id }) => zone === "" || !id.startsWith("subnet-"));
  if (odd !== undefined) return "subnets: write each as ZONE=SUBNET, us-east-1a=subnet-…";
  const userData = userDataFile == null ? null : readUserData(userDataFile);
  if (userData !== null && "why" in userData) return userData.why;
  return {
    image,
    subnets: subnet == null ? pairs : [...pairs, { zone: null, id: subnet }],
    securityGroups: listOf(given.securityGroups),
    instanceProfile: given.instanceProfile ?? null,
    diskGb: given.diskGb ?? null,
    externalIp: given.externalIp ?? null,
    efaInterfaces: given.efaInterfaces ?? 0,
    userData: userData?.text ?? null,
  };
}

const listOf = (text: string | null | undefined): string[] =>
  (text ?? "").split(",").filter((one) => one !== "");

function readUserData(file: string): { text: string } | { why: string } {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return { why: `user_data_file ${file} cannot be read` };
  }
  const bytes = Buffer.byteLength(text);
  if (bytes <= USER_DATA_BYTES_MAX) return { text };
  return { why: `user_data_file ${file} has ${bytes} bytes: EC2 takes ${USER_DATA_BYTES_MAX}` };
}

function ratesOf({ requestsPerSecond, launchIntervalMs }: Given): Rates {
  const all = typeof requestsPerSecond === "number" ? requestsPerSecond : null;
  const own = all === null ? null : { perSecond: all, burst: Math.max(1, Math.floor(all)) };
  const launch = typeof launchIntervalMs === "number" ? launchIntervalMs : null;
  return {
    launch: launch === null ? LAUNCH : { perSecond: 1_000 / launch, burst: 1 },
    end: own ?? END,
    read: own ?? READ,
  };
}
