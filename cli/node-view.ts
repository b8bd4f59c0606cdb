/** Formats nodes: the table of `list` and the page of `get`. Pure. */
import type {
  CordonView,
  HealthEventView,
  KubeNodeView,
  NodeView,
  SlurmNodeView,
} from "../schema/api.ts";
import { sayTimes } from "../reconciler/core/rma.ts";
import { formatAge, formatSpan, formatTime } from "./age.ts";
import { sayNodeWorker } from "./agentpool-view.ts";
import { titleOf } from "./name.ts";
import { formatLabels, formatTable, plain, type Style } from "./table.ts";
import { parseInstant } from "../schema/instant.ts";

/** Scripts rely on these columns and their order. */
const COLUMNS = [
  "Node ID",
  "Provider",
  "Region",
  "Zone",
  "Instance Type",
  "Status",
  "Health",
  "Last Heartbeat",
  "GPUs",
];
/** `Status` is one word for several things: phase and cordon stand apart here. */
const WIDE = ["Pool", "Instance", "K8s Node", "Reason", "Age", "Phase", "Cordon"];

/** Health events printed for one node; `-o json` has all. */
const EVENTS_SHOWN = 10;
/** Of Slurm. */
const JOBS_SHOWN = 5;

export function formatNodes(
  nodes: readonly NodeView[],
  nowMs: number,
  wide: boolean,
  style: Style,
): string {
  const rows = nodes.map((node) => [
    node.node_id,
    node.provider ?? "",
    node.region ?? "",
    node.zone ?? "",
    node.instance_type ?? "",
    titleOf(node.status),
    titleOf(node.health_status),
    formatAge(node.last_heartbeat, nowMs),
    String(node.gpus?.length ?? 0),
    ...(wide ? wideCells(node, nowMs) : []),
  ]);
  return formatTable(wide ? [...COLUMNS, ...WIDE] : COLUMNS, rows, style);
}

function wideCells(node: NodeView, nowMs: number): string[] {
  const created = parseInstant(node.created_at ?? "");
  return [
    node.pool ?? "",
    node.instance_id ?? "",
    node.kubernetes_node ?? "",
    (node.reasons ?? []).join("; "),
    Number.isNaN(created) ? "" : formatSpan(nowMs - created),
    node.phase ?? "",
    cordonsOf(node)
      .map(({ by }) => by)
      .join(", "),
  ];
}

/** A person's before Navarch's. */
function cordonsOf({ cordons }: NodeView): CordonView[] {
  return [cordons?.human, cordons?.product].filter(isCordon);
}

/** By pool, then id; nodes without a pool last. Numbers in ids sort as numbers. */
export function sortNodes(nodes: readonly NodeView[]): NodeView[] {
  const order = new Intl.Collator("en", { numeric: true });
  const rank = (node: NodeView) => (node.pool === null ? 1 : 0);
  return [...nodes].sort(
    (a, b) =>
      rank(a) - rank(b) ||
      order.compare(a.pool ?? "", b.pool ?? "") ||
      order.compare(a.node_id, b.node_id),
  );
}

export function formatNode(node: NodeView, nowMs: number, style: Style): string {
  const { metadata } = node;
  const labels: [string, string][] = [
    ["Node ID", node.node_id],
    ["Provider", node.provider ?? ""],
    ["Region", node.region ?? ""],
    ["Zone", node.zone ?? ""],
    ["Instance Type", node.instance_type ?? ""],
    ["Status", titleOf(node.status)],
    ["Health", titleOf(node.health_status)],
    ["Last Heartbeat", formatAge(node.last_heartbeat, nowMs)],
    ["Pool", node.pool ?? ""],
    ["Instance", node.instance_id ?? ""],
    ["Phase", phaseOf(node, nowMs)],
  ];
  if ((node.reasons ?? []).length > 0) labels.push(["Reasons", node.reasons.join("; ")]);
  for (const { by, why, at } of cordonsOf(node)) {
    labels.push(["Cordoned", `by ${by} ${formatAge(at, nowMs)}: ${why}`]);
  }
  if (node.kubernetes) labels.push(["Kubernetes", sayKube(node.kubernetes)]);
  if (node.slurm) labels.push(["Slurm", saySlurm(node.slurm)]);
  if (node.worker) labels.push(["AgentPool", sayNodeWorker(node.worker)]);
  if (node.replaces) labels.push(["Replacement", `takes the place of ${node.replaces}`]);
  if (node.fake) labels.push(["Simulated", "yes: its GPUs are not real"]);
  return [
    formatLabels(labels, style),
    formatRma(node.rma),
    formatGpus(node),
    "Metadata:\n",
    indent([
      ["Hostname", metadata?.hostname ?? ""],
      ["Internal IP", metadata?.internal_ip ?? ""],
      ["External IP", metadata?.external_ip ?? ""],
      ["Kernel", metadata?.kernel_version ?? ""],
      ...Object.entries(metadata?.labels ?? {}).map(([key, value]): [string, string] => [
        `Label ${key}`,
        value,
      ]),
    ]),
    formatHealthEvents(node.health_events ?? []),
  ].join("");
}

