/** Documents that are in order, each with every part filled in, for the mutations to spoil. */

const at = "2026-03-01T10:00:00Z";

const finding = (code: number, seq: number): Record<string, unknown> => ({
  seq,
  finding: {
    kind: "xid",
    code,
    reason: null,
    pci: "0000:3b:00.0",
    gpu_index: 0,
    gpu_uuid: "GPU-1",
    mig: { gi: 1, ci: null },
    pid: 12,
    process_name: "python",
    at,
    boot_id: "b1",
    severity: "fatal",
    message: "NVRM: Xid",
    metrics: { xid_code: code, link: 3, unit: "x", fatal: true },
    source: "kmsg",
    foreign: false,
    injected: false,
    kmsg_seq: 4,
  },
});

/** A report of `node` with one of everything. */
export const fullReport = (node: string, code = 31): Record<string, unknown> => ({
  version: 1,
  node_id: node,
  boot_id: "b1",
  stream: "s1",
  agent_version: "1.0.0",
  simulated: false,
  sent_at: at,
  inventory: {
    hostname: node,
    provider: "fake",
    region: "r",
    zone: "z",
    instance_type: "t",
    provider_ids: ["i-1"],
    pool: "p",
    labels: { team: "red", "a/b": "" },
    internal_ip: "10.0.0.1",
    external_ip: null,
    kernel_version: "6.8",
    driver_version: "550.54.15",
    cuda_version: "12.4",
    gpus: [{ index: 0, uuid: "GPU-1", name: "H100", pci_bus_id: "0000:3b:00.0", serial: "1" }],
    capabilities: ["reboot"],
  },
  sample: {
    at,
    cpu_percent: 1.5,
    memory_percent: 2,
    gpus: [
      {
        index: 0,
        uuid: "GPU-1",
        temperature_celsius: 40,
        utilization_percent: 12.5,
        throttle_reasons: 1,
        remap_pending: false,
        processes: 1,
      },
    ],
  },
  check: {
    at,
    conclusive: true,
    probes: [{ name: "ecc", outcome: "ok", duration_ms: 1.5, message: null }],
    expected_gpus: 1,
    present_gpus: 1,
    active: ["ecc/dbe/GPU-1"],
  },
  findings: [finding(code, 1), finding(13, 2)],
  gaps: [{ seq: 3, reason: "kernel_ring", count: 2, at }],
  results: [{ command_id: "c1", outcome: "succeeded", exit_code: 0, output: "done" }],
  notice: { kind: "preemption", at, message: "EC2 Spot interruption: terminate" },
});

/** A reply with one of everything. */
export const fullReply = (): Record<string, unknown> => ({
  ack_seq: 3,
  stream: "s1",
  node_id: "n1",
  config: { heartbeat_ms: 10_000, sample_ms: 1_000, check_ms: 60_000 },
  commands: [{ command_id: "c1", type: "diagnose", parameters: { level: "1" }, fence: 2 }],
  server_time: at,
  want_inventory: false,
  node_status: "NODE_STATUS_ACTIVE",
  verdict: "healthy",
  credential: "secret",
});
