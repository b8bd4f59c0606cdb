/**
 * Reports as an agent with eight GPUs sends them, made cheaply: the generator shares the machine
 * with what it measures. Values move from report to report, as real ones do. Pure.
 */
import type { Report } from "../../schema/report.ts";

const GPUS = 8;
const GIBIBYTE = 1_073_741_824;
const PROBES = [
  "identity",
  "count",
  "driver",
  "ecc",
  "remap",
  "temperature",
  "power",
  "clock",
  "pcie",
  "nvlink",
  "utilization",
  "memory",
  "event",
  "recovery",
];

type Sample = NonNullable<Report["sample"]>;
type Inventory = NonNullable<Report["inventory"]>;
type Check = NonNullable<Report["check"]>;

const digits = (value: number, width: number): string => value.toString(16).padStart(width, "0");
const uuidOf = (node: number, gpu: number): string =>
  `GPU-${digits(node, 8)}-0000-4000-8000-${digits(gpu, 12)}`;
const pciOf = (gpu: number): string => `00000000:${digits(0x18 + gpu * 8, 2)}:00.0`;

/** `n` counts this node's reports and moves the values; `at` is RFC 3339. */
export function sampleOf(node: number, n: number, at: string): Sample {
  const gpus: Sample["gpus"] = [];
  for (let index = 0; index < GPUS; index++) {
    const load = (node * 7 + n * 13 + index * 29) % 100;
    gpus.push({
      index,
      uuid: uuidOf(node, index),
      temperature_celsius: 34 + Math.round(load / 3),
      memory_temperature_celsius: 40 + Math.round(load / 3),
      power_watts: 90 + load * 5.6,
      utilization_percent: load,
      memory_used_bytes: Math.round((72 * GIBIBYTE * load) / 100),
      memory_total_bytes: 80 * GIBIBYTE,
      sm_clock_mhz: 1_980 - load,
      memory_clock_mhz: 2_619,
      throttle_reasons: 0,
      ecc_corrected_volatile: 0,
      ecc_uncorrected_volatile: 0,
      ecc_corrected_aggregate: 0,
      ecc_uncorrected_aggregate: 0,
      remapped_rows_correctable: 0,
      remapped_rows_uncorrectable: 0,
      remap_pending: false,
      remap_failure: false,
      pcie_replay_total: 0,
      pcie_link_generation: 5,
      pcie_link_width: 16,
      nvlink_active: 18,
      nvlink_total: 18,
      processes: 1,
      recovery_action: 0,
    });
  }
  return { at, cpu_percent: n % 100, memory_percent: 41.5, gpus };
}

export function inventoryOf(node: number, name: string): Inventory {
  return {
    hostname: name,
    provider: null,
    region: null,
    zone: null,
    instance_type: "h100x8",
    provider_ids: [],
    pool: null,
    labels: {},
    internal_ip: null,
    external_ip: null,
    kernel_version: "6.18.0",
    driver_version: "570.86.16",
    cuda_version: "12.8",
    gpus: Array.from({ length: GPUS }, (_, index) => ({
      index,
      uuid: uuidOf(node, index),
      name: "NVIDIA H100 80GB HBM3",
      pci_bus_id: pciOf(index),
      memory_total: 80 * GIBIBYTE,
    })),
    capabilities: [],
  };
}

export function cleanCheck(at: string): Check {
  return {
    at,
    conclusive: true,
    probes: PROBES.map((name) => ({ name, outcome: "ok", duration_ms: 0.4, message: null })),
    expected_gpus: GPUS,
    present_gpus: GPUS,
    active: [],
  };
}

/** XID 31, a fault of the application: written and judged, and nothing is done about the node. */
export function applicationFinding(node: number, bootId: string, at: string): unknown {
  const gpu = node % GPUS;
  return {
    kind: "xid",
    code: 31,
    pci: `0000:${digits(0x18 + gpu * 8, 2)}:00.0`,
    gpu_index: gpu,
    gpu_uuid: uuidOf(node, gpu),
    at,
    boot_id: bootId,
    severity: "warning",
    message: "NVRM: Xid: 31, pid=4242, name=python3, Ch 00000010, MMU Fault",
    source: "kmsg",
  };
}
