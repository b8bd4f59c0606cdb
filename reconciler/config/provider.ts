/**
 * Reads `providers`, and adds a provider with default settings for a known type that a pool names
 * but no entry defines. Settings are one flat record: camel case, durations as `…Ms`.
 */
import { withArticle } from "../../schema/article.ts";
import type { ProviderConfig } from "../../schema/config.ts";
import { fillTable, metaOf } from "../../schema/config/field.ts";
import {
  isOwnedType,
  PROVIDER_TYPES,
  type ProviderType,
  RATE_LIMIT,
  SETTINGS,
  settingsOf,
} from "../../schema/config/provider.ts";
import { SPEND } from "../../schema/config/safety.ts";
import { POOL_NAME, PoolName } from "../../schema/id.ts";
import { LIMIT } from "../../schema/limit.ts";
import * as v from "valibot";
import { whyNoAdapter } from "../core/adapter.ts";
import { placeOfHost } from "../core/inventory.ts";
import { warnAws } from "./cloud-rule.ts";
import { parseHost } from "./inventory.ts";
import { type Place, quoteShort } from "./problem.ts";
import type { Placed } from "./shared-account.ts";
import { readSection, type Section } from "./section.ts";
import { readMapping, readPart } from "./table.ts";
import type { Entry } from "./tree.ts";

type Settings = ProviderConfig["settings"];

/** The settings of the type that are written or have a default. */
function readSettings(section: Section, type: ProviderType): Settings {
  const table = settingsOf(type);
  const values = Object.entries(fillTable(table, readPart(section, table)));
  const settings = Object.fromEntries(values.filter(([, value]) => value !== null)) as Settings;
  return Object.hasOwn(table, "rate_limit") ? { ...settings, ...readLimit(section) } : settings;
}

/** A plain number means requests per second. */
function readLimit(section: Section): Settings {
  const entry = section.look("rate_limit");
  if (entry === null) return {};
  const isPlain = entry.value.kind === "scalar";
  const { min } = metaOf(RATE_LIMIT.requests_per_second);
  const part = isPlain
    ? { requestsPerSecond: section.number("rate_limit", { min }) }
    : readMapping(section.map("rate_limit"), RATE_LIMIT);
  return Object.fromEntries(Object.entries(part).filter(([, value]) => value !== null)) as Settings;
}

/** The provider that a name refers to; `null` where its definition is wrong. */
export type Resolved = { type: ProviderType | null; config: ProviderConfig | null };

/** The providers that pools may name. */
export type Directory = {
  /** Resolves the `name` that `entry` of `section` holds; `null` if it is not defined. */
  resolve(section: Section, entry: Entry, name: string): Resolved | null;
  defined(): string[];
  all(): ProviderConfig[];
  /** The same, with where each is written or first named. */
  placed(): Placed[];
};

const typeOfName = (name: string): ProviderType | null =>
  PROVIDER_TYPES.find((type) => type === name) ?? null;

/** Reads every entry of `providers`, in the order written. */
export function readProviders(root: Section): Directory {
  const known = new Map<string, Resolved>();
  const places = new Map<string, Pick<Placed, "at" | "path">>();
  for (const provider of root.map("providers").entries()) {
    if (!POOL_NAME.test(provider.key)) {
      const hint = "1 to 63 of A-Z a-z 0-9 . _ - with a letter or digit at both ends";
      root.problems.error(provider.at, provider.path, "name", "not a provider name", hint);
      continue;
    }
    const section = readSection(root.problems, provider.value, provider.path, provider.at);
    known.set(provider.key, readProvider(provider.key, section));
    places.set(provider.key, { at: provider.at, path: provider.path });
  }
  return {
    resolve(section, entry, name) {
      const found = known.get(name);
      const type = typeOfName(name);
      if (found !== undefined || type === null) return found ?? null;
      const config = impliedProvider(section, type);
      known.set(name, { type, config });
      places.set(name, { at: entry.value.at, path: entry.path });
      const message = `provider ${name} is not defined, so it has its default settings`;
      section.problems.note(entry.value.at, entry.path, "implied_provider", message);
      warnAdapter(section, entry.value.at, entry.path, type);
      return { type, config };
    },
    defined: () => [...known.keys()],
    all: () => [...known.values()].flatMap(({ config }) => config ?? []),
    placed: () =>
      [...known].flatMap(([name, { config }]) => {
        const place = places.get(name);
        return config === null || place === undefined ? [] : { config, ...place };
      }),
  };
}

function readProvider(name: string, section: Section): Resolved {
  const type = readType(name, section);
  if (type === null) {
    // The type is unknown, so the settings of every type are accepted; other keys are errors.
    for (const key of [...Object.keys(SETTINGS), "spend"]) section.look(key);
    section.finish();
    return { type: null, config: null };
  }
  warnAdapter(section, section.look("type")?.value.at ?? section.at, section.path, type);
  const settings = readSettings(section, type);
  if (isOwnedType(type)) checkHosts(section);
  if (type === "command") checkCommand(section);
  if (type === "aws") warnAws(section, settings);
  checkPrices(section);
  checkTypes(section);
  const spend = fillTable(SPEND, readMapping(section.map("spend"), SPEND));
  section.finish((key) => {
    const others = PROVIDER_TYPES.filter((other) => Object.hasOwn(settingsOf(other), key));
    if (others.length === 0) return null;
    const message = `is not a setting of ${withArticle(type)} provider`;
    return { message, hint: `it belongs to ${others.join(", ")}` };
  });
  return { type, config: { name: v.parse(PoolName, name), type, implied: false, spend, settings } };
}

