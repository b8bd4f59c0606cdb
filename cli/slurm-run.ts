/**
 * Runs commands where Slurm's controller is: in its pod, over ssh, or here. Each has a limit: a
 * controller that is away keeps a command of Slurm for 9 s.
 */
import type { Context } from "./command.ts";
import { unknownName, usage } from "./failure.ts";
import { type Flag, textFlag } from "./flag.ts";
import type { Read } from "./host-flag.ts";
import { type Kubectl, type KubectlAnswer, runTool } from "./kubectl.ts";

const EXEC = ["kubectl", "ssh", "local"] as const;

export const EXEC_FLAGS: readonly Flag[] = [
  {
    ...textFlag("exec", "HOW", "where Slurm's commands run: kubectl, ssh, local (default kubectl)"),
    values: EXEC,
  },
  textFlag("ssh-host", "HOST", "machine of the controller, for --exec ssh"),
];

/** `node` is the NodeName of a compute pod; without it the controller is meant. */
export type SlurmRun = (
  argv: readonly string[],
  more?: { input?: string; node?: string },
) => Promise<KubectlAnswer>;

const LIMIT_MS = 20_000;
const HOST = /^[a-z0-9][\w.@:-]{0,255}$/i;

export function openSlurmRun(
  { flags, world }: Pick<Context, "flags" | "world">,
  kubectl: Kubectl,
  namespace: string,
): Read<SlurmRun> {
  const how = flags.text("exec") ?? "kubectl";
  const host = flags.text("ssh-host");
  if ((how === "ssh") !== (host !== null)) {
    return usage("--exec ssh and --ssh-host belong together");
  }
  if (host !== null && !HOST.test(host)) return usage(`--ssh-host ${host}: expected a host's name`);
  const run = (argv: readonly string[], input: string): Promise<KubectlAnswer> =>
    runTool(world, { argv, input, timeoutMs: LIMIT_MS });
  switch (how) {
    case "local":
      return { ok: true, value: (argv, { input = "" } = {}) => run(argv, input) };
    case "ssh": {
      const options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"];
      const over = ["ssh", ...options, "--", host ?? ""];
      return {
        ok: true,
        value: (argv, { input = "" } = {}) => run([...over, argv.map(quote).join(" ")], input),
      };
    }
    case "kubectl":
      return {
        ok: true,
        value: (argv, { input = "", node } = {}) => {
          const pod = node === undefined ? "deployment/slurm-controller" : `pod/${node}`;
          const exec = ["exec", "-i", "-n", namespace, pod, "--", ...argv];
          return kubectl(exec, { input, timeoutMs: LIMIT_MS });
        },
      };
    default:
      return unknownName("exec", how, EXEC);
  }
}

/** For the shell of the other side. */
const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
