/**
 * `navarch slurm healthcheck`: runs the agent's own `slurm-healthcheck`, which knows its files. A
 * GPU machine has the agent and need not have this program; this is for people and wrappers.
 *
 * Adapter: a child process.
 */
import { dirname } from "node:path";
import { oneLine } from "../../schema/terminal.ts";
import type { Command, Context, Outcome } from "../command.ts";
import { textFlag } from "../flag.ts";

/** Where packages and `install.sh` put it, after the folder of this program. */
const PATH = "/usr/local/bin:/usr/bin";
/** slurmd kills at 60 s and starts a copy at each interval. */
const LIMIT_MS = 950;

export const slurmHealthcheck: Command = {
  name: ["slurm", "healthcheck"],
  usage: "",
  summary: "drain this node in Slurm if its agent found a fault",
  examples: ["navarch slurm healthcheck"],
  more: `Slurm calls HealthCheckProgram without arguments: make a link to the agent

  ln -s /usr/local/bin/navarch-node /usr/local/sbin/slurm-healthcheck

on each GPU machine and set HealthCheckProgram to the link in slurm.conf. It reads the last
verdict of the agent from its folder, and drains $SLURMD_NODENAME with a reason that begins with
navarch:node, unless the node is out of service already. An agent that is absent or silent is
reported, and the node is not drained. Exit status: always 0.`,
  flags: [textFlag("spool", "DIR", "the agent's --spool (default /var/lib/navarch-node)")],
  words: { min: 0, max: 0 },
  reach: "offline",
  run: (context) => check(context),
};

async function check({ flags, world }: Context): Outcome {
  const spool = flags.text("spool");
  const path = Bun.which("navarch-node", {
    PATH: `${dirname(process.execPath)}:${world.env["PATH"] ?? ""}:${PATH}`,
  });
  const ran = path === null ? null : run(path, spool, world.env);
  const said = ran ?? "no verdict: navarch-node is not installed here";
  return { data: { result: said }, names: [said], human: () => `${oneLine(said)}\n` };
}

function run(path: string, spool: string | null, env: Context["world"]["env"]): string {
  const more = spool === null ? [] : ["--spool", spool];
  try {
    const argv = [path, "slurm-healthcheck", ...more];
    const limits = { timeout: LIMIT_MS, killSignal: "SIGKILL", maxBuffer: 65_536 } as const;
    const child = Bun.spawnSync(argv, { cwd: "/", env: { ...env }, ...limits });
    const said = child.stdout.toString().trim();
    return said === "" ? `no verdict: ${path} did not answer within ${LIMIT_MS} ms` : said;
  } catch (cause) {
    return `no verdict: ${path} could not be started: ${String(cause)}`;
  }
}
