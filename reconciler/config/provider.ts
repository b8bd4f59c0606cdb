/**
 * `providers`: which settings each type takes, and the providers that exist only because a pool
 * names a known type. Settings are handed on in one flat record, camel case, durations in
 * milliseconds with `Ms` at the end.
 */
import { PROVIDER_TYPES, type ProviderConfig, type ProviderType } from "../../schema/config.ts";
import { POOL_NAME, PoolName } from "../../schema/id.ts";
import { parse } from "valibot";
import { whyNoAdapter } from "../core/adapter.ts";
import { parseHttpUrl } from "./address.ts";
import { readEnvName } from "./notifier.ts";
import type { Place } from "./problem.ts";
import { readSpend } from "./safety.ts";
import { readSection, type Section } from "./section.ts";

type Settings = ProviderConfig["settings"];
type Reader = (section: Section, key: string) => Settings;

const text =
  (name: string): Reader =>
  (section, key) =>
    one(name, section.text(key));
const delay =
  (name: string): Reader =>
  (section, key) =>
    one(name, section.duration(key));
const whole =
  (name: string, fallback: number | null = null): Reader =>
  (section, key) =>
    one(name, section.integer(key, { min: 1 }) ?? fallback);

function one(name: string, value: string | number | boolean | null): Settings {
  return value === null ? {} : { [name]: value };
}

const endpoint: Reader = (section, key) => {
  const given = section.text(key);
  const answer = given === null ? null : parseHttpUrl(given);
  if (answer?.ok === false) section.fail(key, "url", answer.message, answer.hint);
  return one("endpoint", answer?.ok === true ? answer.value : null);
};

const apiKeyEnv: Reader = (section, key) => {
  return one("apiKeyEnv", readEnvName(section, key) ?? "LAMBDA_API_KEY");
};

/** A plain number is requests each second. Lambda's own limits are the defaults for lambda. */
const rateLimit =
  (requests: number | null, launchMs: number | null): Reader =>
  (section, key) => {
    const entry = section.look(key);
    if (entry !== null && entry.value.kind === "scalar") {
      const rate = section.number(key, { min: 0.001 }) ?? requests;
      return { ...one("requestsPerSecond", rate), ...one("launchIntervalMs", launchMs) };
    }
    const limit = section.map(key);
    const rate = limit.number("requests_per_second", { min: 0.001 }) ?? requests;
    const gap = limit.duration("launch_interval") ?? launchMs;
    limit.finish();
    return { ...one("requestsPerSecond", rate), ...one("launchIntervalMs", gap) };
  };

const faultClass: Reader = (section, key) => {
  return one("class", section.choice(key, ["token", "name", "tag-only"]));
};

/** The flat record has no lists: hosts travel joined by commas, which no host contains. */
const hosts: Reader = (section, key) => {
  const given = section.texts(key);
  if (given?.some((host) => /[\s,]/.test(host)) === true) {
    section.fail(key, "host", "a host must not contain spaces or commas");
  }
  return one("hosts", given === null ? null : given.join(","));
};

const COMMON: Record<string, Reader> = { endpoint, rate_limit: rateLimit(null, null) };
const MACHINE: Record<string, Reader> = {
  credentials_file: text("credentialsFile"),
  image: text("image"),
  network: text("network"),
  subnet: text("subnet"),
  disk_gb: whole("diskGb"),
  service_account: text("serviceAccount"),
};

/** Settings of each type beside `type`. */
const SETTINGS: Record<ProviderType, Record<string, Reader>> = {
  lambda: {
    api_key_env: apiKeyEnv,
    api_key_file: text("apiKeyFile"),
    endpoint,
    rate_limit: rateLimit(1, 12_000),
  },
  gcp: { project: text("project"), zone: text("zone"), ...MACHINE, ...COMMON },
  aws: { region: text("region"), ...MACHINE, ...COMMON },
  coreweave: { kubeconfig: text("kubeconfig"), namespace: text("namespace"), ...COMMON },
  fake: {
    gpu_count: whole("gpuCount", 8),
    gpu_type: text("gpuType"),
    class: faultClass,
    boot_delay: delay("bootDelayMs"),
    create_delay: delay("createDelayMs"),
    terminate_delay: delay("terminateDelayMs"),
    settle: delay("settleMs"),
    list_lag: delay("listLagMs"),
    retention: delay("retentionMs"),
    agent_restart: delay("agentRestartMs"),
    price_per_hour: (section, key) => one("pricePerHour", section.number(key, { min: 0 })),
    state_dir: text("stateDir"),
    agent_path: text("agentPath"),
    faults: text("faults"),
    ...COMMON,
  },
  docker: { image: text("image"), network: text("network"), ...COMMON },
  static: { hosts, ...COMMON },
  machine: {
    state_dir: text("stateDir"),
    image: text("image"),
    network: text("network"),
    disk: text("disk"),
    boot_delay: delay("bootDelayMs"),
    gpu_count: whole("gpuCount", 8),
    tell_host_keys: (section, key) => one("tellHostKeys", section.flag(key)),
  },
};

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
  const entry = root.look("providers");
  const all = root.map("providers");
  const known: KnownProvider[] = [];
  for (const provider of entry?.value.kind === "map" ? entry.value.entries : []) {
    all.look(provider.key);
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
    for (const key of Object.values(SETTINGS).flatMap(Object.keys)) section.look(key);
    section.look("spend");
    section.finish();
    return { name, type: null, config: null };
  }
  warnAdapter(section, section.look("type")?.value.at ?? section.at, section.path, type);
  const readers = SETTINGS[type];
  const settings: Settings = {};
  for (const [key, read] of Object.entries(readers)) Object.assign(settings, read(section, key));
  const spend = readSpend(section.map("spend"));
  section.finish((key) => {
    const others = PROVIDER_TYPES.filter((other) => Object.hasOwn(SETTINGS[other], key));
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
  const settings: Settings = {};
  for (const [key, read] of Object.entries(SETTINGS[type])) {
    Object.assign(settings, read(empty, key));
  }
  const spend = { perHourMax: null, instancesMax: null };
  return { name: parse(PoolName, type), type, implied: true, spend, settings };
}
