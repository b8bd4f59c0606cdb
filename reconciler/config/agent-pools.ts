/**
 * Reads `agent_pools`, velda's form of a pool: each becomes a pool with autoscaler `idle` and a
 * provider of scripts, of the same name. Values move with their place and path, so that the
 * ordinary readers judge them; what has no counterpart is refused, or named as without effect.
 */
import { AGENT_POOL, AGENT_SCALER, AGENT_SCRIPTS } from "../../schema/config/agent-pool.ts";
import { type Key, type Meta, metaOf } from "../../schema/config/field.ts";
import { formatDuration } from "../../schema/duration.ts";
import { nearest } from "../../schema/nearest.ts";
import { REST_LIMITS } from "../core/safety/rest.ts";
import type { Place, Problems } from "./problem.ts";
import { ensureMap } from "./alias.ts";
import { defaultValue } from "./key-list.ts";
import {
  describe,
  type Entry,
  findEntry,
  isAbsent,
  joinPath,
  type Scalar,
  type Tree,
  type TreeMap,
} from "./tree.ts";

/** Where each number of `auto_scaler` goes in a pool. */
const MOVES = new Map(
  Object.entries<Key>(AGENT_SCALER).flatMap(([key, field]): [string, Meta][] => {
    const meta = metaOf(field);
    return meta.kind !== "mapping" && meta.kind !== "own" && meta.to ? [[key, meta]] : [];
  }),
);
/** What velda takes for what is not written, where ours differs. */
const DEFAULTS: readonly (readonly [path: readonly string[], value: string | number])[] = [
  [["instance_type"], "worker"],
  [["scaling", "autoscaler", "type"], "idle"],
  ...[...MOVES.values()].flatMap((meta) => {
    const value = defaultValue(meta) as string | number | undefined;
    return value === undefined ? [] : [[meta.to ?? [], value] as const];
  }),
];
/** Exit statuses of `start`, with what each rests (docs/provider-command.md#scripts). */
const STATUSES = [
  [69, "capacity"],
  [73, "quota"],
  [75, "rate_limit"],
  [77, "auth"],
  [64, "bad_request"],
] as const;

function restOf([status, cls]: (typeof STATUSES)[number]): string {
  const { firstMs, maxMs } = REST_LIMITS[cls];
  const rest = formatDuration(firstMs);
  const most = maxMs === firstMs ? "" : `, doubling up to ${formatDuration(maxMs)}`;
  return `${rest} after exit status ${status}${most}`;
}

/** Accepted without effect, and what holds instead. */
const IDLE: Readonly<Record<string, string>> = {
  initial_delay: "nothing starts or stops before the script list has succeeded once",
  sync_loop_interval:
    "the script list runs each 10 s while a worker starts or stops, otherwise each 30 s",
  scale_up_error_retry_delay: `start is tried again ${STATUSES.map(restOf).join("; ")}`,
  allocation_error_reset_after:
    "a refusal is forgotten once a worker that was started since serves, or after 24 h",
  metadata: "a pool has no description; write a comment in place of it",
};
const SCRIPTS = Object.keys(AGENT_SCRIPTS);

export type VeldaPools = { pools: Tree; providers: Entry[] };

/** `null` if nothing of it can be read. */
export function readAgentPools(problems: Problems, entry: Entry): VeldaPools | null {
  const { value, path } = entry;
  if (isAbsent(value)) return null;
  if (value.kind !== "list") {
    return problems.error(value.at, path, "type", `expected a list, found ${describe(value)}`);
  }
  const providers: Entry[] = [];
  const items = value.items.map((item): Tree => {
    if (item.kind !== "map") return item;
    const provider = readBackend(problems, item);
    if (provider !== null) providers.push(provider);
    return readPool(problems, item);
  });
  return { pools: { ...value, items }, providers };
}

function mapAt(map: TreeMap, key: string): TreeMap | null {
  const value = findEntry(map, key)?.value;
  return value?.kind === "map" ? value : null;
}

function readPool(problems: Problems, item: TreeMap): TreeMap {
  const pool: TreeMap = { ...item, entries: [] };
  const name = findEntry(item, "name");
  if (name !== null) pool.entries.push(name, { ...name, key: "provider" });
  refuseOthers(problems, item, Object.keys(AGENT_POOL));
  const scaler = mapAt(item, "auto_scaler");
  if (scaler === null) {
    const at = findEntry(item, "auto_scaler")?.at ?? item.at;
    const hint = "write it below pools: with adopt: true and scaling, for machines that join";
    const message = "required: a pool without it has no size";
    problems.error(at, joinPath(item.path, "auto_scaler"), "required", message, hint);
    return pool;
  }
  for (const entry of scaler.entries) moveEntry(problems, pool, entry);
  if (findEntry(scaler, "max_agents") === null) {
    problems.error(scaler.at, joinPath(scaler.path, "max_agents"), "required", "required");
    put(pool, ["scaling", "max_nodes"], made(scaler, 1));
  }
  for (const [path, value] of DEFAULTS) put(pool, path, made(scaler, value));
  return pool;
}

