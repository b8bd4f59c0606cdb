/**
 * A health policy from its file to rules that can be asked, with everything wrong on the way.
 */
import { compilePolicy } from "../health/policy/compile.ts";
import type { CompiledPolicy } from "../health/policy/compile.ts";
import { openPolicy } from "../reconciler/config/open.ts";
import type { Problem } from "../schema/config.ts";

export type Rules = { compiled: CompiledPolicy | null; problems: Problem[] };

/** `compiled` is `null` if a problem is an error. */
export async function openRules(file: string): Promise<Rules> {
  const { policy, problems } = await openPolicy(file);
  if (policy === null) return { compiled: null, problems };
  const answer = compilePolicy(policy);
  if (answer.ok) return { compiled: answer.compiled, problems };
  const found = answer.problems.map(({ severity, rule, line, message }): Problem => ({
    file,
    line: line ?? 1,
    col: 1,
    path: rule === null ? "rules" : `rules "${rule}"`,
    code: "condition",
    message,
    hint: null,
    severity,
  }));
  return { compiled: null, problems: [...problems, ...found] };
}
