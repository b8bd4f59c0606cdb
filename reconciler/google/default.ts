/**
 * Application default credentials: the file that is configured or named by the environment, else
 * that of `gcloud auth application-default login`, else the machine's own service account.
 *
 * Adapter: reads the environment that it is given, and looks for files.
 */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../core/clock.ts";
import { fileSource, metadataSource } from "./credential.ts";
import { Tokens } from "./token.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const METADATA_HOST = "169.254.169.254";

/** As Google's libraries look for it; `null` = the machine's own service account. */
export function credentialFile(file: string | null, env: Environment): string | null {
  const named = file ?? env["GOOGLE_APPLICATION_CREDENTIALS"] ?? "";
  if (named !== "") return named.startsWith("~/") ? join(homedir(), named.slice(2)) : named;
  const folder = env["CLOUDSDK_CONFIG"] ?? join(env["HOME"] ?? homedir(), ".config/gcloud");
  const own = join(folder, "application_default_credentials.json");
  return existsSync(own) ? own : null;
}

/** `file` as `credentialFile` found it. */
export function openTokens(file: string | null, env: Environment, clock: Clock): Tokens {
  const host = env["GCE_METADATA_HOST"] || METADATA_HOST;
  return new Tokens(file === null ? metadataSource(host) : fileSource(file, clock), clock);
}
