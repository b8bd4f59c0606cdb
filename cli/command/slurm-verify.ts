/**
 * `navarch slurm verify`: checks a Slurm cluster on Kubernetes, section by section.
 */
import type { Command } from "../command.ts";
import { KUBECTL_FLAGS, openKubectl } from "../kubectl.ts";
import { NAMESPACE_FLAG, readNamespace } from "../slurm-option.ts";
import { EXEC_FLAGS, openSlurmRun } from "../slurm-run.ts";

export const slurmVerify: Command = {
  name: ["slurm", "verify"],
  usage: "",
  summary: "check a Slurm cluster on Kubernetes",
  examples: ["navarch slurm verify", "navarch slurm verify --exec local -o junit"],
  more:
    "Sections: 1 cluster, 2 namespace, 3 pods, 4 services, 5 controller, 6 references, 7 gpus,\n" +
    "8 munge. Exits with 1 when any section fails. Slurm's commands run in the controller's\n" +
    "pod; --exec ssh runs them on a machine, and --exec local here. -o junit prints XML for CI.",
  flags: [NAMESPACE_FLAG, ...EXEC_FLAGS, ...KUBECTL_FLAGS],
  formats: ["text", "junit"],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const namespace = readNamespace(context.flags);
    if (!namespace.ok) return namespace;
    const kubectl = openKubectl(context);
    const run = openSlurmRun(context, kubectl, namespace.value);
    if (!run.ok) return run;
    const { verifySlurm } = await import("../slurm-verify.ts");
    const { showSections } = await import("../slurm-verify-view.ts");
    const place = { kubectl, run: run.value, namespace: namespace.value };
    return showSections(context, await verifySlurm(place));
  },
};
