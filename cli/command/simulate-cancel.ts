/**
 * `navarch simulate cancel ID`: ends a workflow on the control plane; what it created is removed if
 * it was submitted with -cleanup.
 */
import type { WorkflowRunView } from "../../schema/workflow.ts";
import type { Command } from "../command.ts";

export const simulateCancel: Command = {
  name: ["simulate", "cancel"],
  usage: "ID",
  summary: "end a workflow on the control plane",
  examples: ["navarch sim cancel 4f1c2b7a90de"],
  more:
    "A workflow that waits never runs; one that runs ends with its task, and removes what it\n" +
    "created if it was submitted with -cleanup. IDs: navarch sim runs.",
  flags: [],
  words: { min: 1, max: 1 },
  reach: "online",
  async run({ words }, client) {
    const [id = ""] = words;
    const path = `/workflows/${encodeURIComponent(id)}/cancel`;
    const answer = await client.send<WorkflowRunView>("POST", path, ["id", "state"]);
    if (!answer.ok) return answer;
    const { state } = answer.value;
    return {
      data: answer.value,
      names: [id],
      human: () => `Workflow ${id}: ${state === "running" ? "is being cancelled" : state}\n`,
    };
  },
};
