/**
 * `navarch simulate agents`: runs the simulated agents of a `kwok` provider. The control plane
 * starts it; with `run_agents: false` a person does.
 */
import type { Command } from "../command.ts";
import { usage } from "../failure.ts";
import { textFlag } from "../flag.ts";

export const simulateAgents: Command = {
  name: ["simulate", "agents"],
  usage: "",
  summary: "run the simulated agents of virtual nodes",
  examples: ["navarch sim agents --state-dir /var/lib/navarch/cloud/kwok"],
  more:
    "The control plane starts it for each kwok provider, unless run_agents is false.\n" +
    "Never runs twice in one folder: exit 73 if another process is there.",
  flags: [textFlag("state-dir", "DIR", "folder of the provider")],
  words: { min: 0, max: 0 },
  reach: "offline",
  lasts: () => true,
  async run({ flags, world }) {
    const stateDir = flags.text("state-dir");
    if (stateDir === null || stateDir === "") return usage("--state-dir is needed");
    world.outlast?.();
    const { runAgents } = await import("../../simulator/agent/run.ts");
    return runAgents({ stateDir, env: world.env, say: (line) => world.err(`${line}\n`) });
  },
};
