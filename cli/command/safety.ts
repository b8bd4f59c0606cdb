/**
 * `navarch safety`: shows pauses with their reasons, and how much of each limit is used.
 */
import type { SafetyView } from "../../schema/api.ts";
import type { Command } from "../command.ts";
import { formatSafety } from "../safety-view.ts";
import { WATCH_FLAG } from "../watch.ts";

export const safety: Command = {
  name: ["safety"],
  usage: "",
  summary: "show pauses, limits and how much of each is used",
  examples: ["navarch safety"],
  more:
    "Shows freezes and holds, unreliable observations, circuit breakers, suspended rules,\n" +
    "budgets and what they do not count, spending, places where new nodes fail, and\n" +
    "terminated instances still billed.",
  flags: [WATCH_FLAG],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(_context, client) {
    const answer = await client.get<SafetyView>("/safety", ["breakers", "budgets"]);
    if (!answer.ok) return answer;
    const { value, nowMs } = answer;
    return {
      data: value,
      names: [
        ...(value.frozen === null ? [] : ["frozen"]),
        ...value.holds.map((hold) => `hold/${hold.pool}`),
        ...value.breakers.map((one) => `breaker/${one.scope}`),
        ...value.quarantined.map((one) => `quarantine/${one.rule}`),
      ],
      human: (_wide, style) => formatSafety(value, nowMs, style),
    };
  },
};
