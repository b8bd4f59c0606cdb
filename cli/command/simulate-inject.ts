/**
 * `navarch simulate inject`: hurts a simulated machine, or clears what was injected. The fault
 * enters in the machine, and its agent finds it.
 */
import type { FaultView } from "../../schema/api-simulation.ts";
import { formatFault, type MachineFault } from "../../schema/machine-fault.ts";
import type { Client } from "../client.ts";
import type { Command, Outcome } from "../command.ts";
import { type Failure, usage } from "../failure.ts";
import { type Flags, switchFlag, textFlag } from "../flag.ts";
import { getNode, nodePath } from "../lookup.ts";

const KINDS = ["ecc", "thermal", "nvlink", "lost"] as const;

export const simulateInject: Command = {
  name: ["simulate", "inject"],
  usage: "--node ID --xid N [--gpu I]",
  summary: "inject a fault into a simulated machine",
  examples: [
    "navarch sim inject --node training-0-1 --xid 79 --gpu 3",
    "navarch sim inject --node training-0-1 --clear",
  ],
  more:
    "Exactly one of --xid, --ecc, --thermal, --nvlink, --lost, --list and --clear. Needs a\n" +
    "control plane with simulation.enabled: true and a machine of a simulated provider, or a\n" +
    "worker of an AgentPool whose agent has --fake-gpus (docs/agentpool.md).\n" +
    "--clear ends heat, errors and lost GPUs; an XID stays in the kernel log.",
  flags: [
    textFlag("node", "ID", "the node (required)"),
    textFlag("xid", "N", "the driver logs XID N"),
    switchFlag("ecc", "an uncorrected memory error"),
    switchFlag("thermal", "the GPU is above its shutdown temperature"),
    switchFlag("nvlink", "the GPU's NVLinks are down"),
    switchFlag("lost", "the GPU falls off the bus"),
    textFlag("gpu", "I", "index of the GPU (default 0)"),
    switchFlag("list", "show the injected faults"),
    switchFlag("clear", "end every injected fault"),
  ],
  words: { min: 0, max: 0 },
  reach: "online",
  async run({ flags }, client) {
    const id = (flags.text("node") ?? "").trim();
    if (id === "") return usage("simulate inject needs --node ID (see navarch list)");
    const asked = readAsked(flags);
    if ("ok" in asked) return asked;
    const node = await getNode(client, id);
    if (!node.ok) return node;
    const { node_id: name } = node.value;
    const path = `${nodePath(name)}/faults`;
    if (asked.act === "list") return list(client, path, name);
    if (asked.act === "clear") return clear(client, path, name);
    const { fault } = asked;
    const answer = await client.send<{ fault: FaultView }>("POST", path, ["fault"], fault);
    if (!answer.ok) return answer;
    return {
      data: answer.value,
      names: [answer.value.fault.id],
      human: () => `Injected into node ${name}: ${formatFault(answer.value.fault)}\n`,
    };
  },
};

type Asked = { act: "list" } | { act: "clear" } | { act: "inject"; fault: MachineFault };

/** Exactly one of the flags that say what to do. */
function readAsked(flags: Flags): Asked | Failure {
  const xid = flags.text("xid");
  const chosen = [
    ...(xid === null ? [] : ["xid"]),
    ...[...KINDS, "list", "clear"].filter((name) => flags.on(name)),
  ];
  const [one, ...others] = chosen;
  if (one === undefined || others.length > 0) {
    const found = one === undefined ? "none" : chosen.map((name) => `--${name}`).join(" and ");
    const all = "--xid N, --ecc, --thermal, --nvlink, --lost, --list or --clear";
    return usage(`simulate inject needs exactly one of ${all}, found ${found}`);
  }
  const gpuText = flags.text("gpu");
  if (one === "list" || one === "clear") {
    if (gpuText !== null) return usage(`--gpu: --${one} is about the whole node`);
    return one === "list" ? { act: "list" } : { act: "clear" };
  }
  const gpu = wholeOf("gpu", gpuText ?? "0");
  if (typeof gpu !== "number") return gpu;
  const kind = KINDS.find((name) => name === one);
  if (kind !== undefined) return { act: "inject", fault: { kind, gpu } };
  const code = wholeOf("xid", xid ?? "");
  return typeof code === "number" ? { act: "inject", fault: { kind: "xid", code, gpu } } : code;
}

function wholeOf(name: string, text: string): number | Failure {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  return usage(`--${name}: expected a whole number, found "${text}"`);
}

async function list(client: Client, path: string, name: string): Outcome {
  const answer = await client.get<{ faults: FaultView[] }>(path, ["faults"]);
  if (!answer.ok) return answer;
  const { faults } = answer.value;
  const lines = faults.map((fault) => `${formatFault(fault)} since ${fault.at}\n`);
  return {
    data: answer.value,
    names: faults.map(({ id }) => id),
    human: () => (lines.length === 0 ? `Node ${name} has no injected fault\n` : lines.join("")),
  };
}

async function clear(client: Client, path: string, name: string): Outcome {
  const answer = await client.send<{ cleared: number }>("DELETE", path, ["cleared"]);
  if (!answer.ok) return answer;
  const { cleared } = answer.value;
  return {
    data: answer.value,
    names: [name],
    human: () => `Node ${name}: injected faults cleared: ${cleared}\n`,
  };
}
