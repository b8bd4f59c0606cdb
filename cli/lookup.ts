/**
 * Looks up nodes and pools before a command acts: suggests the nearest name for an unknown one, and
 * warns about a node with an old heartbeat.
 */
import type { NodeView, PoolView } from "../schema/api.ts";
import { formatAge } from "./age.ts";
import type { Answer, Client } from "./client.ts";
import type { Failure } from "./failure.ts";
import { readSince } from "./flag.ts";
import { nearest } from "../schema/nearest.ts";
import type { World } from "./world.ts";
import { parseInstant } from "../schema/instant.ts";

/** Four times the default heartbeat interval. */
const STALE_MS = 120_000;

export function nodePath(id: string): string {
  return `/nodes/${encodeURIComponent(id)}`;
}

export function poolPath(name: string): string {
  return `/pools/${encodeURIComponent(name)}`;
}

/** Reads `--since` of the flag `name`; a duration counts back from the server's clock. */
export async function getSince(
  client: Client,
  name: string,
  text: string,
): Promise<{ ok: true; at: string; nowMs: number } | Failure> {
  const since = readSince(name, text);
  if (!since.ok) return since;
  const now = await client.get("/version", ["version"]);
  if (!now.ok) return now;
  const { nowMs } = now;
  return { ok: true, at: new Date(since.atMs(nowMs)).toISOString(), nowMs };
}

export async function getNode(client: Client, id: string): Promise<Answer<NodeView> | Failure> {
  const answer = await client.get<NodeView>(nodePath(id), ["node_id"]);
  return answer.ok || answer.code !== "not_found" ? answer : suggestNode(client, id, answer);
}

/** Adds the nearest node id to a not-found failure. */
export async function suggestNode(client: Client, id: string, why: Failure): Promise<Failure> {
  if (hasHint(why)) return why;
  const query = { limit: "1000" };
  const all = await client.get<{ nodes: NodeView[] }>("/nodes", ["nodes"], query);
  if (!all.ok) return why;
  return suggest(
    id,
    why,
    all.value.nodes.map((node) => node.node_id),
  );
}

/** Adds the nearest pool to a not-found failure. */
export async function suggestPool(client: Client, name: string, why: Failure): Promise<Failure> {
  if (why.code !== "not_found" || hasHint(why)) return why;
  const all = await client.get<{ pools: PoolView[] }>("/pools", ["pools"]);
  if (!all.ok) return why;
  return suggest(
    name,
    why,
    all.value.pools.map((pool) => pool.name),
  );
}

export function suggest(given: string, why: Failure, names: readonly string[]): Failure {
  const close = nearest(given, names);
  if (close === null || hasHint(why)) return why;
  const details = { ...why.details, near: close };
  return { ...why, message: `${why.message}: did you mean "${close}"?`, details };
}

/** True if the server already named the nearest one. */
function hasHint(why: Failure): boolean {
  return "near" in why.details;
}

/** Warns that the node may not respond; the command continues. */
export function warnStale(world: World, node: NodeView, nowMs: number): void {
  const { node_id: id, last_heartbeat: at } = node;
  if (at === null || at === undefined) {
    world.err(`warning: node ${id} has never sent a heartbeat\n`);
  } else if (nowMs - parseInstant(at) > STALE_MS) {
    world.err(`warning: the last heartbeat of node ${id} was ${formatAge(at, nowMs)}\n`);
  }
}
