/** Stub: signatures only, the body follows. */
import type { PolicyEvent, PolicyNode } from "../../schema/policy.ts";

export type Condition = { readonly text: string; readonly run: (event: PolicyEvent, node: PolicyNode) => unknown };
export type CompileAnswer =
  | { ok: true; condition: Condition }
  | { ok: false; message: string; at: { line: number; col: number } | null };
export function compileCondition(text: string): CompileAnswer {
  throw new Error(`not built yet: ${text}`);
}
export type EvaluateAnswer = { ok: true; value: boolean } | { ok: false; message: string };
export function evaluate(condition: Condition, event: PolicyEvent, node: PolicyNode): EvaluateAnswer {
  throw new Error(`not built yet: ${condition.text} ${event.event_type} ${node.id}`);
}
