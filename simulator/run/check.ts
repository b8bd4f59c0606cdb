/**
 * Assertions: what a scenario expects, asked of the control plane's interface and of the event log.
 */
import { formatDuration } from "../../schema/duration.ts";
import type { Finding } from "../../schema/finding.ts";
import type { NodeId } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { NodeView } from "../../schema/api.ts";
import { isWithin, type Assertion, type CountTarget, type Health } from "../scenario/scenario.ts";
import type { Stack } from "../stack/stack.ts";
import type { Api } from "./api.ts";
import { isCounted } from "./detection.ts";
import { checkKube } from "./kube-check.ts";
import { parseSelector, sumSeries } from "./metric.ts";
import type { RunRecord } from "./record.ts";
import { quantilesOf } from "./span.ts";
import { parseInstant } from "../../schema/instant.ts";

/**
 * `held`: the product's verdict. `last-report`: that of the newest report alone. `upstream`: the
 * verdict over the GPUs that still answer, as upstream's files expect: a GPU off the bus does not
 * answer, one that needs a reset does.
 */
export const SEMANTICS = ["held", "last-report", "upstream"] as const;
export type Semantics = (typeof SEMANTICS)[number];

/** What was expected, what was found. */
export type Checked = { name: string; expected: string; actual: string; passed: boolean };

export type CheckFrom = {
  api: Api;
  stack: Stack;
  record: RunRecord;
  semantics: Semantics;
  heartbeatTimeoutMs: number;
};

/** `active` of `NODE_STATUS_ACTIVE`. */
export function wordOf(full: string): string {
  return full.replace(/^(NODE|HEALTH)_STATUS_/, "").toLowerCase();
}

/** By the scenario's name; `null` = the product does not know it, or does not answer. */
export async function statusOf({ api, stack }: CheckFrom, name: string): Promise<NodeView | null> {
  const member = stack.population.find(name);
  return member === null ? null : api.node(member.nodeId);
}

export async function healthOf(from: CheckFrom, name: string): Promise<Health | "unknown" | null> {
  const view = await statusOf(from, name);
  if (view === null) return null;
  if (from.semantics === "held") return wordOf(view.health_status) as Health;
  // The interface shows what is held; the rest is only in the node's document.
  const life = from.stack.plane.life();
  const node = life?.process.reconciler.fleet().nodes.get(view.node_id as NodeId);
  if (node === undefined) return null;
  return from.semantics === "upstream" ? verdictOfPresent(node) : node.health.lastReport;
}

/** XID 79: the GPU has fallen off the bus. */
const OFF_THE_BUS = 79;

/** The worst that is held against GPUs which are still there, or against the node itself. */
function verdictOfPresent({ health }: Node): Health | "unknown" {
  const gpuOf = ({ gpu_uuid, gpu_index, pci }: Finding): string =>
    gpu_uuid ?? pci ?? String(gpu_index);
  const lost = health.held
    .map(({ finding }) => finding)
    .filter(({ kind, code }) => kind === "lost" || (kind === "xid" && code === OFF_THE_BUS));
  const gone = new Set(lost.map(gpuOf));
  if (health.silentSince !== null) return "unhealthy";
  if (health.verdict === "unknown") return "unknown";
  const results = health.held
    .filter(({ finding }) => !gone.has(gpuOf(finding)))
    .map(({ judgement }) => judgement.result);
  return (["unhealthy", "degraded"] as const).find((one) => results.includes(one)) ?? "healthy";
}

export async function check(assertion: Assertion, from: CheckFrom): Promise<Checked> {
  const { record } = from;
  switch (assertion.type) {
    case "node_status": {
      const view = await statusOf(from, assertion.target);
      const actual = view === null ? "absent" : wordOf(view.status);
      return verdict(`node_status ${assertion.target}`, assertion.expected, actual);
    }
    case "health_status": {
      const actual = (await healthOf(from, assertion.target)) ?? "absent";
      return verdict(`health_status ${assertion.target}`, assertion.expected, actual);
    }
    case "node_count": {
      const count = await countNodes(assertion.target, from);
      const name = `node_count ${formatTarget(assertion.target)}`;
      if (count === null) return verdict(name, assertion.expected.text, "control plane is silent");
      const passed = isWithin(assertion.expected, count);
      return { name, expected: assertion.expected.text, actual: String(count), passed };
    }
    case "event_order":
      return checkOrder(assertion.target, assertion.expected, record);
    case "kube_node":
    case "pods":
      return checkKube(assertion, from.stack);
    case "pod_evictions":
    case "pod_deletions":
    case "budget_violations":
      return checkKube({ type: assertion.type, expected: assertion.expected }, from.stack);
    case "metric":
      return checkMetric(assertion.target, assertion.expected, from);
    case "detection_p99": {
      const spans = detections(record);
      return measured(assertion, quantilesOf(spans).p99, true);
    }
    case "replace_p99":
      return measured(assertion, quantilesOf(record.replaceMs).p99, true);
    case "launches":
      return measured(assertion, record.launches, false);
    case "terminations":
      return measured(assertion, record.terminations, false);
    case "max_concurrent_unavailable":
      return measured(assertion, record.unavailableMax, false);
    default:
      return unreachable(assertion);
  }
}

