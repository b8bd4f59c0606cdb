/**
 * The agent's Prometheus page: the DCGM names that dashboards use, and the agent's own state. It
 * never calls the driver. A value that is not known is absent: zero means measured zero.
 *
 * Adapter: a listening socket.
 */
import { Gauge, Registry } from "prom-client";
import type { GpuIdentity, GpuSample } from "../../schema/gpu.ts";
import type { KernelLogStats } from "../kernel/read.ts";
import type { AgentView } from "./view.ts";

/** What the process costs, read for each scrape. */
export type Footprint = { pssBytes: number | null; cpuSeconds: number };
/** Counters of the log reader (`agent/kernel/read.ts`). */
export type LogCounters = Pick<
  KernelLogStats,
  "records" | "lost" | "malformed" | "unparsed" | "quoted" | "lastReadAtMs"
>;

export type MetricsParts = {
  node: string;
  view: () => AgentView;
  footprint: () => Footprint;
  /** `null` without a log. */
  kernelLog: () => LogCounters | null;
};

type Value = number | boolean | null | undefined;
type Put = (name: string, help: string, value: Value) => void;
type Labels = Record<string, string>;

/** What follows `DCGM_FI_DEV_`, help, and the reading in DCGM's own unit. */
export const DCGM: [string, string, keyof GpuSample][] = [
  ["SM_CLOCK", "SM clock in MHz", "sm_clock_mhz"],
  ["MEM_CLOCK", "Memory clock in MHz", "memory_clock_mhz"],
  ["GPU_TEMP", "GPU temperature in °C", "temperature_celsius"],
  ["MEMORY_TEMP", "Memory temperature in °C", "memory_temperature_celsius"],
  ["POWER_USAGE", "Power draw in W", "power_watts"],
  ["GPU_UTIL", "GPU utilisation in %", "utilization_percent"],
  ["PCIE_REPLAY_COUNTER", "PCIe replays", "pcie_replay_total"],
  ["UNCORRECTABLE_REMAPPED_ROWS", "Rows remapped, uncorrectable", "remapped_rows_uncorrectable"],
  ["CORRECTABLE_REMAPPED_ROWS", "Rows remapped, correctable", "remapped_rows_correctable"],
  ["ROW_REMAP_FAILURE", "1 if a row remapping failed", "remap_failure"],
  ["ROW_REMAP_PENDING", "1 if a row remapping waits for a reset", "remap_pending"],
  ["ECC_SBE_VOL_TOTAL", "Corrected memory errors since driver load", "ecc_corrected_volatile"],
  ["ECC_DBE_VOL_TOTAL", "Uncorrected memory errors since driver load", "ecc_uncorrected_volatile"],
  ["ECC_SBE_AGG_TOTAL", "Corrected memory errors ever", "ecc_corrected_aggregate"],
  ["ECC_DBE_AGG_TOTAL", "Uncorrected memory errors ever", "ecc_uncorrected_aggregate"],
  ["CLOCKS_EVENT_REASONS", "Clock event reasons, bit set", "throttle_reasons"],
  ["CLOCK_THROTTLE_REASONS", "Clock event reasons, bit set", "throttle_reasons"],
  ["GPU_RECOVERY_ACTION", "Driver's recovery action, 0 to 5", "recovery_action"],
  ["GET_GPU_RECOVERY_ACTION", "Driver's recovery action, 0 to 5", "recovery_action"],
];

/** Names of counters; all other metrics are gauges. */
export const COUNTER = /_(?:total|TOTAL|COUNTER|REMAPPED_ROWS)$/;

/**
 * A page in the exposition format. `prom-client` counters cannot be set to the driver's value, so
 * all are gauges of the library and `format` corrects the type.
 */
class Page {
  readonly #registry = new Registry();

