/**
 * `navarch sim workflow`, also `knavigator`: runs ordered task lists against a Kubernetes API.
 */
import type { RawCommand } from "../command.ts";
import { EXIT } from "../failure.ts";
import { asFlags, readGoFlags } from "../go-flag.ts";
import { formatWorkflowUsage, WORKFLOW_FLAGS } from "../workflow-flag.ts";

export const simulateWorkflow: RawCommand = {
  name: ["simulate", "workflow"],
  usage: "",
  summary: "run workflow files against a Kubernetes API",
  examples: [
    "navarch sim workflow -workflow test-job.yml -v 4 -cleanup",
    "navarch sim -workflow 'w/{config-nodes,run-test}.yaml' -report report.xml",
  ],
  more:
    "Also started as knavigator, or as navarch sim with these flags and no command.\n" +
    "Flags are read as Go programs do: one or two dashes, up to the first other word.\n" +
    "Exit 0 done, 1 failed, 2 wrong flag, 130 or 143 interrupted.",
  flags: asFlags(WORKFLOW_FLAGS),
  goFlags: WORKFLOW_FLAGS,
  words: { min: 0, max: 0 },
  reach: "raw",
  async run(world, argv) {
    const program = /^knavigator(\.exe)?$/.test(world.program) ? "knavigator" : "navarch sim";
    const usage = formatWorkflowUsage(program);
    const read = readGoFlags(WORKFLOW_FLAGS, argv);
    if (read.kind === "help") {
      world.out(usage);
      return EXIT.done;
    }
    const refuse = (status: number, message: string): number => {
      world.err(`${usage}\n${message}\n`);
      return status;
    };
    if (read.kind === "bad") return refuse(EXIT.usage, read.message);
    const { flags } = read;
    const [workflow, port] = [flags.text("workflow"), flags.number("port")];
    if (workflow === "" && port === 0) {
      return refuse(EXIT.failed, "must specify 'workflow' or 'port'");
    }
    if (workflow !== "" && port !== 0) {
      return refuse(EXIT.failed, "'workflow' and 'port' are mutually exclusive");
    }
    if (flags.rest.length > 0) {
      const first = JSON.stringify(flags.rest[0]);
      world.err(`warning: flags end at ${first}; it and what follows it are not read\n`);
    }
    if (port !== 0) {
      const { serveWorkflowPosts } = await import("../workflow-serve.ts");
      return serveWorkflowPosts(world, flags);
    }
    const { runWorkflowFiles } = await import("../workflow.ts");
    return runWorkflowFiles(world, flags);
  },
};