function moveEntry(problems: Problems, pool: TreeMap, entry: Entry): void {
  const { key, path, at, value } = entry;
  const to = MOVES.get(key)?.to;
  const instead = IDLE[key];
  if (to !== undefined) {
    if (!isAbsent(value)) put(pool, to, entry);
  } else if (instead !== undefined) {
    problems.warning(at, path, "no_effect", `has no effect: ${instead}`);
  } else if (key === "kill_unknown_after") {
    if (isZero(value)) return;
    const message = "is not supported: a worker that no start returned may be another fleet's";
    problems.error(at, path, "unsupported", message, "remove it, and stop such workers yourself");
  } else if (key === "mode") {
    if (value.kind === "scalar" && value.source === "MODE_STANDARD") return;
    const message = "is not supported: workers are started one by one";
    problems.error(at, path, "unsupported", message, "remove it, or write MODE_STANDARD");
  } else if (key !== "backend") unknown(problems, entry, [...MOVES.keys(), ...Object.keys(IDLE)]);
}

const isZero = (value: Tree): boolean =>
  value.kind === "scalar" && /^(|null|~|0+(ms|s|m|h)?)$/.test(value.source);

/** The scripts, as a provider that is named after the pool. */
function readBackend(problems: Problems, item: TreeMap): Entry | null {
  const scaler = mapAt(item, "auto_scaler");
  const name = findEntry(item, "name")?.value;
  if (scaler === null || name?.kind !== "scalar" || typeof name.value !== "string") return null;
  const backend = findEntry(scaler, "backend");
  const path = backend?.path ?? joinPath(scaler.path, "backend");
  const at = backend?.at ?? scaler.at;
  if (backend?.value.kind !== "map") {
    const hint = "write backend: {command: {start: …, stop: …, list: …}}";
    return problems.error(at, path, "required", "required: what starts the workers", hint);
  }
  for (const other of backend.value.entries.filter(({ key }) => key !== "command")) {
    const advice = adviceOn(other.key);
    const message = "no backend of this kind in this form";
    problems.error(other.at, other.path, "unsupported", message, advice);
  }
  const command = mapAt(backend.value, "command");
  if (command === null) {
    if (backend.value.entries.length > 0) return null;
    return problems.error(at, path, "required", "required: what starts the workers");
  }
  refuseOthers(problems, command, SCRIPTS);
  const entries = command.entries.filter(({ key, value }) => {
    // velda takes an empty script for none.
    return SCRIPTS.includes(key) && !(value.kind === "scalar" && value.value === "");
  });
  const map: TreeMap = { ...command, entries };
  put(map, ["type"], made(command, "command"));
  put(map, ["protocol"], made(command, "shell"));
  return { key: name.value, path: command.path, at: command.at, value: map };
}

function adviceOn(key: string): string {
  if (key.startsWith("kubernetes")) return "apply an AgentPool and set provisioners";
  if (key.startsWith("aws")) return "write a provider of type aws and a pool below pools:";
  if (key.startsWith("gce")) return "write a provider of type gcp and a pool below pools:";
  return "write command: {start: …, stop: …, list: …}";
}

function refuseOthers(problems: Problems, map: TreeMap, allowed: readonly string[]): void {
  for (const entry of map.entries) {
    if (!allowed.includes(entry.key)) unknown(problems, entry, allowed);
  }
}

function unknown(problems: Problems, { key, at, path }: Entry, allowed: readonly string[]): void {
  const close = nearest(key, [...allowed]);
  const hint = close === null ? `allowed: ${allowed.join(", ")}` : `did you mean "${close}"?`;
  problems.error(at, path, "unknown_field", "unknown field", hint);
}

/** Sets a value below `map` unless there is one. */
function put(map: TreeMap, path: readonly string[], entry: Entry): void {
  const key = path.at(-1) ?? "";
  const target = path.slice(0, -1).reduce<TreeMap | null>(ensureMap, map);
  if (target !== null && findEntry(target, key) === null) target.entries.push({ ...entry, key });
}

/** A value that is not written; problems with it are shown where it would stand. */
function made({ path, at }: TreeMap, value: string | number): Entry {
  const inside = (): Place => at;
  const scalar: Scalar = {
    ...{ kind: "scalar", path, at, value, plain: false, source: String(value), inside },
  };
  return { key: "", path, at, value: scalar };
}
