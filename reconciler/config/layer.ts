/** Finds each file's pools in either dialect, and merges later files over earlier ones. */
import { POOL } from "../../schema/config/pool.ts";
import { ROOT } from "../../schema/config/root.ts";
import { POOL_NAME } from "../../schema/id.ts";
import { nearest } from "../../schema/nearest.ts";
import { readAgentPools } from "./agent-pools.ts";
import { canonical, ensureMap } from "./alias.ts";
import { type Place, type Problems, quoteShort } from "./problem.ts";
import { readText } from "./value.ts";
import { type Entry, findEntry, isAbsent, joinPath, type Tree, type TreeMap } from "./tree.ts";

export type Dialect = "list" | "map";
export type PoolTree = { name: string; map: TreeMap; at: Place; dialect: Dialect };
/** One file, spellings canonical, pools taken out of the root. */
export type Layer = { root: TreeMap; pools: PoolTree[] };

export const POOLS_MAX = 1_000;

/** `null` if the top level is not a mapping. */
export function readLayer(problems: Problems, tree: Tree): Layer | null {
  if (tree.kind !== "map") {
    const message = "expected a mapping at the top level";
    const hint = "start with server:, providers: or pools:";
    return problems.error(tree.at, "", "type", message, hint);
  }
  const entry = findEntry(tree, "pools");
  const velda = findEntry(tree, "agent_pools");
  const rest = tree.entries.filter((one) => one !== entry && one !== velda);
  const root: TreeMap = { ...tree, entries: rest };
  canonical(problems, root, ROOT);
  const pools = entry === null ? [] : readPools(problems, entry.value);
  const more = velda === null ? null : readAgentPools(problems, velda);
  if (more !== null) {
    for (const pool of readPools(problems, more.pools)) {
      if (pools.some(({ name }) => name === pool.name)) refuseTwice(problems, pool.at, pool.name);
      else pools.push(pool);
    }
    addProviders(problems, root, more.providers);
  }
  for (const pool of pools) canonical(problems, pool.map, POOL);
  return { root, pools };
}

function refuseTwice(problems: Problems, at: Place, name: string): void {
  const message = `${quoteShort(name)} is defined twice`;
  problems.error(at, "agent_pools", "duplicate_name", message, "rename one of them");
}

function addProviders(problems: Problems, root: TreeMap, providers: readonly Entry[]): void {
  const map = ensureMap(root, "providers");
  for (const provider of providers) {
    const isTaken = map !== null && findEntry(map, provider.key) !== null;
    if (isTaken) refuseTwice(problems, provider.at, provider.key);
    else map?.entries.push(provider);
  }
}

function readPools(problems: Problems, pools: Tree): PoolTree[] {
  if (isAbsent(pools)) return [];
  if (pools.kind === "scalar") {
    const message = "expected a list of pools, or a mapping from names to pools";
    problems.error(pools.at, pools.path, "type", message);
    return [];
  }
  const found = pools.kind === "list" ? readList(problems, pools.items) : readMap(problems, pools);
  refuseLookAlikes(problems, found);
  if (found.length > POOLS_MAX) {
    problems.error(pools.at, pools.path, "limit", `more than ${POOLS_MAX} pools`);
  }
  return found;
}

/** Node names begin with their pool's name, and are compared without regard to case. */
function refuseLookAlikes(problems: Problems, pools: readonly PoolTree[]): void {
  const known = new Map<string, PoolTree>();
  for (const pool of pools) {
    const before = known.get(pool.name.toLowerCase());
    if (before === undefined) known.set(pool.name.toLowerCase(), pool);
    else if (before.name !== pool.name) {
      const names = `${quoteShort(pool.name)} and ${quoteShort(before.name)}`;
      const message = `${names} of line ${before.at.line} differ in case only`;
      problems.error(pool.at, pool.map.path, "duplicate_name", message, "rename one of them");
    }
  }
}