/** Milliseconds from each counted failure to the product's first word about it. */
export function detections(record: RunRecord): number[] {
  return record.injections.flatMap((one) =>
    one.detectedMs !== null && isCounted(one) ? [one.detectedMs - one.atMs] : [],
  );
}

function verdict(name: string, expected: string, actual: string): Checked {
  return { name, expected, actual, passed: expected === actual };
}

function measured(
  { type, expected }: Extract<Assertion, { type: string; expected: { text: string } }>,
  value: number | null,
  isDuration: boolean,
): Checked {
  const shown = isDuration ? formatSpan(value ?? 0) : String(value);
  const actual = value === null ? "nothing measured" : shown;
  const passed = value !== null && isWithin(expected, value);
  return { name: type, expected: expected.text, actual, passed };
}

export function formatSpan(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)}ms` : formatDuration(Math.round(ms));
}

function formatTarget(target: CountTarget): string {
  switch (target.by) {
    case "all":
      return "all";
    case "status":
      return target.status;
    case "health":
      return target.health;
    case "label":
      return `label ${target.key}=${target.name}`;
    case "pool":
    case "zone":
    case "provider":
    case "region":
    case "instance_type":
    case "gpu_type":
      return `${target.by} ${target.name}`;
    default:
      return unreachable(target);
  }
}

/** Registered, heartbeat fresh, not terminated; `null` while the control plane is silent. */
async function countNodes(target: CountTarget, from: CheckFrom): Promise<number | null> {
  const { api, stack, heartbeatTimeoutMs } = from;
  const wantsEnded = target.by === "status" && target.status === "terminated";
  const nodes = await api.nodes(wantsEnded ? "?status=terminated" : "");
  if (nodes === null) return null;
  if (wantsEnded) return nodes.length;
  const freshAt = stack.time.wallMs() - heartbeatTimeoutMs;
  return nodes.filter((node) => {
    const heard = node.last_heartbeat === null ? 0 : parseInstant(node.last_heartbeat);
    if (heard < freshAt || node.status === "NODE_STATUS_TERMINATED") return false;
    return isMeant(target, node);
  }).length;
}

function isMeant(target: CountTarget, node: NodeView): boolean {
  switch (target.by) {
    case "all":
      return true;
    case "status":
      return wordOf(node.status) === target.status;
    case "health":
      return wordOf(node.health_status) === target.health;
    case "label":
      return node.metadata.labels[target.key] === target.name;
    case "gpu_type":
      return node.gpus.some((gpu) => gpu.name === target.name);
    case "pool":
    case "zone":
    case "provider":
    case "region":
    case "instance_type":
      return node[target.by] === target.name;
    default:
      return unreachable(target);
  }
}

function checkOrder(target: string, expected: readonly string[], record: RunRecord): Checked {
  const kinds = record.nodes.get(target)?.kinds ?? [];
  let at = 0;
  for (const kind of kinds) if (at < expected.length && isKind(kind, expected[at] ?? "")) at++;
  const name = `event_order ${target}`;
  const passed = at === expected.length;
  const actual = passed ? expected.join(", ") : kinds.join(", ");
  return { name, expected: expected.join(", "), actual, passed };
}

/** `drained` stands for `node.drained`. */
export function isKind(kind: string, wanted: string): boolean {
  return kind === wanted || kind === `node.${wanted}`;
}

async function checkMetric(
  target: string,
  expected: Extract<Assertion, { type: "metric" }>["expected"],
  { api }: CheckFrom,
): Promise<Checked> {
  const name = `metric ${target}`;
  const selector = parseSelector(target);
  if (selector === null) return verdict(name, expected.text, "not a selector");
  const page = await api.metrics();
  if (page === null) return verdict(name, expected.text, "control plane is silent");
  const sum = sumSeries(page, selector);
  if (sum === null) return verdict(name, expected.text, "no such series");
  return { name, expected: expected.text, actual: String(sum), passed: isWithin(expected, sum) };
}
