/**
 * `navarch bootstrap <id>`: shows how a machine was set up, step by step, with the output of each
 * command; `--follow` continues until the set-up ends. `--host` sets up a machine from here and
 * loads the code for that on demand.
 */
import { TEMPLATE_VARIABLES } from "../../bootstrap/template/variable.ts";
import type { BootstrapView } from "../../schema/api-bootstrap.ts";
import { followBootstrap } from "../bootstrap-follow.ts";
import { formatAttempts } from "../bootstrap-view.ts";
import type { Client } from "../client.ts";
import type { Command, Context, Outcome } from "../command.ts";
import { usage } from "../failure.ts";
import { switchFlag, textFlag } from "../flag.ts";
import { HOST_FLAGS } from "../host-flag.ts";
import { suggestNode } from "../lookup.ts";
import { plain } from "../table.ts";

const VARIABLES = Object.keys(TEMPLATE_VARIABLES)
  .join(", ")
  .replace(/(.{1,94})(?: |$)/g, "$1\n")
  .trimEnd();

/** Flags valid only with `--host`, and flags valid only with `<node-id>`. */
const HOST_ONLY = HOST_FLAGS.map(({ name }) => name).filter((name) => name !== "host");
const LOOK_ONLY = ["attempt", "all", "follow"];

export const bootstrap: Command = {
  name: ["bootstrap"],
  usage: "<node-id> | --host H",
  summary: "show or run the setup of a machine over SSH",
  examples: ["navarch bootstrap gpu-7 --follow", "navarch bootstrap --host 10.0.0.7 --user ubuntu"],
  more: `Shows the last attempt; --attempt N shows another, --all all stored attempts.
--follow prints a log: all stored attempts, then each line as the machine
prints it, until the setup ends (exit 1 if it failed); with -o json one
object for each finished step.

With --host this computer sets up an existing machine in the same way as the control plane sets
up machines that it creates: it runs the commands of --template and --file as root, each with its
own deadline. Finished commands are recorded on the machine: run the same command again to
resume, also after Ctrl-C. The host key is stored at first use; a different key later stops the
set-up. The template agent needs a control plane (--server) and creates a join token there, for
one node and one use; to use your own token, pass --set JoinToken=T or, hidden from other users,
NAVARCH_JOIN_TOKEN. The node is watched like any other, but its pool does not count it unless
the pool adopts machines (adopt: true).
Exit status: 1 a step failed, 4 the key or sudo was refused, 5 the machine is unreachable,
6 the host key differs or another run is active, 130 interrupted.

  navarch bootstrap --host 10.0.0.7 --key ~/.ssh/id_ed25519 --template agent --pool training \\
      --server https://navarch.example:50051
  navarch bootstrap --host gpu-7 --file prepare.sh --set Region=us-west-2 --dry-run
  navarch bootstrap --host gpu-7 --template slurm-node --set name=n7 --munge-key munge.key \\
      --set conf-server=10.0.0.2

The template slurm-node joins Slurm as a dynamic node under --set name=N, with what --set
SlurmNodeConf=… says it has; --set dynamic=false joins a node of slurm.conf. The configuration
comes from the controller of --set conf-server=H, or from the files of --slurm-conf DIR. A key or
file that differs on the machine is sent, and then all commands run again.

Templates are agent, kubernetes-join and slurm-node; variables of --file and --set are
${VARIABLES}.`,
  flags: [
    textFlag("attempt", "N", "show attempt N, counted from 1"),
    switchFlag("all", "show all stored attempts"),
    switchFlag("commands", "print commands in full"),
    {
      name: "follow",
      short: "f",
      kind: "switch",
      help: "print steps as they run, until the set-up ends",
    },
    ...HOST_FLAGS,
  ],
  words: { min: 0, max: 1 },
  lasts: (flags) => flags.on("follow") || flags.text("host") !== null,
  reach: "offline",
  async run(context) {
    const [id] = context.words;
    const { flags } = context;
    if (flags.text("host") !== null) {
      if (id !== undefined) return usage("bootstrap takes <node-id> or --host H, not both");
      const alien = LOOK_ONLY.find((name) => flags.from(name) !== null);
      if (alien !== undefined) return usage(`--${alien} goes with <node-id>, not with --host`);
      const { setUpHost } = await import("../host-set-up.ts");
      return setUpHost(context);
    }
    const alien = HOST_ONLY.find((name) => flags.from(name) !== null);
    if (alien !== undefined) return usage(`--${alien} goes with --host H`);
    if (id === undefined)
      return usage("bootstrap needs <node-id> or --host H (see navarch help bootstrap)");
    const client = context.connect();
    return "ok" in client ? client : look(context, client, id);
  },
};

async function look(context: Context, client: Client, id: string): Outcome {
  const { flags } = context;
  const wanted = flags.text("attempt");
  if (wanted !== null && !/^[1-9]\d*$/.test(wanted)) {
    return usage(`--attempt ${wanted}: expected a number from 1`);
  }
  if (flags.on("follow")) return followBootstrap(context, () => ask(client, id));
  const answer = await ask(client, id);
  if (!answer.ok) return answer;
  const { value } = answer;
  const number = wanted === null ? null : Number(wanted);
  const shown = value.attempts.filter(({ attempt }, i) =>
    number === null ? flags.on("all") || i === 0 : attempt === number,
  );
  if (number !== null && shown.length === 0) {
    const kept = value.attempts.map(({ attempt }) => attempt).toReversed();
    return usage(`no attempt ${number} of ${id}; kept: ${kept.join(", ") || "none"}`);
  }
  return {
    data: { ...value, attempts: shown },
    names: shown.map(({ attempt }) => String(attempt)),
    human: () => formatAttempts(shown, flags.on("commands")),
    empty: plain(`${id} was not set up over SSH (it is ${value.phase})`),
  };
}

async function ask(client: Client, id: string) {
  const answer = await client.get<BootstrapView>(`/nodes/${encodeURIComponent(id)}/bootstrap`, [
    "attempts",
  ]);
  return answer.ok || answer.code !== "not_found" ? answer : suggestNode(client, id, answer);
}
