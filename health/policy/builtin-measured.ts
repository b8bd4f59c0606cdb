/**
 * Built-in rules for what the agent measures: memory, heat, power, links, the driver, the machine
 * around the GPUs, and its own silence. Device limits come with the event; fixed ones are a
 * fallback.
 */
import { type BuiltinRule, CLASS, isType, metricIs, reasonIs, rule } from "./class.ts";

/** °C for a device that tells no limit of its own. */
const SHUTDOWN_CELSIUS = 95;

const HOT =
  "has(event.metrics.temperature) && event.metrics.temperature >= " +
  `(has(event.metrics.shutdown_limit) ? event.metrics.shutdown_limit : ${SHUTDOWN_CELSIUS})`;

const COUNTED_DBE =
  `${isType("memory")} && ` + "has(event.metrics.ecc_dbe_count) && event.metrics.ecc_dbe_count > 0";

/** Who says how many GPUs there must be, other than the agent's own memory. */
const PROMISED = metricIs("expected_from", "bus", "option", "instance_type", "pool");

const MEMORY: readonly BuiltinRule[] = [
  /*
   * A number that a person or a table promised may be wrong, and a GPU on the bus may be on its way
   * to the driver, drained, or given another one: none of it proves broken hardware, and it is over
   * when a check no longer sees it. A GPU that was known by its name and is gone is lost.
   */
  rule(
    "gpu-absent",
    "measurement",
    { ...CLASS.down, action: "reboot" },
    `${reasonIs("gpu_lost", "unlisted")} || ` +
      `${reasonIs("gpu_lost", "count")} && event.gpu_uuid == "" && ${PROMISED}`,
    "The driver does not list a GPU that is on the bus, or fewer than there must be.",
  ),
  rule(
    "gpu-lost",
    "measurement",
    CLASS.reboot,
    isType("gpu_lost"),
    "A GPU is off the bus or missing.",
  ),
  rule(
    "remap-failed",
    "measurement",
    CLASS.replace,
    reasonIs("row_remap", "failure"),
    "Row remapping failed, which is for good.",
  ),
  rule(
    "remap-pending",
    "measurement",
    CLASS.owed,
    reasonIs("row_remap", "pending"),
    "Remapped rows wait for a reset; the GPU works until then.",
  ),
  rule(
    "remap-warning",
    "measurement",
    CLASS.active,
    isType("row_remap"),
    "Spare rows run out, or many pages were retired: plan a replacement.",
  ),
  rule(
    "sram-threshold",
    "measurement",
    CLASS.replace,
    reasonIs("memory", "sram_threshold"),
    "Uncorrectable SRAM errors are above the vendor's limit.",
  ),
  rule(
    "ecc-dbe",
    "measurement",
    CLASS.reset,
    `${isType("ecc_dbe")} || ${COUNTED_DBE}`,
    "Uncorrectable memory errors.",
  ),
  rule(
    "ecc-sbe",
    "measurement",
    CLASS.active,
    `${isType("ecc_sbe")} || ${isType("memory")}`,
    "Corrected memory errors above their rate.",
  ),
];

const DEVICE: readonly BuiltinRule[] = [
  rule(
    "thermal-critical",
    "measurement",
    CLASS.down,
    `${isType("thermal")} && (${metricIs("reason", "shutdown")} || ${HOT})`,
    "At or above the shutdown limit of the device.",
  ),
  rule(
    "power-missing",
    "measurement",
    CLASS.down,
    reasonIs("power", "insufficient"),
    "The board lacks external power.",
  ),
  rule(
    "pcie-slow",
    "measurement",
    CLASS.active,
    reasonIs("pcie", "generation"),
    "A busy GPU has a PCIe link of a lower generation than it can have.",
  ),
  rule(
    "nvlink-down",
    "measurement",
    { ...CLASS.down, action: "reboot" },
    reasonIs("nvlink", "down", "fabric_pending", "fabric_status", "fabric_unhealthy"),
    "A GPU of a linked board has no link, or did not join its fabric: it computes alone.",
  ),
  rule(
    "gpu-warning",
    "measurement",
    CLASS.active,
    `event.event_type in ["thermal", "power", "throttle", "nvlink", "pcie"]`,
    "Heat, power, throttling, links and bus: worth watching while it lasts.",
  ),
];

