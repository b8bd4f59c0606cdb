/**
 * `navarch simulate runs`: lists the workflows that a control plane runs or has run.
 */
import { formatDuration } from "../../schema/duration.ts";
import type { WorkflowRunSummary } from "../../schema/workflow.ts";
import type { Command } from "../command.ts";
import { formatTable } from "../table.ts";

export const simulateRuns: Command = {
  name: ["simulate", "runs"],
  usage: "",
  summary: "list workflows on the control plane",
  examples: ["navarch sim runs", "navarch sim runs -o json"],
  more: "Newest first, as far as the control plane remembers: navarch audit has all of them.",
  flags: [],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(_context, client) {
    const answer = await client.get<{ workflows: WorkflowRunSummary[] }>("/workflows", [
      "workflows",
    ]);
    if (!answer.ok) return answer;
    const { workflows } = answer.value;
    const rows = workflows.map((run) => [
      run.id,
      run.name ?? "",
      run.state,
      run.submitted_by ?? "",
      run.submitted_at ?? "",
      run.duration_ms === null ? "" : formatDuration(run.duration_ms),
      run.error ?? "",
    ]);
    return {
      data: workflows,
      names: workflows.map((run) => run.id),
      human: (_wide, style) =>
        formatTable(["ID", "NAME", "STATE", "BY", "SUBMITTED", "TOOK", "ERROR"], rows, style),
      empty: "No workflows found",
    };
  },
};
