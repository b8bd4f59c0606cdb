/**
 * `navarch cost`: what the fleet costs, by pool and provider, and what costs money without serving.
 */
import type { CostView } from "../../schema/cost-view.ts";
import type { Command } from "../command.ts";
import { formatCost } from "../cost-view.ts";
import { usage } from "../failure.ts";
import { textFlag } from "../flag.ts";
import { WATCH_FLAG } from "../watch.ts";

export const cost: Command = {
  name: ["cost"],
  usage: "",
  summary: "show what the fleet costs, and what costs money without serving",
  examples: ["navarch cost", "navarch cost --month 2026-10", "navarch cost --since 2026-10-25"],
  more:
    "Counts each instance from its purchase until the cloud has confirmed its end, also while\n" +
    "it boots, is held, silent or draining. Instances of unknown price are counted apart, never\n" +
    "as 0. Days and months are UTC. The figures are the control plane's own: the cloud's bill\n" +
    "also has disks, traffic, taxes and discounts.",
  flags: [
    textFlag("month", "YYYY-MM", "this month instead of the current one"),
    textFlag("since", "YYYY-MM-DD", "from this day to now"),
    WATCH_FLAG,
  ],
  words: { min: 0, max: 0 },
  reach: "online",
  async run({ flags }, client) {
    const [month, since] = [flags.text("month"), flags.text("since")];
    if (month !== null && since !== null) return usage("--month and --since exclude each other");
    for (const [name, given, form] of [
      ["month", month, /^\d{4}-\d\d$/],
      ["since", since, /^\d{4}-\d\d-\d\d$/],
    ] as const) {
      if (given === null || form.test(given)) continue;
      const example = name === "month" ? "a month like 2026-10" : "a day like 2026-10-31";
      return usage(`--${name}: "${given}" is not ${example}`);
    }
    const answer = await client.get<CostView>("/cost", ["total", "pools"], { month, since });
    if (!answer.ok) return answer;
    const { value, nowMs } = answer;
    return {
      data: value,
      names: value.pools.map((row) => row.name),
      human: (_wide, style) => formatCost(value, nowMs, style),
    };
  },
};
