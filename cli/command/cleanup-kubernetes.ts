/**
 * `navarch cleanup kubernetes`: removes the marks of an uninstalled control plane from a cluster's
 * Nodes. Connects to the API server itself, with the user's kubeconfig.
 */
import type { NodePorts } from "../../reconciler/kubernetes/node-call.ts";
import { VERSION } from "../../schema/version.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, type Failure, failure, usage } from "../failure.ts";
import { switchFlag, textFlag } from "../flag.ts";
import { NO_TERMINAL } from "../order.ts";
import { show } from "../show.ts";
import type { World } from "../world.ts";

export const cleanupKubernetes: Command = {
  name: ["cleanup", "kubernetes"],
  usage: "",
  summary: "remove all marks of Navarch from a cluster's Nodes",
  examples: ["navarch cleanup kubernetes --dry-run"],
  more:
    "Run it after an uninstall: a running control plane treats it as uncordon by an operator.\n" +
    "Cordons by people stay, and Nodes with navarch.dev/hold are not changed.",
  flags: [
    textFlag("kubeconfig", "FILE", "kubeconfig (default: as kubectl finds it)"),
    textFlag("context", "NAME", "kubeconfig context to use"),
    textFlag("fleet", "ID", "only Nodes with navarch.dev/fleet=ID"),
    switchFlag("dry-run", "list the Nodes without changing them"),
    switchFlag("yes", "skip the confirmation"),
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { flags, world } = context;
    const ports = await open(world, flags.text("kubeconfig"), flags.text("context"));
    if ("exit" in ports) return ports;
    try {
      return await clear(context, ports);
    } finally {
      // An open connection would keep the process running.
      ports.api.close();
    }
  },
};

async function clear(context: Context, ports: NodePorts): Promise<number | Failure> {
  const { flags, world } = context;
  const { clearMarks, listMarked } = await import("../../reconciler/kubernetes/clear-marks.ts");
  const listed = await listMarked(ports);
  if (listed.kind === "failed") return failure(EXIT.unreachable, "unreachable", listed.message);
  const wanted = flags.text("fleet");
  const fleets = new Set(listed.nodes.flatMap(({ fleet }) => (fleet === null ? [] : [fleet])));
  if (wanted === null && fleets.size > 1) {
    const named = [...fleets].sort().join(", ");
    return usage(`Nodes have marks of several fleets (${named}): choose one with --fleet ID`);
  }
  const nodes = listed.nodes.filter(({ fleet }) => wanted === null || fleet === wanted);
  const isDry = flags.on("dry-run");
  if (!isDry && nodes.length > 0 && !flags.on("yes")) {
    const said = world.ask(`Remove the marks of Navarch from ${nodes.length} Nodes? [y/N]`);
    if (said === null) return usage(NO_TERMINAL);
    if (!/^y(es)?$/i.test(said.trim())) {
      return failure(EXIT.refused, "refused", "nothing was changed");
    }
  }
  const rows: { name: string; fleet: string | null; cleared: boolean; problem: string | null }[] =
    [];
  for (const node of nodes) {
    const problem = isDry ? null : await clearMarks(ports, node);
    const { name, fleet } = node;
    rows.push({ name, fleet, cleared: !isDry && problem === null, problem });
  }
  const word = isDry ? "would be cleared" : "cleared";
  const human = (): string =>
    rows.length === 0
      ? "No Node of this cluster has marks of Navarch.\n"
      : rows.map(({ name, problem }) => `${name}: ${problem ?? word}\n`).join("");
  await show(context, { data: rows, names: rows.map(({ name }) => name), human });
  return rows.some(({ problem }) => problem !== null) ? EXIT.failed : EXIT.done;
}

async function open(
  world: World,
  kubeconfig: string | null,
  context: string | null,
): Promise<NodePorts | Failure> {
  const { openTransport, REAL_CLOCK } = await import("../../reconciler/kubernetes/connect.ts");
  const { openClient } = await import("../../reconciler/kubernetes/client.ts");
  const opened = await openTransport({ enabled: true, kubeconfig, context }, world.env);
  if (opened.kind !== "ok") {
    const why = opened.kind === "failed" ? opened.message : "no cluster is configured";
    // The message names configuration keys; this command has flags.
    const found = why
      .replace(/^kubernetes\.\w+ is (true|set), but /, "")
      .replace("kubernetes.kubeconfig", "--kubeconfig");
    return usage(`${found} (pass --kubeconfig FILE)`);
  }
  const clock = REAL_CLOCK;
  const userAgent = `navarch/${VERSION}`;
  const api = openClient(opened.transport, { clock, count: () => undefined, userAgent });
  return { api, clock, random: () => 0.5 };
}
