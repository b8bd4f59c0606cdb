/** `navarch manifests crd`: prints the definition of the custom resource AgentPool. */
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
    const { formatDefinition } = await import("../../deploy/agentpool/crd-text.ts");
    return showManifests(context, formatDefinition());
  },
};