  /** A function that adds values with these labels; a value that is not known is left out. */
  with(labels: Labels): Put {
    const labelNames = Object.keys(labels);
    const registers = [this.#registry];
    return (name, help, value) => {
      if (value === null || value === undefined || !Number.isFinite(Number(value))) return;
      const known = this.#registry.getSingleMetric(name);
      const gauge =
        known instanceof Gauge ? known : new Gauge({ name, help, labelNames, registers });
      gauge.set(labels, Number(value));
    };
  }

  async format(): Promise<string> {
    const text = await this.#registry.metrics();
    return text.replace(/^# TYPE (\S+) gauge$/gm, (line, name: string) =>
      COUNTER.test(name) ? `# TYPE ${name} counter` : line,
    );
  }
}

/** The whole page at this moment. */
export async function formatMetrics(parts: MetricsParts): Promise<string> {
  const view = parts.view();
  const page = new Page();
  putDcgm(page, parts.node, view);
  for (const sample of view.samples) putGpu(page, parts.node, sample);
  putAgent(page, parts, view);
  putHost(page, parts.node, view);
  putChecked(page, parts.node, view);
  return await page.format();
}

const MIB = 1_048_576;
const mib = (bytes: number | null | undefined) =>
  typeof bytes === "number" ? Math.floor(bytes / MIB) : null;

function putDcgm(page: Page, node: string, view: AgentView): void {
  const identities = new Map(view.gpus.map((gpu) => [gpu.uuid, gpu]));
  for (const sample of view.samples) {
    const put = page.with(dcgmLabels(node, sample, identities.get(sample.uuid)));
    for (const [name, help, reading] of DCGM) {
      put(`DCGM_FI_DEV_${name}`, help, read(sample, reading));
    }
    const total = mib(sample.memory_total_bytes);
    const used = mib(sample.memory_used_bytes);
    const free = total === null || used === null ? null : Math.max(0, total - used);
    put("DCGM_FI_DEV_FB_USED", "Used memory in MiB", used);
    put("DCGM_FI_DEV_FB_FREE", "Free memory in MiB", free);
  }
  // The last code never goes back: it is for dashboards that know it, not for alerts.
  for (const [uuid, finding] of view.lastXid) {
    const identity = identities.get(uuid);
    if (!identity) continue;
    const put = page.with(dcgmLabels(node, identity, identity));
    put("DCGM_FI_DEV_XID_ERRORS", "Last XID seen", finding.code);
  }
}

function read(sample: GpuSample, reading: keyof GpuSample): Value {
  const value = sample[reading];
  return typeof value === "string" ? null : value;
}

function dcgmLabels(
  node: string,
  { index, uuid }: { index: number; uuid: string },
  identity: GpuIdentity | undefined,
): Labels {
  return {
    gpu: String(index),
    UUID: uuid,
    pci_bus_id: identity?.pci_bus_id ?? "",
    device: `nvidia${index}`,
    modelName: identity?.name ?? "",
    hostname: node,
    DCGM_FI_DRIVER_VERSION: identity?.driver_version ?? "",
  };
}

function putGpu(page: Page, node: string, sample: GpuSample): void {
  const { index, uuid, recovery_action } = sample;
  const gpu = page.with({ node, gpu: String(index), uuid });
  gpu("navarch_gpu_recovery_action", "Driver's verdict, 0 to 5", recovery_action);
  const put = page.with({ node, uuid });
  put("navarch_gpu_nvlinks_active", "NVLinks that are up", sample.nvlink_active);
  put("navarch_gpu_fabric_state", "NVLink fabric, 3 is joined", sample.fabric_state);
  put("navarch_gpu_row_remap_pending", "1 if a reset is needed", sample.remap_pending);
  put("navarch_gpu_row_remap_failure", "1 if remapping failed", sample.remap_failure);
}

/** What the last full check read that no sample carries. */
function putChecked(page: Page, node: string, { check }: AgentView): void {
  for (const gpu of check?.gpus ?? []) {
    const put = page.with({ node, gpu: String(gpu.index), uuid: gpu.uuid });
    put("navarch_gpu_pcie_generation", "PCIe generation now", gpu.pcieGeneration);
    put("navarch_gpu_pcie_generation_max", "PCIe generation it can have", gpu.pcieGenerationMax);
    put("navarch_gpu_pcie_lanes", "PCIe lanes now", gpu.pcieWidth);
    put("navarch_gpu_persistence_mode", "1 if persistence mode is on", gpu.persistence);
  }
}

/** Network ports, file systems and the rest of the machine, as last read. */
function putHost(page: Page, node: string, { host }: AgentView): void {
  for (const { name, layer, state, gigabits, linkDowned } of host?.ports ?? []) {
    const put = page.with({ node, port: name, layer: layer ?? "" });
    const bits = gigabits === null ? null : gigabits * 1e9;
    const active = state === null ? null : state === "ACTIVE";
    put("navarch_network_port_active", "1 if the port is active", active);
    put("navarch_network_port_rate_bits_per_second", "Rate of the port", bits);
    put("navarch_network_port_link_downed_total", "Times the link went down", linkDowned);
  }
  for (const { path, usedRatio, inodesUsedRatio, readOnly } of host?.fileSystems ?? []) {
    const put = page.with({ node, path });
    put("navarch_file_system_used_ratio", "Used share of bytes", usedRatio);
    put("navarch_file_system_inodes_used_ratio", "Used share of inodes", inodesUsedRatio);
    put("navarch_file_system_read_only", "1 if read-only", readOnly);
  }
  const put = page.with({ node });
  put("navarch_node_panic_records", "Records of kernel panics", host?.panics?.length);
  put("navarch_node_peermem_loaded", "1 if nvidia_peermem is loaded", host?.peermem);
}

const seconds = (ms: number | null) => (ms === null ? null : ms / 1_000);

function putAgent(page: Page, parts: MetricsParts, view: AgentView): void {
  const { node } = parts;
  const { expected, spool } = view;
  const source = page.with({ node, source: expected?.from ?? "" });
  source("navarch_gpus_expected", "GPUs that should be there", expected?.gpus);
  const put = page.with({ node });
  put("navarch_gpus_present", "GPUs that are there", view.present);
  put("navarch_agent_simulated", "1 if the GPUs are simulated", view.simulated);
  put("navarch_agent_connected", "1 while the WebSocket is up", view.connected);
  put("navarch_agent_driver_unresponsive", "1 if a call missed its deadline", view.unresponsive);
  put("navarch_agent_probes_abandoned", "Probe children that were abandoned", view.abandoned);
  put("navarch_agent_spool_depth", "Records not yet acknowledged", spool.depth);
  put("navarch_agent_spool_bytes", "Bytes of records not yet acknowledged", spool.bytes);
  put("navarch_agent_spool_memory", "1 if the spool has no disk", spool.memory !== null);
  put("navarch_agent_spool_dropped_total", "Records dropped", spool.dropped);
  const ackedSeconds = seconds(view.ackedAtMs);
  put("navarch_agent_last_ack_timestamp_seconds", "Last acknowledgement", ackedSeconds);
  put("navarch_agent_loop_lag_seconds", "How late the last heartbeat was", view.lagMs / 1_000);
  const log = parts.kernelLog();
  if (log) {
    put("navarch_agent_kmsg_records_total", "Kernel records read", log.records);
    put("navarch_agent_kmsg_gaps_total", "Kernel records lost to the ring", log.lost);
    put("navarch_agent_kmsg_malformed_total", "Kernel records not readable", log.malformed);
    put("navarch_agent_kmsg_unparsed_total", "Xid, SXid lines of unknown shape", log.unparsed);
    put("navarch_agent_kmsg_quoted_total", "Records of others with Xid words", log.quoted);
    const readSeconds = seconds(log.lastReadAtMs);
    put("navarch_agent_kmsg_last_read_timestamp_seconds", "Last read that answered", readSeconds);
  }
  for (const [kind, count] of view.findings) {
    const kinds = page.with({ node, kind });
    kinds("navarch_agent_findings_total", "Findings since start", count);
  }
  for (const [reason, count] of view.hostEvents) {
    const reasons = page.with({ node, reason });
    reasons("navarch_agent_host_findings_total", "Faults of the host around the GPUs", count);
  }
  const ms = view.probes.find(({ name }) => name === "driver")?.duration_ms ?? null;
  put("navarch_agent_probe_seconds", "Duration of the last full check", seconds(ms));
  const { pssBytes, cpuSeconds } = parts.footprint();
  const process = page.with({ node, process: "agent" });
  process("navarch_agent_memory_bytes", "Proportional set size", pssBytes);
  process("navarch_agent_cpu_seconds_total", "CPU time used", cpuSeconds);
}

export type MetricsServer = { port: number; stop(): void };

/** Serves the page at `/metrics`; throws if it cannot listen there. */
export function serveMetrics(
  at: { hostname: string; port: number },
  parts: MetricsParts,
): MetricsServer {
  const server = Bun.serve({
    ...at,
    idleTimeout: 10,
    maxRequestBodySize: 1_024,
    async fetch(request) {
      if (new URL(request.url).pathname !== "/metrics") return new Response("", { status: 404 });
      const headers = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };
      return new Response(await formatMetrics(parts), { headers });
    },
  });
  return { port: server.port ?? at.port, stop: () => void server.stop(true) };
}
