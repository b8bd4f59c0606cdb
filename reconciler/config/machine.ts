/**
 * Reads what a pool, or its entry of a provider, sets over the provider's settings for its own
 * purchases. A key that the provider's type does not have is an error.
 */
import { withArticle } from "../../schema/article.ts";
import type { ProviderConfig, ProviderType } from "../../schema/config.ts";
import { metaOf, nameOf } from "../../schema/config/field.ts";
import { MACHINE } from "../../schema/config/provider.ts";
import type { MachineSettings } from "../../schema/purchase.ts";
import { mergeSettings } from "../core/machine-setting.ts";
import { warnAws } from "./cloud-rule.ts";
import { quoteShort } from "./problem.ts";
import type { Section } from "./section.ts";
import { readField } from "./table.ts";

const KEYS = Object.keys(MACHINE);

/** A pool that names no provider buys nothing. */
export function refuseMachine(pool: Section): void {
  for (const key of KEYS.filter((one) => pool.has(one))) {
    pool.fail(key, "provider", "is for purchases, and the pool names no provider", "remove it");
  }
}

/**
 * The entry's settings over the pool's; `undefined` = none. `entry` is `null` in the short form,
 * where the pool's are the only ones.
 */
export function readMachine(
  pool: Section,
  entry: Section | null,
  name: string,
  type: ProviderType | null,
): MachineSettings | undefined {
  const own = [pool, ...(entry === null ? [] : [entry])].map((section) =>
    readSettings(section, section === pool && entry !== null, name, type),
  );
  const settings = own.reduce<ProviderConfig["settings"]>(mergeSettings, {});
  return Object.keys(settings).length === 0 ? undefined : (settings as MachineSettings);
}

function readSettings(
  section: Section,
  isForAll: boolean,
  name: string,
  type: ProviderType | null,
): MachineSettings {
  const settings: MachineSettings = {};
  for (const [key, field] of Object.entries(MACHINE)) {
    // Of an unknown type every setting is accepted.
    if (!section.has(key)) continue;
    const meta = metaOf(field);
    const { types } = meta;
    if (type !== null && types?.includes(type) !== true) {
      const named = name === type ? "" : `, as ${quoteShort(name)} is`;
      const message = `is not a setting of ${withArticle(type)} provider${named}`;
      const place = `write it in the entry of providers that it is for: ${types?.join(", ")}`;
      const hint = isForAll ? place : `it belongs to ${types?.join(", ")}`;
      section.fail(key, "misplaced", message, hint);
      continue;
    }
    const value = readField(section, key, meta);
    if (value !== null) settings[nameOf(key, field)] = value as string | number | boolean;
  }
  return settings;
}

/** What the settings say that the cloud would refuse each time. */
export function warnMachine(
  sections: readonly Section[],
  type: ProviderType | null,
  settings: ProviderConfig["settings"],
): void {
  if (type !== "aws") return;
  for (const section of sections) {
    warnAws(section, settings, (key) => KEYS.includes(key) && section.has(key));
  }
}
