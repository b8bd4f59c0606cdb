/**
 * `navarch slurm deploy`: installs a Slurm cluster on Kubernetes, waits for it, and verifies it.
 */
import type { Command, Context } from "../command.ts";
import { EXIT, type Failure, usage } from "../failure.ts";
import { readSpan, switchFlag, textFlag } from "../flag.ts";
import { KUBECTL_FLAGS, openKubectl } from "../kubectl.ts";
import { drawKey, readKey } from "../munge-key-file.ts";
import type { Deploy } from "../slurm-deploy.ts";
import { readSlurmOptions, SLURM_FLAGS } from "../slurm-option.ts";
import { EXEC_FLAGS, openSlurmRun } from "../slurm-run.ts";
import type { Verify } from "../slurm-verify.ts";

export const slurmDeploy: Command = {
  name: ["slurm", "deploy"],
  usage: "",
  summary: "install a Slurm cluster on Kubernetes and verify it",
  examples: ["navarch slurm deploy --dry-run=server", "navarch slurm deploy --nodes 4 --gpus 8"],
  more:
    "Applies the namespace, the munge key, the passwords and the objects in this order, waits\n" +
    "until every pod is ready, then runs slurm verify. Keys and passwords that the cluster has\n" +
    "are kept, so it may be repeated. --dry-run=server has the API server check every object.",
  flags: [
    switchFlag("dry-run", "have the API server check the objects, change nothing"),
    textFlag("munge-key", "FILE", "the key for a cluster without one (default: a new one)"),
    textFlag("ready-timeout", "T", "limit of the wait for the pods (default 10m)"),
    ...SLURM_FLAGS,
    ...EXEC_FLAGS,
    ...KUBECTL_FLAGS,
  ],
  formats: ["text", "junit"],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { flags, world } = context;
    const options = readSlurmOptions(flags);
    if (!options.ok) return options;
    const limit = readSpan("ready-timeout", flags.text("ready-timeout") ?? "10m");
    if (!limit.ok) return limit;
    const isDry = flags.on("dry-run");
    const kubectl = openKubectl(context);
    const run = openSlurmRun(context, kubectl, options.value.namespace);
    if (!run.ok) return run;
    const path = flags.text("munge-key");
    if (path !== null && isDry) return usage("--munge-key does nothing with --dry-run");
    const mungeKey = (): ReturnType<Deploy["mungeKey"]> =>
      path === null ? { ok: true, value: drawKey() } : readKey("--munge-key", path);
    const deploy: Deploy = { kubectl, world, options: options.value, mungeKey };
    const { awaitPods, deploySlurm, tryDeploy } = await import("../slurm-deploy.ts");
    if (isDry) return (await tryDeploy(deploy)) ?? EXIT.done;
    const problem = (await deploySlurm(deploy)) ?? (await awaitPods(deploy, limit.ms));
    if (problem !== null) return problem;
    return verify(context, { kubectl, run: run.value, namespace: options.value.namespace });
  },
};

async function verify(context: Context, place: Verify): Promise<number | Failure> {
  const { verifySlurm } = await import("../slurm-verify.ts");
  const { showSections } = await import("../slurm-verify-view.ts");
  return showSections(context, await verifySlurm(place));
}
