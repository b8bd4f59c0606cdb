/**
 * Detects filters that match nothing that exists. An empty list for a misspelt pool, region or
 * label would read as good news, so an empty list fails with the nearest existing name.
 */
import type { InstanceView, NodeView, PoolView } from "../schema/api.ts";
import type { Client } from "./client.ts";
import { EXIT, failure, type Failure } from "./failure.ts";
import type { Flags } from "./flag.ts";
import { nodePath, suggest } from "./lookup.ts";

export type Filter = "pool" | "node" | "provider" | "region" | "zone" | "label";

/** For an empty filtered list; `null` = every filter value exists. */
export async function unknownFilter(
  client: Client,
  flags: Flags,
  filters: readonly Filter[],
): Promise<Failure | null> {
  for (const filter of filters) {
    for (const given of valuesOf(flags, filter)) {
      const known = (await isUsed(client, filter, given)) ? null : await namesOf(client, filter);
      if (known === null || known.includes(given)) continue;
      const what = filter === "label" ? "node or pool with label" : filter;
      const message = `--${filter}: there is no ${what} "${given}"`;
      return suggest(given, failure(EXIT.notFound, "not_found", message), known);
    }
  }
  return null;
}

function valuesOf(flags: Flags, filter: Filter): string[] {
  if (filter !== "label") return [flags.text(filter) ?? ""].filter((text) => text !== "");
  return flags.texts("label").flatMap((text) => text.split(","));
}

/** True if a node has it; exact in a fleet of any size, unlike a page of names. */
async function isUsed(client: Client, filter: Filter, given: string): Promise<boolean> {
  if (filter === "node") return (await client.get<NodeView>(nodePath(given), ["node_id"])).ok;
  const query = { [filter]: given, limit: "1" };
  const answer = await client.get<{ nodes: NodeView[] }>("/nodes", ["nodes"], query);
  return answer.ok && answer.value.nodes.length > 0;
}

/** Candidates for the nearest name; `null` if they cannot be read. */
async function namesOf(client: Client, filter: Filter): Promise<string[] | null> {
  const nodes = await client.get<{ nodes: NodeView[] }>("/nodes", ["nodes"], { limit: "1000" });
  if (!nodes.ok) return null;
  const used = nodes.value.nodes.flatMap((node) => ofNode(node, filter));
  if (filter === "node") return used;
  if (filter === "pool" || filter === "provider") {
    const pools = await client.get<{ pools: PoolView[] }>("/pools", ["pools"]);
    if (!pools.ok) return null;
    const named = pools.value.pools.flatMap(({ name, providers }) =>
      filter === "pool" ? [name] : (providers ?? []),
    );
    return [...new Set([...named, ...used])];
  }
  // A region without a node exists if a pool names it or an instance runs there.
  const config = await client.get<object>("/config", []);
  const instances = await client.get<{ instances: InstanceView[] }>("/instances", ["instances"]);
  if (!config.ok || !instances.ok) return null;
  const running = instances.value.instances.flatMap((one) =>
    filter === "label" ? [] : (one[filter] ?? []),
  );
  return [...new Set([...used, ...running, ...configured(config.value, filter)])];
}

function ofNode(node: NodeView, filter: Filter): string[] {
  if (filter === "node") return [node.node_id];
  if (filter !== "label") return [node[filter] ?? ""].filter((text) => text !== "");
  return pairsOf(node.metadata.labels);
}

/** Every region, zone or label anywhere in the configuration. */
function configured(value: unknown, filter: "region" | "zone" | "label"): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, under]: [string, unknown]) => {
    if (key === "labels" && filter === "label") return pairsOf(under);
    if (key !== filter && key !== `${filter}s`) return configured(under, filter);
    return [under].flat().filter((one) => typeof one === "string");
  });
}

function pairsOf(labels: unknown): string[] {
  if (typeof labels !== "object" || labels === null) return [];
  return Object.entries(labels).map(([key, value]: [string, unknown]) => `${key}=${String(value)}`);
}
