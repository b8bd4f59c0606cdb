/**
 * A runner of workflows whose tasks a test ends by hand: one task a line of the text, `TYPE ID`.
 * Text with `!` in it is no YAML, and an empty one has no tasks.
 */
import type {
  WorkflowAnswer,
  WorkflowOrder,
  WorkflowRunner,
  WorkflowSource,
} from "../../reconciler/core/workflow.ts";
import { REAL_CLOCK } from "../../reconciler/kubernetes/connect.ts";
import { WorkflowRuns } from "../../reconciler/runtime/workflow/runs.ts";

export type HandRunner = WorkflowRunner & {
  /** Orders in the order in which they began, with the end of each. */
  begun: { order: WorkflowOrder; source: WorkflowSource; end(error: string | null): void }[];
};

export function openHandRunner(): HandRunner {
  const begun: HandRunner["begun"] = [];
  return {
    begun,
    whyNot: () => null,
    read(source): WorkflowAnswer {
      const lines = source.text.split("\n").filter((line) => line !== "");
      if (source.text.includes("!")) return { ok: false, kind: "yaml", message: "line 1: found !" };
      if (lines.length === 0) return { ok: false, kind: "schema", message: "test  has no tasks" };
      const tasks = lines.map((line) => {
        const [type = "", id = ""] = line.split(" ");
        return { id, type };
      });
      const run = async (order: WorkflowOrder) => {
        order.tell({ kind: "task", index: 0, state: "running", ms: null, error: null });
        const { promise, resolve } = Promise.withResolvers<string | null>();
        begun.push({ order, source, end: resolve });
        order.signal.addEventListener("abort", () => resolve("interrupted"));
        const error = order.signal.aborted ? "interrupted" : await promise;
        const state = error === null ? "passed" : "failed";
        order.tell({ kind: "task", index: 0, state, ms: 5, error });
        if (error === null) return { status: "passed", error } as const;
        return { status: order.signal.aborted ? "interrupted" : "failed", error } as const;
      };
      return { ok: true, plan: { name: `of ${tasks[0]?.id}`, tasks, run } };
    },
  };
}

/** Runs without an audit, in real time. */
export function openNoRecord(runner: WorkflowRunner): WorkflowRuns {
  let serial = 0;
  return new WorkflowRuns({
    runner,
    clock: REAL_CLOCK,
    log: () => undefined,
    newId: () => `w${++serial}`,
    record: async () => true,
  });
}
