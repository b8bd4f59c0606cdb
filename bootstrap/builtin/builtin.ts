/**
 * The built-in setup commands: ordinary templates, which a user can print, copy into the
 * configuration and change.
 */
import { nearest } from "../../schema/nearest.ts";
import { AGENT_COMMANDS } from "./agent.ts";
import { KUBERNETES_JOIN_COMMANDS } from "./kubernetes-join.ts";
import { SLURM_NODE_COMMANDS } from "./slurm-node.ts";

export const BUILTINS = {
  /** The agent as a systemd unit, pushed or downloaded. */
  agent: AGENT_COMMANDS,
  /** `kubeadm join`, for images that have containerd, kubeadm and kubelet. */
  "kubernetes-join": KUBERNETES_JOIN_COMMANDS,
  /** munge and slurmd, with the configuration fetched from the controller. */
  "slurm-node": SLURM_NODE_COMMANDS,
} as const satisfies Record<string, readonly string[]>;
export type BuiltinName = keyof typeof BUILTINS;

export const BUILTIN_NAMES = Object.keys(BUILTINS) as BuiltinName[];

/** The commands of a built-in template; an unknown name gives an error with the valid ones. */
export function builtinCommands(
  name: string,
): { ok: true; commands: readonly string[] } | { ok: false; error: string } {
  const known = BUILTIN_NAMES.find((one) => one === name);
  if (known !== undefined) return { ok: true, commands: BUILTINS[known] };
  const close = nearest(name, BUILTIN_NAMES);
  const hint = close === null ? `there are ${BUILTIN_NAMES.join(", ")}` : `did you mean ${close}?`;
  return { ok: false, error: `unknown template ${JSON.stringify(name)} (${hint})` };
}
