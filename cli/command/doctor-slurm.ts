/**
 * `navarch doctor slurm`: checks the control plane's access to Slurm and the names on which both
 * must agree; with `--local` this machine's commands, munge and slurm.conf too.
 */
import type { SlurmClusterView, SlurmRightsView } from "../../schema/slurm-view.ts";
import type { Client } from "../client.ts";
import type { Command } from "../command.ts";
import type { Diagnosis } from "../diagnosis-row.ts";
import { judgeSlurmCluster } from "../diagnosis-slurm.ts";
import { EXIT, type Failure } from "../failure.ts";
import { switchFlag } from "../flag.ts";
import { show } from "../show.ts";
import { examineSlurm } from "../slurm-examine.ts";
import { COMMAND_DIR, openSlurmTool } from "../slurm-tool.ts";
import { formatDiagnoses } from "./doctor.ts";

export const doctorSlurm: Command = {
  name: ["doctor", "slurm"],
  usage: "",
  summary: "check access to Slurm, and the names on which both agree",
  examples: ["navarch doctor slurm", "navarch doctor slurm --local"],
  more:
    "--local asks no control plane: it checks Slurm's commands, munge and slurm.conf on this\n" +
    "machine, and the power programs if it is the controller's. SLURM_CONF names the file.\n" +
    "Exit 1 if anything failed; warnings do not count.",
  flags: [
    switchFlag("local", "check this machine instead of asking the control plane"),
    COMMAND_DIR,
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { flags, world } = context;
    let found: Diagnosis[] | Failure;
    if (flags.on("local")) {
      found = await examineSlurm(openSlurmTool(world, flags.text("command-dir")));
    } else {
      const client = context.connect();
      found = "ok" in client ? client : await examine(client);
    }
    if ("exit" in found) return found;
    const rows = found;
    await show(context, {
      data: rows,
      names: rows.map((one) => `${one.check}: ${one.outcome}`),
      human: (_wide, style) => formatDiagnoses(rows, style),
    });
    return rows.some((one) => one.outcome === "fail") ? EXIT.failed : EXIT.done;
  },
};

async function examine(client: Client): Promise<Diagnosis[] | Failure> {
  const answer = await client.get<SlurmClusterView>("/slurm", ["attached"]);
  if (!answer.ok) return answer;
  if (!answer.value.attached) return judgeSlurmCluster(answer.value, null);
  const rights = await client.get<SlurmRightsView>("/slurm/rights", ["allowed"]);
  return judgeSlurmCluster(answer.value, rights.ok ? rights.value : null);
}
