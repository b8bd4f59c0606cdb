/**
 * `providers`: which settings each type takes, and the providers that exist only because a pool
 * names a known type. Settings are handed on in one flat record, camel case, durations in
 * milliseconds with `Ms` at the end.
 */
import type { ProviderConfig } from "../../schema/config.ts";
import type { Field, Own, Table } from "../../schema/config/field.ts";
import {
  PROVIDER_TYPES,
  type ProviderType,
  RATE_LIMIT,
  SETTINGS,
} from "../../schema/config/provider.ts";
import { SPEND } from "../../schema/config/safety.ts";
import { POOL_NAME, PoolName } from "../../schema/id.ts";
import { parse } from "valibot";
import { whyNoAdapter } from "../core/adapter.ts";
import type { Place } from "./problem.ts";
import { readSection, type Section } from "./section.ts";
import { fillTable, readMapping, readPart } from "./table.ts";

type Settings = ProviderConfig["settings"];

/** Keys of the settings that a type has. */
const keysOf = (type: ProviderType): string[] =>
  Object.entries<Field | Own>(SETTINGS).flatMap(([key, { types }]) =>
    types === undefined || types.includes(type) ? [key] : [],
  );

/** Every setting of the type that is written or has a default. */
function readSettings(section: Section, type: ProviderType): Settings {
  const table: Table = Object.fromEntries(
    keysOf(type).map((key) => [key, SETTINGS[key as keyof typeof SETTINGS]]),
  );
  const values = Object.entries(fillTable(table, readPart(section, table)));
  const settings = Object.fromEntries(values.filter(([, value]) => value !== null)) as Settings;
  return Object.hasOwn(table, "rate_limit") ? { ...settings, ...readLimit(section) } : settings;
}

/** A plain number is requests each second. */
function readLimit(section: Section): Settings {
  const entry = section.look("rate_limit");
  if (entry === null) return {};
  const isPlain = entry.value.kind === "scalar";
  const { min } = RATE_LIMIT.requests_per_second;
  const part = isPlain
    ? { requestsPerSecond: section.number("rate_limit", { min }) }
    : readMapping(section.map("rate_limit"), RATE_LIMIT);
  return Object.fromEntries(Object.entries(part).filter(([, value]) => value !== null)) as Settings;
}

/** What a name in `providers` stands for; `type` is `null` if that was reported as unclear. */
export type KnownProvider = {
  name: string;
  type: ProviderType | null;
  config: ProviderConfig | null;
};

export function typeOfName(name: string): ProviderType | null {
  return PROVIDER_TYPES.find((type) => type === name) ?? null;
}

/** Every entry of `providers`, in the order written. */
export function readProviders(root: Section): KnownProvider[] {
  const known: KnownProvider[] = [];
  for (const provider of root.map("providers").entries()) {
    if (!POOL_NAME.test(provider.key)) {
      const hint = "1 to 63 of A-Z a-z 0-9 . _ - with a letter or digit at both ends";
      root.problems.error(provider.at, provider.path, "name", "not a provider name", hint);
      continue;
    }
    const section = readSection(root.problems, provider.value, provider.path, provider.at);
    known.push(readProvider(provider.key, section));
  }
  return known;
}

function readProvider(name: string, section: Section): KnownProvider {
  const type = readType(name, section);
  if (type === null) {
    // Which settings belong is not known, but one that belongs to no type is wrong in any case.
    for (const key of [...Object.keys(SETTINGS), "spend"]) section.look(key);
    section.finish();
    return { name, type: null, config: null };
  }
  warnAdapter(section, section.look("type")?.value.at ?? section.at, section.path, type);
  const settings = readSettings(section, type);
  const spend = fillTable(SPEND, readMapping(section.map("spend"), SPEND));
  section.finish((key) => {
    const others = PROVIDER_TYPES.filter((other) => keysOf(other).includes(key));
    if (others.length === 0) return null;
    const message = `is not a setting of a ${type} provider`;
    return { message, hint: `it belongs to ${others.join(", ")}` };
  });
  return {
    name,
    type,
    config: { name: parse(PoolName, name), type, implied: false, spend, settings },
  };
}

/** The type loads, because the guides use it; nothing may buy nothing without a word. */
export function warnAdapter(
  { problems }: Section,
  at: Place,
  path: string,
  type: ProviderType,
): void {
  const why = whyNoAdapter(type);
  if (why === null) return;
  const others = PROVIDER_TYPES.filter((other) => whyNoAdapter(other) === null);
  const hint = `types with an adapter: ${others.join(", ")}`;
  problems.warning(at, path, "no_adapter", `nothing can be bought here: ${why}`, hint);
}

function readType(name: string, section: Section): ProviderType | null {
  const given = section.choice("type", PROVIDER_TYPES);
  if (given !== null || section.has("type")) return given;
  const type = typeOfName(name);
  if (type !== null) return type;
  const message = "required unless the provider is named after its type";
  section.fail("type", "required", message, PROVIDER_TYPES.join(", "));
  return null;
}

/** A provider that no entry defines, with every setting at its default. */
export function impliedProvider(section: Section, type: ProviderType): ProviderConfig {
  const empty = readSection(section.problems, null, `providers.${type}`, section.at);
  const settings = readSettings(empty, type);
  return { name: parse(PoolName, type), type, implied: true, spend: fillTable(SPEND), settings };
}
