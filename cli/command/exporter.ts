/**
 * `navarch exporter`: serves what pods request of each Node, under the flags of the seed's
 * node-resource exporter.
 */
import type { NodeLabel } from "../../reconciler/core/kubernetes/node-resource.ts";
import type { KubeApi } from "../../reconciler/kubernetes/api.ts";
import type { RawCommand } from "../command.ts";
import { EXIT } from "../failure.ts";
import { asFlags, formatGoUsage, type GoFlag, type GoFlags, readGoFlags } from "../go-flag.ts";
import { KUBE_FLAGS, openKube } from "../kube.ts";
import { isNamespace } from "../manifest.ts";
import type { World } from "../world.ts";

const FLAGS: readonly GoFlag[] = [
  { name: "p", kind: "int", value: "PORT", default: "8080", help: "port to listen on" },
  {
    name: "host",
    kind: "string",
    value: "ADDRESS",
    default: "::",
    help: "address to listen at, :: is every one; there is no login",
  },
  { name: "n", kind: "string", value: "NAMESPACE", help: "count pods of this namespace only" },
  {
    name: "r",
    kind: "string",
    value: "NAME,…",
    default: "cpu,memory,nvidia.com/gpu",
    help: "resources; empty is none",
  },
  {
    name: "l",
    kind: "string",
    value: "KEY,…",
    help: "labels of Nodes that become labels of the series",
  },
  ...KUBE_FLAGS,
  // Flags of the logger of the program that it stands in for.
  { name: "v", kind: "int", help: "ignored", hidden: true },
  { name: "vmodule", kind: "string", help: "ignored", hidden: true },
  { name: "logtostderr", kind: "bool", help: "ignored", hidden: true },
  { name: "alsologtostderr", kind: "bool", help: "ignored", hidden: true },
  { name: "log_dir", kind: "string", help: "ignored", hidden: true },
];
/** `program` is the name that the operator typed. */
const headOf = (program: string): string =>
  `Usage of ${program}: ${program} [-p PORT] [-host ADDRESS] [-n NAMESPACE] ` +
  "[-r NAME,…] [-l KEY,…]\n";

export const exporter: RawCommand = {
  name: ["exporter"],
  usage: "",
  summary: "serve what pods request of each node, for Prometheus",
  examples: ["navarch exporter -p 8080 -r cpu,memory,nvidia.com/gpu -l nodeInstance,nodeType"],
  more:
    "Serves /metrics with node_resource_requests, _limits and _occupancy, by node and resource.\n" +
    "Flags are Go's. Its pods and nodes come from one cluster: get, list and watch on both.",
  flags: asFlags(FLAGS),
  goFlags: FLAGS,
  words: { min: 0, max: 0 },
  reach: "raw",
  async run(world, argv) {
    const isOther = /^node-resource-exporter(\.exe)?$/.test(world.program);
    const usage = formatGoUsage(
      headOf(isOther ? "node-resource-exporter" : "navarch exporter"),
      FLAGS,
    );
    const read = readGoFlags(FLAGS, argv);
    if (read.kind === "help") {
      world.out(usage);
      return EXIT.done;
    }
    if (read.kind === "bad") {
      world.err(`${usage}\n${read.message}\n`);
      return EXIT.usage;
    }
    const asked = await readAsked(read.flags);
    if (!asked.ok) return refuse(world, asked.message);
    const kube = await openKube(world, read.flags);
    if (!kube.ok) return fail(world, kube.message);
    for (const warning of kube.warnings) world.err(`warning: ${warning}\n`);
    const { openExporter } = await import("../../reconciler/server/exporter.ts");
    const { REAL_CLOCK } = await import("../../reconciler/kubernetes/connect.ts");
    try {
      const opened = openExporter({
        ...{ ...asked, api: kube.api, clock: REAL_CLOCK },
        say: (line) => world.err(`exporter: ${line}\n`),
      });
      world.outlast?.();
      world.err(`exporter: serving ${at(asked.host, opened.port)}/metrics from ${kube.server}\n`);
      if (asked.namespace !== null) await warnAbsent(world, kube.api, asked.namespace);
    } catch (cause) {
      kube.api.close();
      return fail(world, `cannot listen at ${at(asked.host, asked.port)}: ${whyOf(cause)}`);
    }
    return new Promise<number>(() => undefined);
  },
};

type Asked =
  | {
      ok: true;
      port: number;
      host: string;
      namespace: string | null;
      resources: string[];
      labels: readonly NodeLabel[];
    }
  | { ok: false; message: string };

async function readAsked(flags: GoFlags): Promise<Asked> {
  const { nameLabels, NAMES_MAX } =
    await import("../../reconciler/core/kubernetes/node-resource.ts");
  const { isLabelKey } = await import("../../reconciler/config/label.ts");
  const [word] = flags.rest;
  if (word !== undefined) return { ok: false, message: `unexpected ${JSON.stringify(word)}` };
  const port = flags.number("p");
  if (port < 0 || port > 65_535) {
    return { ok: false, message: `-p ${port}: expected a port from 0 to 65535` };
  }
  const host = flags.text("host");
  if (!/^[\w.:-]{1,253}$/.test(host)) {
    const hint = "expected an address, such as 127.0.0.1 or ::";
    return { ok: false, message: `-host ${JSON.stringify(host)}: ${hint}` };
  }
  const namespace = flags.text("n");
  if (namespace !== "" && !isNamespace(namespace)) {
    const expected = "expected lower-case letters, digits and dashes";
    return { ok: false, message: `-n ${namespace}: ${expected}` };
  }
  const lists = new Map<string, string[]>();
  for (const flag of ["r", "l"]) {
    const names = listOf(flags.text(flag));
    const bad = names.find((name) => !isLabelKey(name));
    if (bad !== undefined) {
      const hint = "expected NAME or DOMAIN/NAME, separated by commas";
      return { ok: false, message: `-${flag}: ${JSON.stringify(bad)}: ${hint}` };
    }
    if (names.length > NAMES_MAX) {
      return { ok: false, message: `-${flag}: more than ${NAMES_MAX} names` };
    }
    lists.set(flag, names);
  }
  const named = nameLabels(lists.get("l") ?? []);
  if (!named.ok) return { ok: false, message: `-l: ${named.message}` };
  const resources = lists.get("r") ?? [];
  return { ok: true, port, host, namespace: namespace || null, resources, labels: named.labels };
}

/** A misspelt namespace would look like an idle cluster. Says nothing without the right to look. */
async function warnAbsent(world: World, api: KubeApi, namespace: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}`;
  const answer = await api.call({ verb: "get", path, timeoutMs: 10_000, lane: "read" });
  if (answer.kind !== "refused" || answer.status !== 404) return;
  world.err(`exporter: namespace ${namespace} does not exist; its pods count once it does\n`);
}

const listOf = (text: string): string[] => [
  ...new Set(
    text
      .split(",")
      .map((one) => one.trim())
      .filter((one) => one !== ""),
  ),
];

/** `:8080` where every address is meant. */
const at = (host: string, port: number): string =>
  `${host === "::" ? "" : host.includes(":") ? `[${host}]` : host}:${port}`;

function refuse(world: World, message: string): number {
  world.err(`error: ${message}\n`);
  return EXIT.usage;
}

function fail(world: World, message: string): number {
  world.err(`error: ${message}\n`);
  return EXIT.failed;
}

function whyOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return "code" in cause && cause.code === "EADDRINUSE" ? "it is in use" : cause.message;
}