const DRIVER: readonly BuiltinRule[] = [
  rule(
    "gpu-init-failed",
    "measurement",
    { ...CLASS.reset, definitive: false },
    reasonIs("driver_error", "init"),
    "The driver cannot bring the GPU up.",
  ),
  rule(
    "driver-mismatch",
    "measurement",
    { ...CLASS.notice, action: "inspect" },
    reasonIs("driver_error", "mismatch"),
    "A program's library differs from the module: its container is wrong, not the node.",
  ),
  rule(
    "driver-mild",
    "measurement",
    CLASS.active,
    reasonIs("driver_error", "inforom", "unknown", "permission", "other_driver"),
    "The driver answers, but not everything.",
  ),
  rule(
    "gpu-unopened",
    "measurement",
    { ...CLASS.down, action: "reboot" },
    reasonIs("driver_error", "unopened"),
    "The driver lists a GPU and cannot open it.",
  ),
  rule(
    "driver-hung",
    "measurement",
    { ...CLASS.down, action: "reboot" },
    reasonIs("driver_error", "unresponsive", "stuck"),
    "Calls into the driver do not come back; only a reboot ends that.",
  ),
  rule(
    "driver-down",
    "measurement",
    CLASS.down,
    isType("driver_error"),
    "Driver or library missing, mismatched or crashed: the GPUs cannot be used.",
  ),
];

/**
 * The machine around the GPUs. Nearly all of it degrades a node and ends no machine: a full disk
 * wants a person, a dead switch takes the ports of a whole rack with it, and a lost NFS server is
 * no node's fault. Only a node on which nothing can start any more is taken out of service.
 */
const HOST: readonly BuiltinRule[] = [
  rule(
    "host-root-read-only",
    "measurement",
    CLASS.down,
    reasonIs("check", "root_read_only"),
    "The root file system was writable in this boot and is not any more: nothing can start.",
  ),
  rule(
    "host-port",
    "measurement",
    CLASS.active,
    reasonIs("check", "port_down", "port_missing", "port_rate", "port_flap"),
    "An InfiniBand or RoCE port is down, gone, slow or unsteady.",
  ),
  rule(
    "host-port-hardware",
    "measurement",
    CLASS.watch,
    reasonIs("check", "port_module", "port_power"),
    "A network adapter reports a bad cable or module, or too little power.",
  ),
  rule(
    "host-file-system",
    "measurement",
    CLASS.active,
    reasonIs("check", "full", "read_only", "file_system_stuck"),
    "A file system is full, has become read-only, or does not answer.",
  ),
  rule(
    "host-disk",
    "measurement",
    CLASS.watch,
    reasonIs("check", "file_system", "io_error", "nvme", "nvme_lost"),
    "A disk or a file system reports errors.",
  ),
  rule(
    "host-stall",
    "measurement",
    CLASS.watch,
    reasonIs("check", "hung_task", "soft_lockup", "hard_lockup", "rcu_stall"),
    "A task or a CPU was stuck for a long time.",
  ),
  rule(
    "host-nfs",
    "measurement",
    CLASS.watch,
    reasonIs("check", "nfs"),
    "An NFS server does not answer.",
  ),
  rule(
    "host-oom",
    "measurement",
    CLASS.notice,
    reasonIs("check", "oom"),
    "The machine ran out of memory, and the kernel ended a process.",
  ),
  rule(
    "host-panic",
    "measurement",
    CLASS.active,
    reasonIs("check", "panic"),
    "The boot before this one ended in a kernel panic.",
  ),
  rule(
    "host-record",
    "measurement",
    CLASS.record,
    reasonIs("check", "oom_cgroup", "persistence"),
    "A container at its own memory limit, or persistence mode off: no fault of the node.",
  ),
];

const NODE: readonly BuiltinRule[] = [
  rule(
    "heartbeat-missed",
    "measurement",
    { ...CLASS.down, action: "none" },
    isType("heartbeat"),
    "The agent is silent. Silence alone is no reason to reboot.",
  ),
  rule(
    "check-failed",
    "measurement",
    CLASS.active,
    isType("check"),
    "Something around the GPUs, such as a kernel log that cannot be read.",
  ),
  rule(
    "event-unknown",
    "unknown",
    CLASS.unknown,
    isType("unknown"),
    "A kind of event from a newer agent.",
  ),
  rule("default", "unknown", CLASS.record, "true", "Nothing else."),
];

export const MEASURED_RULES: readonly BuiltinRule[] = [
  ...MEMORY,
  ...DEVICE,
  ...DRIVER,
  ...HOST,
  ...NODE,
];
