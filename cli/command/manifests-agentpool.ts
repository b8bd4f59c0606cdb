/** `navarch manifests agentpool`: prints what a control plane may do with AgentPools. */
import { RBAC_DEFAULTS, renderRbac } from "../../deploy/agentpool/rbac.ts";
import type { Command } from "../command.ts";
import { usage } from "../failure.ts";
import { textFlag, textsFlag } from "../flag.ts";
import { isAccount, isNamespace, showManifests } from "../manifest.ts";

export const manifestsAgentpool: Command = {
  name: ["manifests", "agentpool"],
  usage: "",
  summary: "print the account and roles that AgentPools need",
  examples: [
    "navarch manifests agentpool | kubectl apply -f -",
    "navarch manifests agentpool --account navarch/navarch-control-plane",
    "navarch manifests agentpool --in team-a --in team-b | kubectl apply -f -",
  ],
  more:
    "Prints the account velda/velda-apiserver, its roles, and what adds pools to the cluster's\n" +
    "roles view and edit. With --account the roles are bound to an account that is there, as\n" +
    "that of navarch manifests kubernetes.",
  flags: [
    textFlag("account", "NAMESPACE/NAME", "account that is there already; none is printed"),
    textsFlag("in", "NAMESPACE,…", "pools of these namespaces alone (default: of all)"),
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { flags } = context;
    const pools = [...new Set(flags.texts("in").flatMap((list) => list.split(",")))];
    const bad = pools.find((one) => !isNamespace(one));
    if (bad !== undefined) {
      return usage(`--in ${bad}: expected lower-case letters, digits and dashes`);
    }
    const given = flags.text("account");
    if (given === null) return showManifests(context, renderRbac({ ...RBAC_DEFAULTS, pools }));
    const [namespace = "", account = "", ...more] = given.split("/");
    if (!isNamespace(namespace) || !isAccount(account) || more.length > 0) {
      return usage(`--account ${given}: expected NAMESPACE/NAME of a ServiceAccount`);
    }
    return showManifests(context, renderRbac({ namespace, account, isThere: true, pools }));
  },
};
