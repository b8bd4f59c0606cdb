/**
 * `navarch sim submit`, also `klient`: sends workflow files to a server, one after another.
 */
import type { RawCommand } from "../command.ts";
import { CONNECT_FLAGS } from "../connect.ts";
import { EXIT } from "../failure.ts";
import { asFlags, formatGoUsage, type GoFlag, readGoFlags } from "../go-flag.ts";

export const SUBMIT_FLAGS: readonly GoFlag[] = [
  {
    name: "address",
    kind: "string",
    value: "URL",
    help: "a server that navarch sim -port started: http://HOST:PORT",
  },
  {
    name: "workflow",
    kind: "string",
    value: "LIST",
    help: "comma list of workflow files and folders; braces expand: 'a/{x,y}.yaml'",
  },
  {
    name: "cleanup",
    kind: "bool",
    help: "with -server: each workflow removes what it created when it ends",
  },
  {
    name: "v",
    kind: "int",
    value: "N",
    default: "0",
    help: "with -server: detail of the log; from 4 on rendered names, pods and API writes",
  },
  ...CONNECT_FLAGS,
];

export const simulateSubmit: RawCommand = {
  name: ["simulate", "submit"],
  usage: "",
  summary: "send workflow files to a server and wait for their end",
  examples: [
    "navarch sim submit -address http://127.0.0.1:8080 -workflow test-job.yml",
    "navarch sim submit -server https://navarch.internal -workflow job.yml -cleanup",
  ],
  more:
    "With -server the control plane runs them, and what they print follows here; Ctrl-C leaves\n" +
    "them running there. Also started as klient. Flags are read as Go programs do.",
  flags: asFlags(SUBMIT_FLAGS),
  goFlags: SUBMIT_FLAGS,
  words: { min: 0, max: 0 },
  reach: "raw",
  async run(world, argv) {
    const program = /^klient(\.exe)?$/.test(world.program) ? "klient" : "navarch sim submit";
    const head = `Usage of ${program}: ${program} -address URL -workflow LIST [flags]\n`;
    const usage = formatGoUsage(head, SUBMIT_FLAGS);
    const read = readGoFlags(SUBMIT_FLAGS, argv);
    if (read.kind === "help") {
      world.out(usage);
      return EXIT.done;
    }
    if (read.kind === "bad") {
      world.err(`${usage}\n${read.message}\n`);
      return EXIT.usage;
    }
    const { flags } = read;
    const fail = (message: string): number => {
      world.err(`error: ${message}\n`);
      return EXIT.failed;
    };
    const isPlane = flags.isGiven("server") || flags.isGiven("state");
    if (flags.text("address") === "" && !isPlane) {
      const other = "-address of a navarch sim -port, or -server of a control plane";
      return fail(`missing 'address' argument: give ${other}`);
    }
    if (flags.text("address") !== "" && isPlane) {
      return fail("'address' and 'server' are mutually exclusive");
    }
    if (flags.text("workflow") === "") return fail("missing 'workflow' argument");
    const { submitWorkflows } = await import("../submit.ts");
    return submitWorkflows(world, flags, isPlane);
  },
};
