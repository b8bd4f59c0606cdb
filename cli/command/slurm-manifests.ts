/**
 * `navarch slurm manifests`: a whole Slurm cluster on Kubernetes as manifests, printed, written to
 * a folder, or compared with one.
 */
import type { SlurmManifestOptions } from "../../deploy/slurm/manifest-option.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, type Failure, failure, unknownName, usage } from "../failure.ts";
import { textFlag } from "../flag.ts";
import { KUBECTL_FLAGS, openKubectl } from "../kubectl.ts";
import { compareFolder, writeFolder } from "../manifest-folder.ts";
import { showManifests } from "../manifest.ts";
import { readSlurmOptions, SLURM_FLAGS } from "../slurm-option.ts";

const SECRETS = ["random"] as const;

export const slurmManifests: Command = {
  name: ["slurm", "manifests"],
  usage: "",
  summary: "print the manifests of a Slurm cluster on Kubernetes",
  examples: [
    "navarch slurm manifests --out k8s-manifests/hpc-slurm",
    "navarch slurm manifests --check k8s-manifests/hpc-slurm",
    "navarch slurm manifests --secrets random | kubectl apply -f -",
    "navarch slurm manifests --nodes 16 --gpus 8 --cpus 96 --memory 99Gi --out hpc",
  ],
  more:
    "MariaDB, slurmdbd, slurmctld and one slurmd per node, with their configuration. The\n" +
    "database's Secret has no values, so applying it again changes none. --secrets random asks\n" +
    "the cluster which passwords it lacks, and prints a Secret with those.\n" +
    "--check exits with 1 unless the folder equals what the same flags render.",
  flags: [
    textFlag("out", "DIR", "write the files to this folder"),
    textFlag("check", "DIR", "compare the files with this folder"),
    { ...textFlag("secrets", "random", "print missing passwords"), values: SECRETS },
    ...SLURM_FLAGS,
    ...KUBECTL_FLAGS,
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { flags } = context;
    const options = readSlurmOptions(flags);
    if (!options.ok) return options;
    const [out, check, secrets] = [flags.text("out"), flags.text("check"), flags.text("secrets")];
    if (out !== null && check !== null) return usage("--out and --check exclude each other");
    if (secrets !== null) {
      if (secrets !== "random") return unknownName("secrets", secrets, SECRETS);
      if (out !== null || check !== null) {
        return usage("--secrets prints to standard output: leave out --out and --check");
      }
      return printFilled(context, options.value);
    }
    const { renderSlurmFiles, renderSlurmStream } = await import("../../deploy/slurm/manifest.ts");
    if (check !== null) return checkFiles(check, renderSlurmFiles(options.value));
    if (out === null) return showManifests(context, renderSlurmStream(options.value, null));
    const written = writeFolder(out, renderSlurmFiles(options.value));
    if (!written.ok) return written;
    return {
      data: { folder: out, files: written.value },
      names: written.value,
      human: () => `Wrote ${written.value.length} files to ${out}\n`,
    };
  },
};

async function printFilled(
  context: Context,
  options: SlurmManifestOptions,
): Promise<number | Failure> {
  if (context.world.tty) {
    return usage("--secrets prints passwords: send them to kubectl apply -f -");
  }
  const { renderMissingSecret } = await import("../slurm-secret.ts");
  const { renderSlurmStream } = await import("../../deploy/slurm/manifest.ts");
  const secret = await renderMissingSecret(openKubectl(context), options);
  if (!secret.ok) return secret;
  return showManifests(context, renderSlurmStream(options, secret.value));
}

function checkFiles(
  folder: string,
  files: readonly { name: string; text: string }[],
): Failure | { data: unknown; names: string[]; human(): string } {
  const lines = compareFolder(folder, files);
  if (!lines.ok) return lines;
  if (lines.value.length > 0) {
    const what = `${folder} is not what these flags render: ${lines.value.join(", ")}`;
    const next = `navarch slurm manifests --out ${folder} writes it`;
    return failure(EXIT.failed, "differs", `${what}; ${next}`, { files: lines.value });
  }
  return {
    data: { folder, differences: [] },
    names: [],
    human: () => `${folder} is current: ${files.length} files\n`,
  };
}
