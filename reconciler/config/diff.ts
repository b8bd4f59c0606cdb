/**
 * Compares two configurations in the keys of a file: which are added, removed or changed, and which
 * take a restart. Secrets count as changed and are never shown. Pure.
 */
import type { Config } from "../../schema/config.ts";
import { configFile } from "./convert.ts";
import { takesRestart } from "./restart.ts";
import { formatConfig } from "./secret.ts";

export type KeyChange = {
  /** `pools.NAME.scaling.max_nodes`: pools and providers by their names. */
  key: string;
  /** As in the file, secrets hidden; `null` = not set. */
  before: string | null;
  after: string | null;
  restart: boolean;
};

/** In the order of the keys; a pool or provider on one side only is one change. */
export function diffConfigs(before: Config, after: Config): KeyChange[] {
  const [was, is] = [leavesOf(before), leavesOf(after)];
  const [wasShown, isShown] = [leavesOf(hidden(before)), leavesOf(hidden(after))];
  const [wasNamed, isNamed] = [namedIn(before), namedIn(after)];
  const changes = new Map<string, KeyChange>();
  for (const key of new Set([...was.keys(), ...is.keys()])) {
    if (was.get(key) === is.get(key)) continue;
    const [root = "", name = ""] = key.split(SEPARATOR);
    const whole = `${root}${SEPARATOR}${name}`;
    const isOne = isSection(root) && wasNamed.has(whole) !== isNamed.has(whole);
    const shown = isOne
      ? { before: wasNamed.get(whole) ?? null, after: isNamed.get(whole) ?? null }
      : { before: wasShown.get(key) ?? null, after: isShown.get(key) ?? null };
    const path = (isOne ? whole : key).replaceAll(SEPARATOR, ".");
    changes.set(path, { key: path, ...shown, restart: takesRestart(path) });
  }
  return [...changes.values()];
}

/** Names may hold dots. */
const SEPARATOR = "\0";

const isSection = (root: string): boolean => root === "pools" || root === "providers";

/** Pools and providers of the file, each in a few words. */
function namedIn({ pools, providers }: Config): Map<string, string> {
  const defined = providers.filter(({ implied }) => !implied);
  return new Map([
    ...defined.map(({ name, type }) => [`providers${SEPARATOR}${name}`, type] as const),
    ...pools.map(({ name, instanceType, scaling: { minNodes, maxNodes }, ...pool }) => {
      const at = pool.providers.map((ref) => ref.name).join(", ") || "existing machines";
      const words = [instanceType, `at ${at},`, `${minNodes} to ${maxNodes} nodes`];
      return [`pools${SEPARATOR}${name}`, words.join(" ").trim()] as const;
    }),
  ]);
}

function hidden(config: Config): Config {
  return JSON.parse(formatConfig(config)) as Config;
}

/** Every value of the file by its key; a list of mappings with names is keyed by them. */
function leavesOf(config: Config): Map<string, string> {
  const leaves = new Map<string, string>();
  const walk = (value: unknown, key: string): void => {
    if (isNamedList(value)) {
      for (const { name, ...rest } of value) walk(rest, `${key}${SEPARATOR}${name}`);
    } else if (value !== null && typeof value === "object" && !Array.isArray(value)) {
      for (const [name, one] of Object.entries(value)) {
        walk(one, key === "" ? name : `${key}${SEPARATOR}${name}`);
      }
    } else if (!isSection(key)) leaves.set(key, formatLeaf(value));
  };
  walk(configFile(config, "list"), "");
  return leaves;
}

function formatLeaf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function isNamedList(value: unknown): value is { name: string }[] {
  const isNamed = (one: unknown): boolean =>
    one !== null && typeof one === "object" && typeof Reflect.get(one, "name") === "string";
  return Array.isArray(value) && value.length > 0 && value.every(isNamed);
}
