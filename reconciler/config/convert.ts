/**
 * Prints the normalised configuration in the keys of a file (`config convert`, `config show`), and
 * a policy in the keys of its file (`policy show`). Reading the output gives the same values again.
 */
import { stringify } from "yaml";
import type { Config, NotifierConfig, ProviderConfig, ServerConfig } from "../../schema/config.ts";
import { KUBERNETES } from "../../schema/config/kubernetes.ts";
import { PROVIDER, RATE_LIMIT, SETTINGS } from "../../schema/config/provider.ts";
import { SAFETY } from "../../schema/config/safety.ts";
import { QUEUE } from "../../schema/config/queue.ts";
import { SIMULATION } from "../../schema/config/simulation.ts";
import { SLURM } from "../../schema/config/slurm.ts";
import { MANAGER, SERVER } from "../../schema/config/server.ts";
import { formatDuration } from "../../schema/duration.ts";
import type { Policy, PolicyRule } from "../../schema/policy.ts";
import { convertPool } from "./convert-pool.ts";
import type { Dialect } from "./layer.ts";
import { formatProvisioners } from "./provisioner.ts";
import { type Plain, formatSection } from "./table.ts";

export function convertConfig(config: Config, dialect: Dialect): string {
  const file = configFile(config, dialect);
  return stringify(file, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** As plain values; providers that no file defines are left out. */
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
    slurm: formatSection(SLURM, config.slurm, dialect),
    provisioners: formatProvisioners(config.provisioners),
    queue: formatSection(QUEUE, config.queue, dialect),
    simulation: formatSection(SIMULATION, config.simulation, dialect),
    pools:
      dialect === "map"
        ? Object.fromEntries(pools)
        : pools.map(([name, pool]) => ({ name, ...pool })),
  });
}

/** Leaves out keys that are `null` or `undefined`. */
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

/** A hidden address must still be an address. */
function shownUrl(text: string | null): string | null {
  const isAddress = text === null || text.startsWith("${") || /^https?:\/\//i.test(text);
  return isAddress ? text : "https://redacted.invalid/";
}

function formatProvider({ type, settings, spend }: ProviderConfig, dialect: Dialect): Plain {
  return {
    type,
    ...formatSection({ spend: PROVIDER.spend }, { spend }, dialect),
    ...formatSection(SETTINGS, settings, dialect, {
      rate_limit: formatSection(RATE_LIMIT, settings, dialect),
    }),
  };
}

/** `matches` counts by rule name, where known. The reader accepts `hash` and `matches`, unused. */
export function policyFile(
  policy: Pick<Policy, "version" | "name" | "hash" | "rules"> & { description?: string | null },
  matches: ReadonlyMap<string, number> = new Map(),
): Record<string, unknown> {
  const { version, name, hash } = policy;
  const metadata = prune({ name, description: policy.description || null });
  const rules = policy.rules.map((rule) => prune(ruleOf(rule, matches.get(rule.name))));
  return { version, metadata, hash, rules };
}

function ruleOf(rule: PolicyRule, matches: number | undefined): Plain {
  const { name, description, condition, result, hold, action, repeat, pools } = rule;
  return {
    name,
    description,
    condition,
    result,
    hold: typeof hold === "object" && hold !== null ? formatDuration(hold.forMs) : hold,
    action,
    repeat: repeat && {
      at_least: repeat.atLeast,
      within: formatDuration(repeat.withinMs),
      by: repeat.by,
      result: repeat.result,
    },
    pools,
    shadow: rule.shadow === true ? true : null,
    matches,
  };
}
