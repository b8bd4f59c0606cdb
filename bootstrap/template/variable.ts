/**
 * The variables a setup command may use. The same values are exported to the command's environment
 * under the names of `variableEnv`.
 */

export type VariableKind = "text" | "list";

export const TEMPLATE_VARIABLES = {
  /** URL that agents should dial. */
  ControlPlane: "text",
  Pool: "text",
  /** Navarch's node id. */
  NodeID: "text",
  /** Name of the provider in the configuration. */
  Provider: "text",
  /** Region, zone and concrete type actually used. */
  Region: "text",
  Zone: "text",
  InstanceType: "text",
  InstanceID: "text",
  IPAddress: "text",
  /** NodeName of its slot in Slurm (`slurm.nodes` of the pool); empty without one. */
  SlurmNode: "text",
  /** Not empty: the agent may reboot the machine when the control plane orders it. */
  AllowCommands: "text",
  /** Path of the node's credential on the node, never its value. */
  TokenFile: "text",
  /** URL and checksum of the matching agent. */
  AgentURL: "text",
  AgentSHA256: "text",
  /** For joining the cluster; the token is short-lived and valid for one pool. */
  KubernetesServer: "text",
  KubernetesJoinToken: "text",
  KubernetesCAHash: "text",
  /** For `slurm-node`: NodeName; `host[:port]` of the controller that has the configuration. */
  SlurmNodeName: "text",
  SlurmConfServer: "text",
  /** `false`: the node is in slurm.conf. Otherwise it joins as a dynamic node. */
  SlurmDynamic: "text",
  /** What a dynamic node has, as in `CPUs=8 Gres=gpu:8`. */
  SlurmNodeConf: "text",
  /** A munge credential of the computer whose key was placed; the machine has to accept it. */
  MungeProbe: "text",
} as const satisfies Record<string, VariableKind>;
export type TemplateVariable = keyof typeof TEMPLATE_VARIABLES;

/** `ControlPlane` → `NAVARCH_CONTROL_PLANE`, `NodeID` → `NAVARCH_NODE_ID`. */
export function variableEnv(name: TemplateVariable): string {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/([A-Z])([A-Z][a-z])/g, "$1_$2");
  return `NAVARCH_${words.toUpperCase()}`;
}
