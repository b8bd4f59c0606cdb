/**
 * Decides from their variables whether a pool's commands join their machine to a cluster. Pure.
 */
import { TEMPLATE_VARIABLES, type TemplateVariable, variableEnv } from "./variable.ts";

const NAMES = (Object.keys(TEMPLATE_VARIABLES) as TemplateVariable[])
  .filter((name) => name.startsWith("Kubernetes"))
  .flatMap((name) => [`.${name}`, variableEnv(name)]);

/** A textual check: variables in untaken branches count too. */
export function joinsCluster(commands: readonly string[]): boolean {
  return commands.some((command) => NAMES.some((name) => command.includes(name)));
}
