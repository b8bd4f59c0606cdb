/**
 * The normalised configuration as YAML in either dialect, for `config convert`. Reading what is
 * printed gives the same configuration again; providers that were only implied stay so.
 */
import { stringify } from "yaml";
import type {
  Config,
  NotifierConfig,
  ProviderConfig,
  ServerConfig,
} from "../../schema/config.ts";
import { KUBERNETES } from "../../schema/config/kubernetes.ts";
import { PROVIDER, RATE_LIMIT, SETTINGS } from "../../schema/config/provider.ts";
import { SAFETY } from "../../schema/config/safety.ts";
import { MANAGER, SERVER } from "../../schema/config/server.ts";
import { convertPool } from "./convert-pool.ts";
import type { Dialect } from "./layer.ts";
import { type Plain, formatSection } from "./table.ts";

/** YAML text that reads back to `config`. */
export function convertConfig(config: Config, dialect: Dialect): string {
  const file = configFile(config, dialect);
  return stringify(file, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** The same as plain values, in the keys of a file. */
export function configFile(config: Config, dialect: Dialect): unknown {
  const { server } = config;
  const types = new Map(config.providers.map((one) => [one.name, one.type]));
  const pools = config.pools.map((pool) => [pool.name, convertPool(pool, types, dialect)] as const);
  const defined = config.providers.filter((one) => !one.implied);
  return prune({
    server: formatServer(server, dialect),
    instance_manager: formatSection(MANAGER, server, dialect),
    providers: Object.fromEntries(defined.map((one) => [one.name, formatProvider(one, dialect)])),
    safety: formatSection(SAFETY, config.safety, dialect),
    kubernetes: formatSection(KUBERNETES, config.kubernetes, dialect),
    pools:
      dialect === "map"
        ? Object.fromEntries(pools)
        : pools.map(([name, pool]) => ({ name, ...pool })),
  });
}

/** Leaves out what is `null` or `undefined`: a key without a value says nothing. */
function prune(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(prune);
  if (value === null || typeof value !== "object") return value;
  const kept = Object.entries(value).filter(([, one]) => one !== null && one !== undefined);
  return Object.fromEntries(kept.map(([key, one]) => [key, prune(one)]));
}

function formatServer(server: ServerConfig, dialect: Dialect): Plain {
  const host = server.host.includes(":") ? `[${server.host}]` : server.host;
  const notifier = { type: server.notifier.type, webhook: shownHook(server.notifier) };
  const owns = { address: `${host}:${server.port}` };
  return formatSection(SERVER, { ...server, notifier }, dialect, owns);
}

function shownHook(notifier: NotifierConfig): object | null {
  if (notifier.type === "noop") return null;
  const urls = Object.entries(notifier).filter(([name]) => name.endsWith("Url"));
  const shown = urls.map(([name, url]) => [name, shownUrl(url === null ? null : String(url))]);
  return { ...notifier, ...Object.fromEntries(shown) };
}

/** A web hook whose whole address is its secret is hidden whole, and must still be an address. */
function shownUrl(text: string | null): string | null {
  const isAddress = text === null || text.startsWith("${") || /^https?:\/\//i.test(text);
  return isAddress ? text : "https://redacted.invalid/";
}

function formatProvider({ type, settings, spend }: ProviderConfig, dialect: Dialect): Plain {
  const { hosts } = settings;
  return {
    type,
    ...formatSection({ spend: PROVIDER.spend }, { spend }, dialect),
    ...formatSection(SETTINGS, settings, dialect, {
      rate_limit: formatSection(RATE_LIMIT, settings, dialect),
    }),
    hosts: typeof hosts === "string" ? hosts.split(",").filter((host) => host !== "") : null,
  };
}
