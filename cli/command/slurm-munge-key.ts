/**
 * `navarch slurm munge-key`: a new munge key as a file, or a key as a Kubernetes Secret.
 */
import { renderMungeSecret, SLURM_NAMESPACE } from "../../deploy/slurm/munge-secret.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, type Failure, usage } from "../failure.ts";
import { switchFlag, textFlag } from "../flag.ts";
import { isNamespace, showManifests } from "../manifest.ts";
import { drawKey, readKey, storeKey } from "../munge-key-file.ts";
import { plain } from "../table.ts";

export const slurmMungeKey: Command = {
  name: ["slurm", "munge-key"],
  usage: "",
  summary: "create the key that the daemons of a Slurm cluster share",
  examples: [
    "navarch slurm munge-key --out munge.key",
    "navarch slurm munge-key --secret --in munge.key | kubectl apply -f -",
  ],
  more:
    "A key is 1024 random bytes in a file of mode 0400. Every machine of the cluster needs the\n" +
    "same key, in /etc/munge/munge.key, owned by munge. --secret prints a Secret with the key\n" +
    "of --in, or with a new one. -o means --out; --output sets the format.",
  flags: [
    { ...textFlag("out", "FILE", "write a new key to this file"), short: "o" },
    switchFlag("force", "replace the key in an existing file"),
    switchFlag("secret", "print a Kubernetes Secret"),
    { ...textFlag("in", "FILE", "put the key of this file into the Secret"), short: "i" },
    textFlag("namespace", "NAME", `namespace of the Secret (default ${SLURM_NAMESPACE})`),
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { flags } = context;
    const out = flags.text("out");
    if (flags.on("secret")) {
      if (out !== null) return usage("--secret prints to standard output: leave out --out");
      if (flags.on("force")) return usage("--force belongs to --out, which writes a file");
      return printSecret(context);
    }
    for (const name of ["in", "namespace"]) {
      if (flags.text(name) !== null) return usage(`--${name} needs --secret`);
    }
    if (out === null) return usage("slurm munge-key needs --out FILE, or --secret");
    const problem = storeKey(out, drawKey(), flags.on("force"));
    if (problem !== null) return problem;
    return {
      data: { path: out },
      names: [out],
      human: () => `Wrote a new munge key to ${plain(out)}\n`,
    };
  },
};

async function printSecret(context: Context): Promise<number | Failure> {
  const { flags, world } = context;
  const namespace = flags.text("namespace") ?? SLURM_NAMESPACE;
  if (!isNamespace(namespace)) {
    return usage(`--namespace ${namespace}: expected lower-case letters, digits and dashes`);
  }
  if (world.tty) {
    return usage("--secret prints the key: send it to a file or to kubectl apply -f -");
  }
  const path = flags.text("in");
  const key = path === null ? { ok: true as const, value: drawKey() } : readKey("--in", path);
  if (!key.ok) return key;
  await showManifests(context, renderMungeSecret(key.value, namespace));
  return EXIT.done;
}
