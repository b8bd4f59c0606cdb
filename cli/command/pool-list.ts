/**
 * `navarch pool list`: lists pools.
 */
import type { PoolView } from "../../schema/api.ts";
import type { Command } from "../command.ts";
import { formatTable } from "../table.ts";
import { WATCH_FLAG } from "../watch.ts";

export const poolList: Command = {
  name: ["pool", "list"],
  usage: "",
  summary: "list pools",
  examples: ["navarch pool list", "navarch pool list -o json"],
  flags: [WATCH_FLAG],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(_context, client) {
    const answer = await client.get<{ pools: PoolView[] }>("/pools", ["pools"]);
    if (!answer.ok) return answer;
    const { pools } = answer.value;
    const head = ["Name", "Desired", "Ready", "Min", "Max", "Provider", "Strategy", "Conditions"];
    const rows = pools.map((pool) => [
      pool.name,
      ...[pool.desired, pool.ready, pool.min, pool.max].map(String),
      (pool.providers ?? []).join(","),
      pool.strategy ?? "",
      (pool.conditions ?? []).join("; "),
    ]);
    return {
      data: pools,
      names: pools.map((pool) => pool.name),
      human: (_wide, style) => formatTable(head, rows, style),
      empty: "No pools found",
    };
  },
};
