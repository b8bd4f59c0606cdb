/**
 * Loads configuration and policy for a start: every problem at once, or what to run with. `config
 * validate` uses it too and prints the same. A missing policy file is a warning; an invalid one is
 * an error.
 *
 * Adapter: reads files.
 */
import { compiledBuiltin } from "../../health/policy/builtin.ts";
import { type CompiledPolicy, compileRead } from "../../health/policy/compile.ts";
import type { Config, Problem } from "../../schema/config.ts";
import { openConfig, openPolicy, readDisk } from "../config/open.ts";
import type { Finder } from "../config/place.ts";
import { formatProblem } from "../config/problem.ts";
import { readConfig } from "../config/read.ts";
import type { LoadAnswer } from "../core/reload.ts";
import { inspect, type Surroundings } from "./inspect.ts";

export type LoadOptions = {
  portZero: boolean;
  externalAddress: boolean;
  /** `null`: only the text is checked, because it is for another machine. */
  around: Surroundings | null;
};

/** `config` and `policy` are `null` if a problem is an error. */
export type Examined = {
  config: Config | null;
  policy: CompiledPolicy | null;
  problems: Problem[];
};

/** `paths` may be empty: then everything has its default. */
export async function examine(paths: readonly string[], options: LoadOptions): Promise<Examined> {
  const read =
    paths.length === 0
      ? readConfig([{ name: "defaults", text: "pools: []\n" }], options)
      : await openConfig(paths, readDisk, options);
  const { config, find } = read;
  const around = options.around;
  if (config === null || around === null) {
    return { config, policy: null, problems: read.problems };
  }
  const judged = await examinePolicy(config.server.healthPolicyPath, find);
  const found = await inspect(config, find, around);
  const problems = inOrder(paths, [...read.problems, ...judged.problems, ...found]);
  const failed = problems.some(({ severity }) => severity === "error");
  return failed ? { config: null, policy: null, problems } : { ...judged, config, problems };
}

async function examinePolicy(
  path: string | null,
  find: Finder,
): Promise<{ policy: CompiledPolicy | null; problems: Problem[] }> {
  const given = path === null ? null : await openPolicy(path);
  const problems = given === null || given.missing ? [] : given.problems;
  if (given !== null && !given.missing && given.policy === null) return { policy: null, problems };
  const named = find(null, ["server", "health_policy_path"]);
  const place = { ...named.at, path: named.path, code: "policy", hint: null };
  if (given?.missing === true) {
    const message = `health policy ${path} is missing: running on the built-in policy`;
    problems.push({ ...place, message, severity: "warning" });
  }
  return { policy: given?.policy ? compileRead(given.policy) : compiledBuiltin, problems };
}

/** In the order of the files, then by position; other files, such as the policy, come last. */
function inOrder(paths: readonly string[], problems: readonly Problem[]): Problem[] {
  const rank = ({ file }: Problem): number => {
    const index = paths.indexOf(file);
    return index < 0 ? paths.length : index;
  };
  return problems.toSorted((a, b) => rank(a) - rank(b) || a.line - b.line || a.col - b.col);
}

/** What to start with, or every error as a line. */
export async function load(paths: readonly string[], options: LoadOptions): Promise<LoadAnswer> {
  const { config, policy, problems } = await examine(paths, options);
  const errors = problems.filter((problem) => problem.severity === "error");
  if (config === null || policy === null) return { ok: false, lines: errors.map(formatProblem) };
  const warned = problems.filter((problem) => problem.severity === "warning");
  return { ok: true, loaded: { config, policy, warnings: warned.map(formatProblem) } };
}
