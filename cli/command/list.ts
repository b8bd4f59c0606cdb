/**
 * `navarch list`: lists nodes, with filters.
 */
import type { Query } from "../client.ts";
import type { Command } from "../command.ts";
import { type Failure, usage } from "../failure.ts";
import { type Flags, textFlag, textsFlag } from "../flag.ts";
import { parseHealth, parseStatus } from "../name.ts";
import { getNodes } from "../node-pages.ts";
import { formatNodes, sortNodes } from "../node-view.ts";
import { unknownFilter } from "../unknown-filter.ts";
import { WATCH_FLAG } from "../watch.ts";

const FILTERS = ["pool", "provider", "region", "zone", "label"] as const;

export const list: Command = {
  name: ["list"],
  alias: ["ls", "nodes"],
  usage: "",
  summary: "list nodes",
  examples: [
    "navarch list --pool training --health unhealthy",
    "navarch list --watch",
    "navarch list --label team=vision",
  ],
  flags: [
    textFlag("provider", "P", "only nodes of this provider"),
    textFlag("region", "R", "only nodes of this region"),
    textFlag("zone", "Z", "only nodes of this zone"),
    textFlag("pool", "P", "only nodes of this pool"),
    {
      name: "status",
      kind: "text",
      value: "S",
      values: ["active", "cordoned", "draining", "unhealthy", "terminated"],
      help: "active, cordoned, draining, unhealthy or terminated",
    },
    {
      name: "health",
      kind: "text",
      value: "H",
      values: ["healthy", "degraded", "unhealthy", "unknown"],
      help: "healthy, degraded, unhealthy or unknown",
    },
    textsFlag("label", "k=v[,k=v]", "only nodes with these labels"),
    textFlag("limit", "N", "at most N nodes"),
    WATCH_FLAG,
  ],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const filter = readFilter(context.flags);
    if (!filter.ok) return filter;
    const answer = await getNodes(client, filter.query, filter.limit);
    if (!answer.ok) return answer;
    const nodes = sortNodes(answer.nodes);
    if (nodes.length === 0) {
      const unknown = await unknownFilter(client, context.flags, FILTERS);
      if (unknown !== null) return unknown;
    }
    return {
      data: nodes,
      names: nodes.map((node) => node.node_id),
      human: (wide, style) => formatNodes(nodes, answer.nowMs, wide, style),
      empty: "No nodes found",
    };
  },
};

type Filter = { ok: true; query: Query; limit: number };

function readFilter(flags: Flags): Filter | Failure {
  const status = flags.text("status");
  const health = flags.text("health");
  const wantedStatus = status === null ? null : parseStatus(status);
  if (wantedStatus?.ok === false) return wantedStatus;
  const wantedHealth = health === null ? null : parseHealth(health);
  if (wantedHealth?.ok === false) return wantedHealth;
  const labels = flags.texts("label").flatMap((text) => text.split(","));
  const bad = labels.find((label) => !/^[^=\s]+=\S*$/.test(label));
  if (bad !== undefined) return usage(`--label: expected k=v, found "${bad}"`);
  const limit = flags.text("limit");
  if (limit !== null && !/^[1-9]\d{0,8}$/.test(limit)) {
    return usage(`--limit: expected a whole number from 1, found "${limit}"`);
  }
  const query: Query = {
    provider: flags.text("provider"),
    region: flags.text("region"),
    zone: flags.text("zone"),
    pool: flags.text("pool"),
    status: wantedStatus?.name ?? null,
    health: wantedHealth?.name ?? null,
    label: labels,
  };
  return { ok: true, query, limit: limit === null ? Number.POSITIVE_INFINITY : Number(limit) };
}
