/**
 * `navarch simulate list`: lists the built-in scenarios.
 */
import type { Command } from "../command.ts";
import { formatTable } from "../table.ts";

export const simulateList: Command = {
  name: ["simulate", "list"],
  usage: "",
  summary: "list the built-in scenarios",
  examples: ["navarch simulate list"],
  flags: [],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run() {
    const { BUNDLED } = await import("../../simulator/bundle/catalog.ts");
    const { readScenario } = await import("../../simulator/scenario/read.ts");
    const { summarize } = await import("../../simulator/scenario/summary.ts");
    const { formatDuration } = await import("../../schema/duration.ts");
    const found = BUNDLED.flatMap(({ name, text }) => {
      const { scenario } = readScenario({ name, text });
      if (scenario === null) return [];
      const { nodes, durationMs, description, mode } = summarize(scenario);
      const about = { name, mode, nodes, duration_ms: durationMs };
      return [{ ...about, description: description ?? "" }];
    });
    return {
      data: found,
      names: found.map((one) => one.name),
      human: (_wide, style) =>
        formatTable(
          ["NAME", "MODE", "NODES", "DURATION", "DESCRIPTION"],
          found.map((one) => [
            one.name,
            one.mode,
            String(one.nodes),
            formatDuration(one.duration_ms),
            one.description,
          ]),
          style,
        ),
    };
  },
};
