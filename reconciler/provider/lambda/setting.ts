/** The settings of a `lambda` provider, and its key. Adapter: reads the key's file. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { metaOf, type ValueOf } from "../../../schema/config/field.ts";
import { type RATE_LIMIT, SETTINGS } from "../../../schema/config/provider.ts";
import type { ProviderConfig } from "../../../schema/config.ts";
import { withoutEndSlash } from "../../../schema/end-slash.ts";
import type { LambdaOptions } from "./lambda.ts";

const ENDPOINT = "https://cloud.lambda.ai/api/v1";
/** Longer than landing and list lag have been seen together. */
const SETTLE_MS = 600_000;
/**
 * One request a second, one launch in twelve seconds (OpenAPI 1.10.0, "Rate limits"), and a margin:
 * the network delivers requests closer together than they were sent.
 */
const REQUEST_MS = 1_100;
const LAUNCH_MS = 12_500;

type Settings = Pick<LambdaOptions, "key" | "endpoint" | "settleMs" | "requestMs" | "launchMs">;

/** A text says what is missing. */
export function readLambdaSettings(
  settings: ProviderConfig["settings"],
  env: Readonly<Record<string, string | undefined>>,
): Settings | string {
  const given = settings as Partial<ValueOf<typeof SETTINGS> & ValueOf<typeof RATE_LIMIT>>;
  const name = given.apiKeyEnv ?? metaOf(SETTINGS.api_key_env).default;
  const key = readKey(given.apiKeyFile ?? null, name, env);
  if ("why" in key) return key.why;
  const { requestsPerSecond, launchIntervalMs } = given;
  return {
    key: key.key,
    endpoint: withoutEndSlash(given.endpoint ?? ENDPOINT),
    settleMs: given.settleMs ?? SETTLE_MS,
    requestMs: typeof requestsPerSecond === "number" ? 1_000 / requestsPerSecond : REQUEST_MS,
    launchMs: launchIntervalMs ?? LAUNCH_MS,
  };
}

function readKey(
  file: string | null,
  name: string,
  env: Readonly<Record<string, string | undefined>>,
): { key: string } | { why: string } {
  const remedy = `set ${name} or api_key_file, then restart`;
  let key = env[name] ?? "";
  if (file !== null) {
    const path = file.startsWith("~/") ? `${homedir()}${file.slice(1)}` : file;
    try {
      key = readFileSync(path, "utf8");
    } catch {
      return { why: `api_key_file ${file} cannot be read` };
    }
  }
  key = key.trim();
  if (key === "") return { why: `no API key: ${remedy}` };
  // A header takes nothing else, and the message must not repeat the key.
  if (/^[\x21-\x7e]+$/.test(key)) return { key };
  return { why: `the API key is not printable ASCII: ${remedy}` };
}