const OWNERS = {
  ...{ own: "navarch", foreign: "others", slurm: "Slurm itself" },
  ...{ none: "no owner", unknown: "an unknown owner" },
};

function saySlurm(slurm: SlurmNodeView): string {
  const { name, state, owner, reason, unknown, refusal } = slurm;
  if (unknown !== null) return `${name}: unknown, because ${unknown}`;
  if (slurm.absent_since !== null) return `${name}: not listed any more`;
  const held = owner === "none" ? "" : `, held by ${OWNERS[owner]} (${reason ?? "no reason"})`;
  const ids = slurm.jobs.slice(0, JOBS_SHOWN).map(({ id }) => id);
  const more = slurm.jobs.length > ids.length ? " and more" : "";
  const jobs = ids.length === 0 ? "" : `, jobs ${ids.join(", ")}${more}`;
  const refused = refusal === null ? "" : `, Slurm refused: ${refusal}`;
  return `${name}: ${state ?? "unknown"}${held}${jobs}${refused}`;
}

/** Made to be copied into a vendor's form. */
function formatRma(rma: NodeView["rma"]): string {
  if (rma === undefined) return "";
  const faults = rma.faults.flatMap((one): [string, string][] => [
    ["Fault", `${one.fault}, ${sayTimes(one)}, ${formatTime(one.at)}`],
    ["  GPU", [one.gpu_index, one.gpu_model].filter((part) => part !== null).join(" ")],
    ["  Serial", one.gpu_serial ?? "not reported"],
    ["  UUID", one.gpu_uuid ?? "not reported"],
    ["  PCI", one.pci_bus_id ?? "not reported"],
    ["  Log", one.line],
  ]);
  const head: [string, string][] = [
    ["Host", [rma.host, rma.hostname, rma.address].filter((part) => part !== null).join(", ")],
    ["Rack", rma.rack ?? "not in the inventory"],
    ["Driver", rma.driver_version ?? "not reported"],
    ["Kernel", rma.kernel_version ?? "not reported"],
    ["Reboot", rma.rebooted_at === null ? "none" : formatTime(rma.rebooted_at)],
    ["Because", rma.because.join("; ")],
  ];
  return `RMA record of ${formatTime(rma.at)}:\n${indent([...head, ...faults])}`;
}

function sayKube(kube: KubeNodeView): string {
  if (kube.absent_since !== null) {
    return `Node ${kube.name} is no longer in the cluster since ${formatTime(kube.absent_since)}`;
  }
  const by = [...(kube.marked ? ["navarch"] : []), ...kube.held_by];
  const who = by.length === 0 ? "an unknown client" : by.join(", ");
  const mark = kube.unschedulable ? `unschedulable by ${who}` : "schedulable";
  const hold = kube.hold ? ", hold" : "";
  if (kube.stays) return `Node ${kube.name} is still in the cluster: ${kube.stays}`;
  return `Node ${kube.name}, ${mark}${hold} (matched by ${kube.matched_by})`;
}

function isCordon(cordon: CordonView | null | undefined): cordon is CordonView {
  return cordon !== null && cordon !== undefined;
}

function phaseOf(node: NodeView, nowMs: number): string {
  const since = parseInstant(node.phase_since ?? "");
  if (Number.isNaN(since)) return node.phase ?? "";
  return `${node.phase} for ${formatSpan(nowMs - since)}`;
}

function formatGpus(node: NodeView): string {
  const gpus = node.gpus ?? [];
  if (gpus.length === 0) return "GPUs: none\n";
  const blocks = gpus.map(
    (gpu) =>
      `  ${gpu.index}:\n` +
      indent(
        [
          ["UUID", gpu.uuid],
          ["Name", gpu.name],
          ["PCI Bus ID", gpu.pci_bus_id],
        ],
        4,
      ),
  );
  return `GPUs:\n${blocks.join("")}`;
}

function formatHealthEvents(events: readonly HealthEventView[]): string {
  if (events.length === 0) return "";
  const newest = [...events].sort((a, b) => (a.timestamp < b.timestamp ? 1 : -1));
  const lines = newest.slice(0, EVENTS_SHOWN).map((event) => {
    const gpu = event.gpu_index === null ? "node" : `GPU ${event.gpu_index}`;
    const code = event.code === null ? "" : ` ${event.code}`;
    const text = `${event.severity} ${event.kind}${code} on ${gpu}: ${event.message}`;
    return `  ${formatTime(event.timestamp)}  ${plain(text)}\n`;
  });
  const more = events.length > EVENTS_SHOWN ? `  … ${events.length - EVENTS_SHOWN} older\n` : "";
  return `Health Events:\n${lines.join("")}${more}`;
}

function indent(pairs: readonly (readonly [string, string])[], by = 2): string {
  const lines = formatLabels(pairs, { color: false, columns: null }).trimEnd().split("\n");
  return lines.map((line) => `${" ".repeat(by)}${line}\n`).join("");
}
