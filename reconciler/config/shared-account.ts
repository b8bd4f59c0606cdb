/**
 * Warns of providers whose settings name one account, as far as the file alone tells. Others may
 * still share one: `navarch doctor` compares what the clouds answer (`core/reach.ts`). Pure.
 */
import type { ProviderConfig } from "../../schema/config.ts";
import type { ValueOf } from "../../schema/config/field.ts";
import type { ProviderType, SETTINGS } from "../../schema/config/provider.ts";
import { sayShared, SHARED_REMEDY } from "../core/reach.ts";
import type { Section } from "./section.ts";

type Settings = Partial<ValueOf<typeof SETTINGS>>;

/** What fixes account and region; `null` = not told by the settings. */
const FIXED_BY: Partial<Record<ProviderType, (given: Settings) => string[] | null>> = {
  aws: ({ region, profile, credentialsFile }) => [
    `region ${region ?? "of the environment"}`,
    profile == null ? "" : `profile ${profile}`,
    credentialsFile == null ? "" : `credentials_file ${credentialsFile}`,
  ],
  gcp: ({ project, credentialsFile }) =>
    project != null
      ? [`project ${project}`]
      : [`project of ${credentialsFile ?? "the default credentials"}`],
  lambda: ({ apiKeyFile, apiKeyEnv }) => [
    apiKeyFile != null ? `key in ${apiKeyFile}` : `key in ${apiKeyEnv ?? ""}`,
  ],
  coreweave: ({ kubeconfig }) => [`cluster of ${kubeconfig ?? "the default kubeconfig"}`],
  kwok: ({ kubeconfig, context }) => [
    `cluster of ${kubeconfig ?? "the default kubeconfig"}`,
    context == null ? "" : `context ${context}`,
  ],
  command: ({ command }) => (command == null ? null : [`program ${command}`]),
  fake: ({ stateDir }) => (stateDir == null ? null : [`state_dir ${stateDir}`]),
};

export type Placed = { config: ProviderConfig; at: Section["at"]; path: string };

export function warnShared(problems: Section["problems"], providers: readonly Placed[]): void {
  const groups = Map.groupBy(providers, ({ config: { type, settings } }) => {
    const given: Settings = settings;
    const parts = FIXED_BY[type]?.(given) ?? null;
    return parts === null ? null : JSON.stringify([type, given.endpoint ?? null, ...parts]);
  });
  for (const [key, group] of groups) {
    const later = group.at(-1);
    if (key === null || later === undefined || group.length < 2) continue;
    const { type, settings } = later.config;
    const where = (FIXED_BY[type]?.(settings) ?? []).filter((part) => part !== "").join(", ");
    const message = sayShared(
      group.map(({ config }) => config.name),
      where,
    );
    problems.warning(later.at, later.path, "shared_account", message, SHARED_REMEDY);
  }
}
