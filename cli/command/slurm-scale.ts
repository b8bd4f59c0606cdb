/** `navarch slurm scale`: more or fewer compute pods, without a job that is cut off. */
import type { Command } from "../command.ts";
import { EXIT, usage } from "../failure.ts";
import { readSpan, textFlag } from "../flag.ts";
import { KUBECTL_FLAGS, openKubectl } from "../kubectl.ts";
import { EXEC_FLAGS, openSlurmRun } from "../slurm-run.ts";

const REPLICAS_MAX = 1_000;
const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export const slurmScale: Command = {
  name: ["slurm", "scale"],
  usage: "",
  summary: "change the number of compute pods, and wait for their jobs",
  examples: ["navarch slurm scale --replicas 8", "navarch slurm scale --replicas 2 --limit 12h"],
  more: `With fewer replicas, the nodes of the highest pods are drained in Slurm, and the
StatefulSet gets fewer replicas as soon as the highest are drained and without jobs. Nodes that
others drained or set down are left alone: nothing is lowered then. If another party changes
the replicas meanwhile, theirs stay and the drains of this command are lifted. It may be
stopped and called again; with the present number of replicas it lifts its drains, of each node
once the slurmd of its present pod has registered.
Exit status: 6 others hold a node or changed the replicas, 7 jobs ran on at the limit, or pods
had not registered.`,
  flags: [
    textFlag("replicas", "N", "how many pods there are to be"),
    textFlag("stateful-set", "NAME", "of the compute pods (default slurm-compute)"),
    textFlag("namespace", "NAME", "of the StatefulSet (default slurm)"),
    textFlag("limit", "T", "how long jobs are waited for (default 1h)"),
    ...EXEC_FLAGS,
    ...KUBECTL_FLAGS,
  ],
  words: { min: 0, max: 0 },
  lasts: () => true,
  reach: "offline",
  async run(context) {
    const { flags, world } = context;
    const text = flags.text("replicas");
    if (text === null) return usage("needs --replicas N");
    const to = /^\d{1,4}$/.test(text) ? Number(text) : -1;
    if (to < 0 || to > REPLICAS_MAX) {
      return usage(`--replicas: expected 0 to ${REPLICAS_MAX}, found "${text}"`);
    }
    const namespace = flags.text("namespace") ?? "slurm";
    const name = flags.text("stateful-set") ?? "slurm-compute";
    for (const given of [namespace, name]) {
      if (!NAME.test(given)) return usage(`"${given}" is no name of an object in Kubernetes`);
    }
    const limit = readSpan("limit", flags.text("limit") ?? "1h");
    if (!limit.ok) return limit;
    const kubectl = openKubectl(context);
    const run = openSlurmRun(context, kubectl, namespace);
    if (!run.ok) return run;
    const { scalePods } = await import("../slurm-scale.ts");
    const place = { kubectl, run: run.value, world, namespace, name };
    return (await scalePods({ ...place, to, limitMs: limit.ms })) ?? EXIT.done;
  },
};
