/**
 * Configuration and policy as a control plane starts on them: everything that is wrong at once, or
 * what to run with. A missing policy file is a warning, a wrong one is not (promise N24).
 *
 * Adapter: reads files.
 */
import { builtinPolicy } from "../health/policy/builtin.ts";
import { compilePolicy, type CompiledPolicy } from "../health/policy/compile.ts";
import type { Config } from "../schema/config.ts";
import { openConfig, openPolicy, readDisk } from "./config/open.ts";
import { printProblem } from "./config/problem.ts";
import { readConfig } from "./config/read.ts";

export type Loaded = { config: Config; policy: CompiledPolicy; warnings: string[] };
export type LoadAnswer = { ok: true; loaded: Loaded } | { ok: false; lines: string[] };

/** `paths` may be empty: then everything has its default, and there is nothing to look after. */
export async function load(
  paths: string[],
  options: { portZero: boolean; externalAddress: boolean },
): Promise<LoadAnswer> {
  const read =
    paths.length === 0
      ? readConfig([{ name: "defaults", text: "pools: []\n" }], options)
      : await openConfig(paths, readDisk, options);
  const errors = read.problems.filter((problem) => problem.severity === "error");
  if (read.config === null || errors.length > 0) {
    return { ok: false, lines: errors.map(printProblem) };
  }
  const warned = read.problems.filter((problem) => problem.severity === "warning");
  const warnings = warned.map(printProblem);
  const path = read.config.server.healthPolicyPath;
  const given = path === null ? null : await openPolicy(path);
  if (given !== null && !given.missing && given.policy === null) {
    return { ok: false, lines: given.problems.map(printProblem) };
  }
  if (given?.missing === true) {
    warnings.push(`health policy ${path} is missing: running on the built-in policy`);
  }
  const compiled = compilePolicy(given?.policy ?? builtinPolicy);
  if (compiled.ok) {
    return { ok: true, loaded: { config: read.config, policy: compiled.compiled, warnings } };
  }
  const file = path ?? "built-in policy";
  const lines = compiled.problems.map(({ rule, message }) => `${file}: ${rule ?? ""}: ${message}`);
  return { ok: false, lines };
}
