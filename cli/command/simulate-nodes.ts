/**
 * `navarch sim nodes`: makes the virtual nodes of a cluster equal to a list, shows or deletes them.
 */
import type { RawCommand } from "../command.ts";
import { EXIT } from "../failure.ts";
import { asFlags, formatGoUsage, type GoFlag, readGoFlags } from "../go-flag.ts";
import { KUBE_FLAGS } from "../kube.ts";
import { nearest } from "../../schema/nearest.ts";
import type { NodeVerb } from "../node-set.ts";

const FLAGS: readonly GoFlag[] = [
  {
    name: "f",
    kind: "string",
    value: "FILE",
    help: "apply: a file with the key nodes, a list of entries; - is standard input",
  },
  {
    name: "taint",
    kind: "bool",
    help: "apply: entries without taint get kwok.x-k8s.io/node=fake:NoSchedule",
  },
  { name: "timeout", kind: "duration", value: "T", default: "5m", help: "limit of the whole" },
  ...KUBE_FLAGS,
];

const VERBS: readonly NodeVerb[] = ["apply", "list", "delete"];
const isVerb = (word: string): word is NodeVerb => VERBS.some((verb) => verb === word);

export const simulateNodes: RawCommand = {
  name: ["simulate", "nodes"],
  usage: "apply -f FILE | list | delete",
  summary: "keep a set of virtual nodes in a cluster",
  examples: [
    "navarch sim nodes apply -f nodes.yaml",
    "navarch sim nodes list",
    "navarch sim nodes delete -kubectx rehearsal",
  ],
  more:
    "KWOK keeps the nodes alive in place of kubelets. Only nodes with the label\n" +
    "navarch.dev/nodeset=virtual-nodes are changed or deleted; unchanged nodes keep their\n" +
    "names. Flags follow the verb and are read as Go programs do.",
  flags: asFlags(FLAGS),
  goFlags: FLAGS,
  words: { min: 1, max: 1 },
  reach: "raw",
  async run(world, argv) {
    const [verb = "", ...rest] = argv;
    const usage = formatGoUsage("usage: navarch sim nodes apply -f FILE | list | delete", FLAGS);
    const refuse = (message: string): number => {
      world.err(`${usage}\n${message}\n`);
      return EXIT.usage;
    };
    const read = readGoFlags(FLAGS, isVerb(verb) ? rest : argv);
    if (read.kind === "help") {
      world.out(usage);
      return EXIT.done;
    }
    if (!isVerb(verb)) {
      const close = nearest(verb, VERBS);
      const hint = close === null ? "" : `: did you mean "${close}"?`;
      const isNone = verb === "" || verb.startsWith("-");
      const found = isNone ? "" : `unknown verb "${verb}"; `;
      return refuse(`${found}expected apply, list or delete${hint}`);
    }
    if (read.kind === "bad") return refuse(read.message);
    const { flags } = read;
    if (flags.rest.length > 0) return refuse(`unexpected ${JSON.stringify(flags.rest[0])}`);
    if ((verb === "apply") !== (flags.text("f") !== "")) {
      return refuse(verb === "apply" ? "apply needs -f FILE" : `${verb} takes no -f`);
    }
    const { runNodes } = await import("../node-set.ts");
    return runNodes(world, verb, flags);
  },
};
