/**
 * The links under which slurmctld starts this program: `slurm-resume`, `slurm-suspend` and
 * `slurm-resume-fail`. It passes on no environment, so theirs is in a file.
 *
 * Adapter: reads that file.
 */
import { readFileSync } from "node:fs";
import { POWER_VERBS, type PowerVerb } from "../reconciler/core/slurm/power-save.ts";
import { explainPath } from "./path.ts";

export const SLURM_ENV_FILE = "/etc/navarch/slurm.env";

/** The verb of a link; `null` for any other name. */
export function slurmVerb(program: string): PowerVerb | null {
  const verb = /^slurm-(?<verb>[a-z-]+?)(?:\.exe)?$/.exec(program)?.groups?.["verb"];
  return POWER_VERBS.find((one) => one === verb) ?? null;
}

type Env = Readonly<Record<string, string | undefined>>;

/**
 * `env` with what the file adds, for the links alone. `warn` gets a line when the file cannot be
 * read and nothing else names the control plane: slurmctld logs it.
 */
export function slurmEnv(
  program: string,
  env: Env,
  warn: (line: string) => void,
  path = SLURM_ENV_FILE,
): Env {
  if (slurmVerb(program) === null) return env;
  try {
    const lines = readFileSync(path, "utf8").split("\n");
    const pairs = lines.flatMap((line): [string, string][] => {
      const found = /^\s*(?:export\s+)?(NAVARCH_[A-Z_]+)=(["']?)(.*?)\2\s*$/.exec(line);
      return found?.[1] === undefined ? [] : [[found[1], found[3] ?? ""]];
    });
    return { ...Object.fromEntries(pairs), ...env };
  } catch (error) {
    if (env["NAVARCH_SERVER"] === undefined) warn(`${path}: ${explainPath(path, error)}\n`);
    return env;
  }
}
