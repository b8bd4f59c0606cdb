/**
 * Reads and compiles a health policy file, and collects every problem.
 */
import { type CompiledPolicy, compileRead } from "../health/policy/compile.ts";
import { openPolicy } from "../reconciler/config/open.ts";
import type { Problem } from "../schema/config.ts";

export type Rules = { compiled: CompiledPolicy | null; problems: Problem[] };

/** `compiled` is `null` if a problem is an error. */
export async function openRules(file: string): Promise<Rules> {
  const { policy, problems } = await openPolicy(file);
  return { compiled: policy && compileRead(policy), problems };
}
