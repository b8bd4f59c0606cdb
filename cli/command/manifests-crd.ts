/** `navarch manifests crd`: prints the definition of the custom resource AgentPool. */
import { AGENT_POOL_CRD } from "../../deploy/agentpool/crd.ts";
import type { Command } from "../command.ts";
import { showManifests } from "../manifest.ts";

export const manifestsCrd: Command = {
  name: ["manifests", "crd"],
  usage: "",
  summary: "print the definition of AgentPool, pools as Kubernetes objects",
  examples: ["navarch manifests crd | kubectl apply -f -"],
  more: "Apply it again after an upgrade of navarch; pools that are there stay as they are.",
  flags: [],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { stringify } = await import("yaml");
    return showManifests(context, stringify(AGENT_POOL_CRD, { lineWidth: 100 }));
  },
};
