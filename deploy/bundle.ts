/** The plain manifests of this folder, embedded in the binary, in the order to apply them. */
import namespace from "./00-namespace.yaml" with { type: "text" };
import account from "./10-account.yaml" with { type: "text" };
import role from "./11-role.yaml" with { type: "text" };
import secret from "./20-secret.yaml" with { type: "text" };
import config from "./21-config.yaml" with { type: "text" };
import state from "./30-state.yaml" with { type: "text" };
import controlPlane from "./31-control-plane.yaml" with { type: "text" };
import service from "./32-service.yaml" with { type: "text" };
import nodeAgent from "./40-node-agent.yaml" with { type: "text" };
import disruptionBudget from "./overlay/ha/disruption-budget.yaml" with { type: "text" };

export type Manifest = { name: string; text: string };

export const MANIFESTS: readonly Manifest[] = [
  { name: "00-namespace.yaml", text: namespace },
  { name: "10-account.yaml", text: account },
  { name: "11-role.yaml", text: role },
  { name: "20-secret.yaml", text: secret },
  { name: "21-config.yaml", text: config },
  { name: "30-state.yaml", text: state },
  { name: "31-control-plane.yaml", text: controlPlane },
  { name: "32-service.yaml", text: service },
  { name: "40-node-agent.yaml", text: nodeAgent },
];

/** Further manifests for several replicas. */
export const REPLICATED: readonly Manifest[] = [
  { name: "disruption-budget.yaml", text: disruptionBudget },
];
