/**
 * `navarch simulate interactive`: runs a simulated fleet until it is interrupted. The ordinary
 * commands work on it.
 */
import type { Command } from "../command.ts";
import { EXIT } from "../failure.ts";
import { simulate } from "../simulation.ts";
import { planOf, RUN_FLAGS } from "./simulate-run.ts";

const PLAYGROUND = `name: interactive
fleet:
  - { id: node-1, zone: us-central1-a, instance_type: a3-highgpu-8g, gpu_count: 8 }
  - { id: node-2, zone: us-central1-b, instance_type: a3-highgpu-8g, gpu_count: 8 }
events:
  - { at: 0s, action: start_fleet }
`;

export const simulateInteractive: Command = {
  name: ["simulate", "interactive"],
  usage: "[file]",
  summary: "run a simulated fleet until it is stopped",
  examples: ["navarch simulate interactive"],
  more: "Without a file: two nodes with eight GPUs each. It runs in real time and listens.",
  flags: RUN_FLAGS,
  words: { min: 0, max: 1 },
  reach: "offline",
  async run(context) {
    const { sayProblems } = await import("../problem-view.ts");
    const [file] = context.words;
    const opened =
      file === undefined
        ? {
            ...(await import("../../simulator/scenario/read.ts")).readScenario({
              name: "interactive",
              text: PLAYGROUND,
            }),
            text: PLAYGROUND,
          }
        : await (await import("../../simulator/scenario/open.ts")).openScenario(file);
    sayProblems(context, opened.problems);
    if (opened.scenario === null || opened.text === null) return EXIT.usage;
    const plan = await planOf(context, opened.scenario, opened.text);
    if ("ok" in plan) return plan;
    const listen = plan.listen ?? "127.0.0.1:0";
    const real = context.flags.text("time") === null ? true : plan.real;
    return simulate(context, { ...plan, listen, real, stays: true });
  },
};
