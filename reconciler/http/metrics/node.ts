/**
 * The gauges of nodes and GPUs, the bulk of the page: 80,000 GPUs with four readings are 42 MiB.
 * They are formatted in slices, metric by metric over the same nodes, so neither memory nor the
 * pause of other work grows with the fleet.
 */
import { LIMIT } from "../../../schema/limit.ts";
import type { GpuReading } from "../../../schema/gpu.ts";
import type { Node } from "../../../schema/node.ts";
import type { Reconciler } from "../../runtime/loop.ts";
import type { Presence } from "../../runtime/presence.ts";
import { healthStatusOf } from "../../core/status.ts";
import { LabelValues } from "./gpu-xid.ts";
import type { MetricName } from "./help.ts";
import { escapeLabel, label, Series, shortOf } from "./series.ts";

/** Nodes per slice: about 2 ms of work and 250 KiB of text at eight GPUs a node. */
const SLICE_NODES = 250;

const GPU_GAUGES: readonly [MetricName, GpuReading][] = [
  ["navarch_node_gpu_temperature_celsius", "temperature_celsius"],
  ["navarch_node_gpu_utilization_percent", "utilization_percent"],
  ["navarch_node_gpu_memory_used_bytes", "memory_used_bytes"],
  ["navarch_node_gpu_power_watts", "power_watts"],
];

/** The text between a GPU's index and its UUID, for every index. */
const INDEX = Array.from({ length: LIMIT.gpusPerNodeMax + 1 }, (_, index) => {
  return `${index}",gpu_uuid="`;
});

/** A node and the labels that all its series share, formatted once. */
type Listed = { node: Node; labels: string };

export function* formatNodes(reconciler: Reconciler): Generator<Uint8Array> {
  const listed = list(reconciler.fleet().nodes.values());
  const total = new Series("navarch_gpus_total");
  const configured = reconciler.activeConfig().providers.map(({ name }) => name);
  for (const [provider, count] of countGpus(listed, configured)) total.add({ provider }, count);
  yield total.take();
  const count = new Series("navarch_node_gpu_count");
  yield* each(listed, count, ({ node, labels }) => {
    count.raw(node.agent?.inventory.gpus.length ?? 0, `{${labels}}`);
  });
  const health = new Series("navarch_node_health_status");
  yield* each(listed, health, ({ node, labels }) => {
    const status = shortOf(healthStatusOf(node), "HEALTH_STATUS_");
    const value = { healthy: 1, degraded: 0.5, unhealthy: 0 }[status];
    if (value !== undefined) health.raw(value, `{${labels},${label("status", status)}}`);
  });
  const check = new Series("navarch_node_health_check_status");
  yield* each(listed, check, (one) => addChecks(check, one));
  for (const [name, reading] of GPU_GAUGES) {
    const series = new Series(name);
    yield* each(listed, series, (one) => addGpus(series, one, reading, reconciler.presence));
  }
}

/** Adds every node's series, and yields after each slice of nodes. */
function* each(
  listed: readonly Listed[],
  series: Series,
  add: (one: Listed) => void,
): Generator<Uint8Array> {
  for (let from = 0; from < listed.length; from += SLICE_NODES) {
    for (const one of listed.slice(from, from + SLICE_NODES)) add(one);
    yield series.take();
  }
  if (listed.length === 0) yield series.take();
}

function list(nodes: Iterable<Node>): Listed[] {
  const listed: Listed[] = [];
  for (const node of nodes) {
    if (node.phase.kind === "gone" || node.agent === null) continue;
    listed.push({ node, labels: `${label("pool", node.pool ?? "")},${label("node_id", node.id)}` });
  }
  return listed;
}

/** The provider of an unmanaged node is the one that its agent names. */
function countGpus(listed: readonly Listed[], configured: readonly string[]): Map<string, number> {
  const perProvider = new Map<string, number>();
  const labels = new LabelValues(configured.length + LIMIT.providerLabelsMax, configured);
  for (const { node } of listed) {
    const claimed = node.agent?.inventory.provider ?? "";
    const provider = node.instance?.provider ?? labels.of(claimed);
    const count = node.agent?.inventory.gpus.length ?? 0;
    perProvider.set(provider, (perProvider.get(provider) ?? 0) + count);
  }
  return perProvider;
}

/** The last full check, and one series for each kind of evidence that is held. */
function addChecks(series: Series, { node, labels }: Listed): void {
  const { lastCheckAt, lastCheckClean, held, verdict } = node.health;
  if (lastCheckAt !== null) {
    const value = lastCheckClean ? 1 : verdict === "unhealthy" ? 0 : 0.5;
    series.raw(value, `{${labels},check="all"}`);
  }
  if (held.length === 0) return;
  const kinds = new Map<string, number>();
  for (const { finding, judgement } of held) {
    const value = judgement.result === "unhealthy" ? 0 : 0.5;
    kinds.set(finding.kind, Math.min(value, kinds.get(finding.kind) ?? 1));
  }
  for (const [kind, value] of kinds) series.raw(value, `{${labels},${label("check", kind)}}`);
}

function addGpus(series: Series, from: Listed, reading: GpuReading, presence: Presence): void {
  const sample = presence.packed(from.node.id);
  if (sample === null) return;
  const head = `{${from.labels},gpu_index="`;
  for (let gpu = 0; gpu < sample.gpuCount; gpu++) {
    const value = sample.reading(gpu, reading);
    if (value === null) continue;
    series.raw(value, head, INDEX[sample.index(gpu)] ?? "", escapeLabel(sample.uuid(gpu)), '"}');
  }
}
