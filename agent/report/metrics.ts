/**
 * The agent's own Prometheus page, for those who scrape nodes: the DCGM names that dashboards use
 * and the agent's view of itself. It is made from what the agent knows already and never calls the
 * driver. What is not known is absent: zero means measured zero.
 *
 * Adapter: a listening socket.
 */
import { Gauge, Registry } from "prom-client";
import type { GpuIdentity, GpuSample } from "../../schema/gpu.ts";
import type { AgentView } from "./view.ts";

/** What the process costs, read for each scrape. */
export type Footprint = { pssBytes: number | null; cpuSeconds: number };
/** Counters of the log reader (`agent/kernel/read.ts`), or `null` without a log. */
export type LogCounters = {
  records: number;
  lost: number;
  malformed: number;
  unparsed: number;
  quoted: number;
  lastReadAtMs: number | null;
};

export type MetricsParts = {
  node: string;
  view: () => AgentView;
  footprint: () => Footprint;
  kernelLog: () => LogCounters | null;
};

type Reading = (sample: GpuSample) => number | boolean | null | undefined;
const MIB = 1_048_576;
const mib = (bytes: number | null | undefined) => {
  return typeof bytes === "number" ? Math.floor(bytes / MIB) : null;
};

/** Name, type, help, and where the value is. DCGM keeps its own units (MiB, MHz, W). */
const DCGM: [string, "gauge" | "counter", string, Reading][] = [
  ["DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock in MHz", (s) => s.sm_clock_mhz],
  ["DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock in MHz", (s) => s.memory_clock_mhz],
  ["DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature in °C", (s) => s.temperature_celsius],
  [
    "DCGM_FI_DEV_MEMORY_TEMP",
    "gauge",
    "Memory temperature in °C",
    (s) => s.memory_temperature_celsius,
  ],
  ["DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw in W", (s) => s.power_watts],
  ["DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilisation in %", (s) => s.utilization_percent],
  ["DCGM_FI_DEV_FB_USED", "gauge", "Used memory in MiB", (s) => mib(s.memory_used_bytes)],
  ["DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "PCIe replays", (s) => s.pcie_replay_total],
  [
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
    "counter",
    "Rows remapped, uncorrectable",
    (s) => s.remapped_rows_uncorrectable,
  ],
  [
    "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
    "counter",
    "Rows remapped, correctable",
    (s) => s.remapped_rows_correctable,
  ],
  ["DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "1 if a row remapping failed", (s) => s.remap_failure],
  [
    "DCGM_FI_DEV_ROW_REMAP_PENDING",
    "gauge",
    "1 if a row remapping waits for a reset",
    (s) => s.remap_pending,
  ],
  [
    "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL",
    "counter",
    "Corrected memory errors since driver load",
    (s) => s.ecc_corrected_volatile,
  ],
  [
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
    "counter",
    "Uncorrected memory errors since driver load",
    (s) => s.ecc_uncorrected_volatile,
  ],
  [
    "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL",
    "counter",
    "Corrected memory errors ever",
    (s) => s.ecc_corrected_aggregate,
  ],
  [
    "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL",
    "counter",
    "Uncorrected memory errors ever",
    (s) => s.ecc_uncorrected_aggregate,
  ],
  [
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS",
    "gauge",
    "Clock event reasons, bit set",
    (s) => s.throttle_reasons,
  ],
  [
    "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS",
    "gauge",
    "Clock event reasons, bit set",
    (s) => s.throttle_reasons,
  ],
  [
    "DCGM_FI_DEV_GPU_RECOVERY_ACTION",
    "gauge",
    "Driver's recovery action, 0 to 5",
    (s) => s.recovery_action,
  ],
  [
    "DCGM_FI_DEV_GET_GPU_RECOVERY_ACTION",
    "gauge",
    "Driver's recovery action, 0 to 5",
    (s) => s.recovery_action,
  ],
];

/**
 * A family as the exposition format has it; `prom-client` counters cannot be set, so they are made
 * here.
 */
class Page {
  readonly #registry = new Registry();
  readonly #counters = new Set<string>();

  put(
    name: string,
    type: "gauge" | "counter",
    help: string,
    labels: Record<string, string>,
    value: number | boolean | null | undefined,
  ): void {
    if (value === null || value === undefined || !Number.isFinite(Number(value))) return;
    const known = this.#registry.getSingleMetric(name);
    const labelNames = Object.keys(labels);
    const registers = [this.#registry];
    const gauge = known instanceof Gauge ? known : new Gauge({ name, help, labelNames, registers });
    if (type === "counter") this.#counters.add(name);
    gauge.set(labels, Number(value));
  }

  /**
   * The library only sets gauges to a value; the kind of a counter that the driver keeps is put
   * right here.
   */
  async print(): Promise<string> {
    const text = await this.#registry.metrics();
    return text.replace(/^# TYPE (\S+) gauge$/gm, (line, name: string) => {
      return this.#counters.has(name) ? `# TYPE ${name} counter` : line;
    });
  }
}

/** The whole page at this moment. */
export async function formatMetrics(parts: MetricsParts): Promise<string> {
  const view = parts.view();
  const page = new Page();
  const identities = new Map(view.gpus.map((gpu) => [gpu.uuid, gpu]));
  for (const sample of view.samples) {
    const identity = identities.get(sample.uuid);
    const labels = dcgmLabels(parts.node, sample, identity);
    for (const [name, type, help, read] of DCGM) page.put(name, type, help, labels, read(sample));
    const total = mib(sample.memory_total_bytes);
    const used = mib(sample.memory_used_bytes);
    const free = total === null || used === null ? null : Math.max(0, total - used);
    page.put("DCGM_FI_DEV_FB_FREE", "gauge", "Free memory in MiB", labels, free);
    putGpu(page, parts.node, sample);
  }
  putXids(page, parts.node, view, identities);
  putAgent(page, parts, view);
  return await page.print();
}

function dcgmLabels(
  node: string,
  { index, uuid }: { index: number; uuid: string },
  identity: GpuIdentity | undefined,
): Record<string, string> {
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
  const gpu = { node, gpu: String(sample.index), uuid: sample.uuid };
  const action = sample.recovery_action;
  page.put("navarch_gpu_recovery_action", "gauge", "Driver's verdict, 0 to 5", gpu, action);
  const labels = { node, uuid: sample.uuid };
  const links = sample.nvlink_active;
  page.put("navarch_gpu_nvlinks_active", "gauge", "NVLinks that are up", labels, links);
  const fabric = sample.fabric_state;
  page.put("navarch_gpu_fabric_state", "gauge", "NVLink fabric, 3 is joined", labels, fabric);
  const pending = sample.remap_pending;
  page.put("navarch_gpu_row_remap_pending", "gauge", "1 if a reset is needed", labels, pending);
  const failure = sample.remap_failure;
  page.put("navarch_gpu_row_remap_failure", "gauge", "1 if remapping failed", labels, failure);
}

/** The last code per GPU, which never goes back: for dashboards that know it, not for alerts. */
function putXids(
  page: Page,
  node: string,
  view: AgentView,
  identities: ReadonlyMap<string, GpuIdentity>,
): void {
  for (const [uuid, finding] of view.lastXid) {
    const identity = identities.get(uuid);
    if (!identity) continue;
    const labels = dcgmLabels(node, identity, identity);
    page.put("DCGM_FI_DEV_XID_ERRORS", "gauge", "Last XID seen", labels, finding.code);
  }
}

/** What the last full check read that no sample carries. */
function putChecked(page: Page, node: string, { check }: AgentView): void {
  for (const gpu of check?.gpus ?? []) {
    const labels = { node, gpu: String(gpu.index), uuid: gpu.uuid };
    const put = (name: string, help: string, value: number | boolean | null) => {
      page.put(name, "gauge", help, labels, value);
    };
    put("navarch_gpu_pcie_generation", "PCIe generation now", gpu.pcieGeneration);
    put("navarch_gpu_pcie_generation_max", "PCIe generation it can have", gpu.pcieGenerationMax);
    put("navarch_gpu_pcie_lanes", "PCIe lanes now", gpu.pcieWidth);
    put("navarch_gpu_persistence_mode", "1 if persistence mode is on", gpu.persistence);
  }
}

/** Network ports, file systems and the rest of the machine, as last read. */
function putHost(page: Page, node: string, { host }: AgentView): void {
  for (const port of host?.ports ?? []) {
    const labels = { node, port: port.name, layer: port.layer ?? "" };
    const put = (name: string, type: "gauge" | "counter", help: string, value: number | null) => {
      page.put(name, type, help, labels, value);
    };
    const active = port.state === null ? null : Number(port.state === "ACTIVE");
    const bits = port.gigabits === null ? null : port.gigabits * 1e9;
    const downed = "navarch_network_port_link_downed_total";
    put("navarch_network_port_active", "gauge", "1 if the port is active", active);
    put("navarch_network_port_rate_bits_per_second", "gauge", "Rate of the port", bits);
    put(downed, "counter", "Times the link went down", port.linkDowned);
  }
  for (const system of host?.fileSystems ?? []) {
    const labels = { node, path: system.path };
    const put = (name: string, help: string, value: number | boolean | null) => {
      page.put(name, "gauge", help, labels, value);
    };
    put("navarch_file_system_used_ratio", "Used share of bytes", system.usedRatio);
    put("navarch_file_system_inodes_used_ratio", "Used share of inodes", system.inodesUsedRatio);
    put("navarch_file_system_read_only", "1 if read-only", system.readOnly);
  }
  const gauge = (name: string, help: string, value: number | boolean | null | undefined) => {
    page.put(name, "gauge", help, { node }, value);
  };
  gauge("navarch_node_panic_records", "Records of kernel panics", host?.panics?.length);
  gauge("navarch_node_peermem_loaded", "1 if nvidia_peermem is loaded", host?.peermem);
}

function putAgent(page: Page, parts: MetricsParts, view: AgentView): void {
  const node = { node: parts.node };
  const gauge = (name: string, help: string, value: number | boolean | null) => {
    page.put(name, "gauge", help, node, value);
  };
  const counter = (name: string, help: string, value: number | null) => {
    page.put(name, "counter", help, node, value);
  };
  const seconds = (ms: number | null) => (ms === null ? null : ms / 1_000);
  const expected = { ...node, source: view.expected?.from ?? "" };
  const gpus = view.expected?.gpus;
  page.put("navarch_gpus_expected", "gauge", "GPUs that should be there", expected, gpus);
  gauge("navarch_gpus_present", "GPUs that are there", view.present);
  gauge("navarch_agent_simulated", "1 if the GPUs are made up", view.simulated);
  gauge("navarch_agent_connected", "1 while the WebSocket is up", view.connected);
  gauge("navarch_agent_driver_unresponsive", "1 if a call missed its deadline", view.unresponsive);
  gauge("navarch_agent_probes_abandoned", "Probe children that were given up", view.abandoned);
  gauge("navarch_agent_spool_depth", "Records not yet acknowledged", view.spool.depth);
  gauge("navarch_agent_spool_bytes", "Bytes of records not yet acknowledged", view.spool.bytes);
  gauge("navarch_agent_spool_memory", "1 if the spool has no disk", view.spool.memory !== null);
  counter("navarch_agent_spool_dropped_total", "Records given up", view.spool.dropped);
  const acked = "navarch_agent_last_ack_timestamp_seconds";
  gauge(acked, "Last acknowledgement", seconds(view.ackedAtMs));
  gauge("navarch_agent_loop_lag_seconds", "How late the last heartbeat was", view.lagMs / 1_000);
  const log = parts.kernelLog();
  if (log) {
    counter("navarch_agent_kmsg_records_total", "Kernel records read", log.records);
    counter("navarch_agent_kmsg_gaps_total", "Kernel records lost to the ring", log.lost);
    counter("navarch_agent_kmsg_malformed_total", "Kernel records not readable", log.malformed);
    counter("navarch_agent_kmsg_unparsed_total", "Xid, SXid lines of unknown shape", log.unparsed);
    counter("navarch_agent_kmsg_quoted_total", "Records of others with Xid words", log.quoted);
    const read = "navarch_agent_kmsg_last_read_timestamp_seconds";
    gauge(read, "Last read that answered", seconds(log.lastReadAtMs));
  }
  for (const [kind, count] of view.findings) {
    const labels = { ...node, kind };
    page.put("navarch_agent_findings_total", "counter", "Findings since start", labels, count);
  }
  for (const [reason, count] of view.hostEvents) {
    const labels = { ...node, reason };
    const name = "navarch_agent_host_findings_total";
    page.put(name, "counter", "Faults of the host around the GPUs", labels, count);
  }
  putHost(page, parts.node, view);
  putChecked(page, parts.node, view);
  for (const { name, duration_ms } of view.probes) {
    if (name !== "driver") continue;
    gauge("navarch_agent_probe_seconds", "Duration of the last full check", duration_ms / 1_000);
  }
  const { pssBytes, cpuSeconds } = parts.footprint();
  const process = { ...node, process: "agent" };
  page.put("navarch_agent_memory_bytes", "gauge", "Proportional set size", process, pssBytes);
  page.put("navarch_agent_cpu_seconds_total", "counter", "CPU time used", process, cpuSeconds);
}

export type MetricsServer = { port: number; stop(): void };

/** Serves the page at `/metrics`; throws if the address cannot be had. */
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