/** Warns about a type without an adapter; it is accepted, because guides use such types. */
function warnAdapter({ problems }: Section, at: Place, path: string, type: ProviderType): void {
  const why = whyNoAdapter(type);
  if (why === null) return;
  const others = PROVIDER_TYPES.filter((other) => whyNoAdapter(other) === null);
  const hint = `types with an adapter: ${others.join(", ")}`;
  problems.warning(at, path, "no_adapter", `nothing can be bought here: ${why}`, hint);
}

const HOSTS_HINT = "write inventory: FILE, or hosts: [10.0.0.7, 10.0.0.8]";

/** Owned machines come from one list, and each of them once. */
function checkHosts(section: Section): void {
  if (section.has("hosts") && section.has("inventory")) {
    section.fail("hosts", "conflict", "hosts and inventory exclude each other", "remove one");
  } else if (!section.has("hosts") && !section.has("inventory")) {
    section.missing("hosts", HOSTS_HINT);
  }
  const seen = new Set<string>();
  const texts = section.texts("hosts");
  if (texts?.length === 0) section.fail("hosts", "required", "names no host", HOSTS_HINT);
  for (const text of texts ?? []) {
    const host = parseHost(text);
    if (typeof host === "string") {
      section.fail("hosts", "host", host);
      continue;
    }
    const place = placeOfHost(host);
    if (seen.has(place)) section.fail("hosts", "duplicate_name", `${host.address} is listed twice`);
    seen.add(place);
  }
}

const SCRIPTS = ["start", "stop", "list"] as const;

/** A program that speaks JSON, or scripts: each has keys that mean nothing to the other. */
function checkCommand(section: Section): void {
  const isShell = section.choice("protocol", ["json", "shell"]) === "shell";
  const needed = isShell ? SCRIPTS : ["command"];
  // `reboot: false` is what a file that was printed has.
  const reboot = section.flag("reboot") === true ? ["reboot"] : [];
  const foreign = isShell ? ["command", ...reboot] : [...SCRIPTS, "batch_start", "name_prefix"];
  const lacks = (key: string) => !section.has(key) || (isShell && isEmpty(section, key));
  for (const key of needed.filter(lacks)) {
    const example = "write for example /etc/navarch/provider";
    section.missing(key, isShell ? `write ${key}: SCRIPT` : example);
  }
  const other = isShell ? "remove it, or protocol: shell" : "add protocol: shell, or remove it";
  for (const key of foreign.filter((one) => section.has(one))) {
    const message = `has no meaning with protocol: ${isShell ? "shell" : "json"}`;
    section.fail(key, "conflict", message, other);
  }
  if (!isShell || section.text("class") !== "token") return;
  section.fail("class", "conflict", "scripts cannot tell a client token", "write name or tag-only");
}

function isEmpty(section: Section, key: string): boolean {
  const value = section.look(key)?.value;
  return value?.kind === "scalar" && typeof value.value === "string" && value.value.trim() === "";
}

/** At a provider, a pool, and an entry of its providers. */
export function checkPrices(section: Section): void {
  const odd = section.texts("prices")?.find((text) => !/^[^=\s,]+=\d+(\.\d+)?$/.test(text));
  if (odd === undefined) return;
  const message = `expected TYPE=DOLLARS an hour, found ${quoteShort(odd)}`;
  section.fail("prices", "price", message, "write for example p5.48xlarge=55.04");
}

function checkTypes(section: Section): void {
  const { gpusPerNodeMax } = LIMIT;
  const isGood = (text: string): boolean => {
    const gpus = Number(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}=(\d{1,3})$/.exec(text)?.[1] ?? "0");
    return gpus >= 1 && gpus <= gpusPerNodeMax;
  };
  const odd = section.texts("types")?.find((text) => !isGood(text));
  if (odd === undefined) return;
  const message = `expected NAME=GPUS, from 1 to ${gpusPerNodeMax}, found ${JSON.stringify(odd)}`;
  section.fail("types", "type", message, "write for example gd-8xh100ib-i128=8");
}

function readType(name: string, section: Section): ProviderType | null {
  const given = section.choice("type", PROVIDER_TYPES);
  if (given !== null || section.has("type")) return given;
  const type = typeOfName(name);
  if (type !== null) return type;
  const message = "required unless the provider is named after its type";
  return section.fail("type", "required", message, PROVIDER_TYPES.join(", "));
}

/** A provider that no entry defines, with its default settings. */
function impliedProvider(section: Section, type: ProviderType): ProviderConfig {
  const empty = readSection(section.problems, null, `providers.${type}`, section.at);
  const settings = readSettings(empty, type);
  if (isOwnedType(type)) checkHosts(empty);
  if (type === "command") checkCommand(empty);
  return { name: v.parse(PoolName, type), type, implied: true, spend: fillTable(SPEND), settings };
}