function readList(problems: Problems, items: readonly Tree[]): PoolTree[] {
  const found: PoolTree[] = [];
  for (const item of items) {
    if (item.kind !== "map") {
      problems.error(item.at, item.path, "type", "expected a mapping", "write - name: …");
      continue;
    }
    const entry = findEntry(item, "name");
    if (entry === null || isAbsent(entry.value)) {
      const slip = item.entries.find(({ key }) => nearest(key, ["name"]) !== null);
      if (entry === null && slip !== undefined) {
        const hint = 'did you mean "name"?';
        problems.error(slip.at, slip.path, "unknown_field", "unknown field", hint);
      } else {
        const at = entry?.at ?? item.at;
        problems.error(at, joinPath(item.path, "name"), "required", "required");
      }
      continue;
    }
    const name = readText(problems, entry.value, true);
    const before = found.find((pool) => pool.name === name);
    if (before !== undefined) {
      const message = `${quoteShort(before.name)} already used at line ${before.at.line}`;
      problems.error(entry.value.at, entry.path, "duplicate_name", message);
    } else if (name !== null && checkName(problems, name, entry.value.at, entry.path)) {
      const map = { ...item, entries: item.entries.filter((one) => one !== entry) };
      found.push({ name, map, at: item.at, dialect: "list" });
    }
  }
  return found;
}

function readMap(problems: Problems, pools: TreeMap): PoolTree[] {
  const found: PoolTree[] = [];
  for (const { key: name, path, at, value } of pools.entries) {
    if (!checkName(problems, name, at, path)) continue;
    if (value.kind === "map") {
      const map = { ...value, entries: withoutName(problems, name, value) };
      found.push({ name, map, at, dialect: "map" });
    } else if (isAbsent(value)) {
      found.push({ name, map: { kind: "map", path, at, entries: [] }, at, dialect: "map" });
    } else {
      problems.error(value.at, path, "type", "expected a mapping");
    }
  }
  return found;
}

/** Accepts a `name:` that repeats the key. */
function withoutName(problems: Problems, name: string, pool: TreeMap) {
  const entry = findEntry(pool, "name");
  if (entry === null) return pool.entries;
  if (entry.value.kind !== "scalar" || entry.value.source !== name) {
    const message = `differs from the key ${quoteShort(name)}, which is the pool's name`;
    problems.error(entry.value.at, entry.path, "duplicate_name", message, "remove it");
  }
  return pool.entries.filter((one) => one !== entry);
}

function checkName(problems: Problems, name: string, at: Place, path: string): boolean {
  if (!POOL_NAME.test(name)) {
    const hint = "1 to 63 of A-Z a-z 0-9 . _ - with a letter or digit at both ends";
    problems.error(at, path, "name", `${quoteShort(name)} is not a pool name`, hint);
    return false;
  }
  if (!/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name)) {
    const message = "is not a DNS label, so instance names use a normalised form of it";
    problems.note(at, path, "name_note", message);
  }
  return true;
}

export function mergeLayers(under: Layer, over: Layer): Layer {
  const pools = under.pools.slice();
  for (const pool of over.pools) {
    const index = pools.findIndex((one) => one.name === pool.name);
    const before = pools[index];
    if (before === undefined) pools.push(pool);
    else pools[index] = { ...before, map: mergePool(before.map, pool.map) };
  }
  return { root: mergeMaps(under.root, over.root), pools };
}

/** A later `provider` replaces an earlier `providers`, and the other way round. */
function mergePool(under: TreeMap, over: TreeMap): TreeMap {
  const [one, many] = [findEntry(over, "provider"), findEntry(over, "providers")];
  const isReplaced = (key: string) =>
    (key === "provider" && many !== null && one === null) ||
    (key === "providers" && one !== null && many === null);
  const kept = under.entries.filter(({ key }) => !isReplaced(key));
  return mergeMaps({ ...under, entries: kept }, over);
}

/** Mappings merge key by key, unless their `type` differs; other values are replaced. */
function mergeMaps(under: TreeMap, over: TreeMap): TreeMap {
  const type = (map: TreeMap) => {
    const value = findEntry(map, "type")?.value;
    return value?.kind === "scalar" ? value.value : null;
  };
  const [was, is] = [type(under), type(over)];
  if (was !== null && is !== null && was !== is) return over;
  const entries = under.entries.slice();
  for (const entry of over.entries) {
    const index = entries.findIndex((one) => one.key === entry.key);
    const before = entries[index];
    if (before === undefined) entries.push(entry);
    else if (before.value.kind === "map" && entry.value.kind === "map") {
      entries[index] = { ...before, value: mergeMaps(before.value, entry.value) };
    } else if (!isAbsent(entry.value)) entries[index] = entry;
  }
  return { ...under, entries };
}
