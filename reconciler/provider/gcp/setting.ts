/**
 * The settings of a `gcp` provider, and where its credential comes from.
 */
import type { ValueOf } from "../../../schema/config/field.ts";
import type { RATE_LIMIT, SETTINGS } from "../../../schema/config/provider.ts";
import type { ProviderConfig } from "../../../schema/config.ts";
import { withoutEndSlash } from "../../../schema/end-slash.ts";
import type { Clock } from "../../core/clock.ts";
import { projectOf, whyRefused } from "../../google/credential.ts";
import { credentialFile, openTokens } from "../../google/default.ts";
import type { GcpOptions } from "./gcp.ts";
import { isName } from "./name.ts";

const ENDPOINT = "https://compute.googleapis.com/compute/v1";
const IAM_ENDPOINT = "https://cloudresourcemanager.googleapis.com/v3";
/** 20 a second: 1 500 a minute are allowed to a project, which others use too. */
const REQUEST_MS = 50;
/** Stock-outs are reported within about 30 s; the caller gives up after 60. */
const WAIT_MS = 30_000;

type Settings = Omit<GcpOptions, "name" | "fleetId" | "clock">;

/** What prevents every purchase, as far as the settings tell; `null` = nothing. */
export function whyNoPurchase(
  settings: ProviderConfig["settings"],
  env: Readonly<Record<string, string | undefined>>,
): string | null {
  const project = readProject(settings, env);
  return "why" in project ? project.why : null;
}

/** What the credential's file says that is not taken, before a call needs its token. */
export function whyNoToken(
  { credentialsFile = null }: Partial<ValueOf<typeof SETTINGS>>,
  env: Readonly<Record<string, string | undefined>>,
): string | null {
  const file = credentialFile(credentialsFile, env);
  return file === null ? null : whyRefused(file);
}

/** A text says what is missing. */
export function readGcpSettings(
  settings: ProviderConfig["settings"],
  env: Readonly<Record<string, string | undefined>>,
  clock: Clock,
): Settings | string {
  const given = settings as Partial<ValueOf<typeof SETTINGS> & ValueOf<typeof RATE_LIMIT>>;
  const read = readProject(settings, env);
  if ("why" in read) return read.why;
  const { project, file } = read;
  const { requestsPerSecond, endpoint } = given;
  return {
    project,
    endpoint: withoutEndSlash(endpoint ?? ENDPOINT),
    // Whatever answers for the API answers for permissions too.
    iamEndpoint: endpoint ? `${new URL(endpoint).origin}/v3` : IAM_ENDPOINT,
    tokens: openTokens(file, env, clock),
    requestMs: typeof requestsPerSecond === "number" ? 1_000 / requestsPerSecond : REQUEST_MS,
    waitMs: WAIT_MS,
    image: given.image ?? null,
    network: given.network ?? null,
    subnet: given.subnet ?? null,
    diskGb: given.diskGb ?? null,
    diskType: given.diskType ?? null,
    serviceAccount: given.serviceAccount ?? null,
    externalIp: given.externalIp ?? true,
  };
}

function readProject(
  settings: ProviderConfig["settings"],
  env: Readonly<Record<string, string | undefined>>,
): { project: string; file: string | null } | { why: string } {
  const given = settings as Partial<ValueOf<typeof SETTINGS>>;
  const file = credentialFile(given.credentialsFile ?? null, env);
  const project = given.project ?? (file === null ? null : projectOf(file));
  if (project === null) return { why: "no project: set project on the provider, then restart" };
  // Projects of an organisation's domain are written `example.com:name`.
  if (isName(project.slice(project.indexOf(":") + 1)) || /^[0-9]{1,19}$/.test(project)) {
    return { project, file };
  }
  return { why: `project ${project} is no project's id: write the id, not its display name` };
}
