/**
 * Built-in rules for what the agent measures: memory, heat, power, links, driver, host, and its own
 * silence. Device limits come with the event; fixed limits are a fallback.
 */
import { type BuiltinRule, CLASS, isType, metricIs, reasonIs, ruleOf } from "./class.ts";

const measured = ruleOf("measurement");
const unknown = ruleOf("unknown");

const isTrue = (metric: string): string =>
  `has(event.metrics.${metric}) && event.metrics.${metric} == true`;

/** °C for a device without a limit of its own. */
const SHUTDOWN_CELSIUS = 95;

const HOT =
  "has(event.metrics.temperature) && event.metrics.temperature >= " +
  `(has(event.metrics.shutdown_limit) ? event.metrics.shutdown_limit : ${SHUTDOWN_CELSIUS})`;

const COUNTED_DBE =
  `${isType("memory")} && ` + "has(event.metrics.ecc_dbe_count) && event.metrics.ecc_dbe_count > 0";

/** The expected count comes from elsewhere than the agent's own memory. */
const PROMISED = metricIs("expected_from", "bus", "option", "instance_type", "pool");

const MEMORY: readonly BuiltinRule[] = [
  // A configured count may be wrong, and a GPU on the bus may be drained or bound to another
  // driver: neither proves broken hardware. A GPU that was known by its name and is gone is lost.
  measured(
    "gpu-absent",
    { ...CLASS.down, action: "reboot" },
    `${reasonIs("gpu_lost", "unlisted")} || ` +
      `${reasonIs("gpu_lost", "count")} && event.gpu_uuid == "" && ${PROMISED}`,
    "The driver does not list a GPU that is on the bus, or fewer than there must be.",
  ),
  measured("gpu-lost", CLASS.reboot, isType("gpu_lost"), "A GPU is off the bus or missing."),
  measured(
    "remap-failed",
    CLASS.replace,
    reasonIs("row_remap", "failure"),
    "Row remapping failed, which is for good.",
  ),
  measured(
    "remap-pending",
    CLASS.owed,
    reasonIs("row_remap", "pending"),
    "Remapped rows wait for a reset; the GPU works until then.",
  ),
  measured(
    "remap-warning",
    CLASS.active,
    isType("row_remap"),
    "Spare rows run out, or many pages were retired: plan a replacement.",
  ),
  measured(
    "sram-threshold",
    CLASS.replace,
    reasonIs("memory", "sram_threshold"),
    "Uncorrectable SRAM errors are above the vendor's limit.",
  ),
  measured(
    "memory-short",
    CLASS.down,
    reasonIs("driver_error", "memory_short"),
    "A GPU has less memory than its model: jobs that fit there do not run.",
  ),
  measured(
    "ecc-off",
    CLASS.active,
    `${reasonIs("memory", "disabled")} && ${isTrue("required")}`,
    "ECC is off on a model that has it on, so that memory errors are not seen.",
  ),
  measured(
    "ecc-off-chosen",
    CLASS.record,
    reasonIs("memory", "disabled"),
    "ECC is off on a card where that is a choice.",
  ),
  measured(
    "ecc-dbe",
    CLASS.reset,
    `${isType("ecc_dbe")} || ${COUNTED_DBE}`,
    "Uncorrectable memory errors.",
  ),
  measured(
    "ecc-sbe",
    CLASS.active,
    `${isType("ecc_sbe")} || ${isType("memory")}`,
    "Corrected memory errors above their rate.",
  ),
];

const DEVICE: readonly BuiltinRule[] = [
  measured(
    "thermal-critical",
    CLASS.down,
    `${isType("thermal")} && (${metricIs("reason", "shutdown")} || ${HOT})`,
    "At or above the shutdown limit of the device.",
  ),
  measured(
    "power-missing",
    CLASS.down,
    reasonIs("power", "insufficient"),
    "The board lacks external power.",
  ),
  measured(
    "pcie-slow",
    CLASS.active,
    reasonIs("pcie", "generation"),
    "A busy GPU has a PCIe link of a lower generation than it can have.",
  ),
  measured(
    "nvswitch-init-failed",
    { ...CLASS.watch, hold: "until_reboot" },
    reasonIs("nvlink", "switch_init"),
    "The driver cannot bring an NVSwitch up; what that does to a GPU is measured there.",
  ),
  measured(
    "nvlink-down",
    { ...CLASS.down, action: "reboot" },
    reasonIs("nvlink", "down", "fabric_pending", "fabric_status", "fabric_unhealthy"),
    "A GPU of a linked board has no link, or did not join its fabric: it computes alone.",
  ),
  measured(
    "gpu-warning",
    CLASS.active,
    `event.event_type in ["thermal", "power", "throttle", "nvlink", "pcie"]`,
    "Heat, power, throttling, links and bus: worth watching while it lasts.",
  ),
];

/** The driver answers, and leaves something open. */
const MILD = [
  "inforom",
  "unknown",
  "unread",
  "permission",
  "no_gpus",
  "other_driver",
  "duplicate_uuid",
];

const DRIVER: readonly BuiltinRule[] = [
  measured(
    "gpu-init-failed",
    { ...CLASS.reset, definitive: false },
    reasonIs("driver_error", "init"),
    "The driver cannot bring the GPU up.",
  ),
  measured(
    "driver-mismatch",
    { ...CLASS.notice, action: "inspect" },
    reasonIs("driver_error", "mismatch"),
    "A program's library differs from the module: its container is wrong, not the node.",
  ),
  measured(
    "driver-mild",
    CLASS.active,
    reasonIs("driver_error", ...MILD),
    "The driver answers, but not everything.",
  ),
  measured(
    "gpu-unopened",
    { ...CLASS.down, action: "reboot" },
    reasonIs("driver_error", "unopened", "mute"),
    "The driver lists a GPU and cannot open it, or gets no reading from it.",
  ),
  measured(
    "driver-hung",
    { ...CLASS.down, action: "reboot" },
    reasonIs("driver_error", "unresponsive", "stuck"),
    "Calls into the driver do not come back; only a reboot ends that.",
  ),
  measured(
    "driver-down",
    CLASS.down,
    isType("driver_error"),
    "Driver or library missing, mismatched or crashed: the GPUs cannot be used.",
  ),
];

const PORT_HARDWARE = [
  "port_module",
  "port_power",
  "port_temperature",
  "port_health",
  "port_command",
];
const DISK = ["file_system", "io_error", "nvme", "nvme_lost", "nvme_path", "raid", "raid_failed"];
/** What is shown and is no fault of the node. */
const RECORDED = [
  "oom_cgroup",
  "persistence",
  "mixed_models",
  "memory_corrected",
  "hardware_corrected",
];

/**
 * Host faults degrade a node and do not replace it: a full disk needs a person, a dead switch
 * affects a whole rack. Only a node on which nothing can start is taken out of service.
 */
const HOST: readonly BuiltinRule[] = [
  measured(
    "host-root-read-only",
    CLASS.down,
    reasonIs("check", "root_read_only"),
    "The root file system was writable in this boot and is not any more: nothing can start.",
  ),
  measured(
    "host-port",
    CLASS.active,
    reasonIs("check", "port_down", "port_missing", "port_rate", "port_flap"),
    "An InfiniBand or RoCE port is down, gone, slow or unsteady.",
  ),
  measured(
    "host-port-hardware",
    CLASS.watch,
    reasonIs("check", ...PORT_HARDWARE),
    "A network adapter reports a bad cable or module, heat, too little power, or does not answer.",
  ),
  measured(
    "host-pcie",
    CLASS.watch,
    reasonIs("check", "pcie_fatal", "pcie_error", "pcie_contained"),
    "An uncorrected error on the PCIe fabric, or a port that was shut off for one.",
  ),
  measured(
    "host-memory",
    CLASS.watch,
    reasonIs("check", "memory_uncorrected", "hardware_error"),
    "The machine's memory, processors or firmware report an uncorrected error.",
  ),
  measured(
    "host-oops",
    { ...CLASS.watch, hold: "until_reboot" },
    reasonIs("check", "oops"),
    "The kernel crashed and runs on: what it held stays locked until a reboot.",
  ),
  measured(
    "host-file-system",
    CLASS.active,
    reasonIs("check", "full", "read_only", "file_system_stuck"),
    "A file system is full, has become read-only, or does not answer.",
  ),
  measured(
    "host-disk",
    CLASS.watch,
    reasonIs("check", ...DISK),
    "A disk, a path to it, an array or a file system reports errors.",
  ),
  measured(
    "host-stall",
    CLASS.watch,
    reasonIs("check", "hung_task", "soft_lockup", "hard_lockup", "rcu_stall"),
    "A task or a CPU was stuck for a long time.",
  ),
  measured("host-nfs", CLASS.watch, reasonIs("check", "nfs"), "An NFS server does not answer."),
  measured(
    "host-oom",
    CLASS.notice,
    reasonIs("check", "oom"),
    "The machine ran out of memory, and the kernel ended a process.",
  ),
  measured(
    "host-panic",
    CLASS.active,
    reasonIs("check", "panic"),
    "The boot before this one ended in a kernel panic.",
  ),
  measured(
    "host-mixed-board",
    CLASS.active,
    `${reasonIs("check", "mixed_models")} && ${isTrue("board")}`,
    "GPUs of several models on a board that never mixes them.",
  ),
  measured(
    "host-record",
    CLASS.record,
    reasonIs("check", ...RECORDED),
    "A container at its memory limit, a mode or a mixture that is a choice, corrected errors.",
  ),
];

const NODE: readonly BuiltinRule[] = [
  measured(
    "heartbeat-missed",
    { ...CLASS.down, action: "none" },
    isType("heartbeat"),
    "The agent is silent. Silence alone is no reason to reboot.",
  ),
  measured(
    "check-failed",
    CLASS.active,
    isType("check"),
    "Something around the GPUs, such as a kernel log that cannot be read.",
  ),
  unknown("event-unknown", CLASS.unknown, isType("unknown"), "A kind of event from a newer agent."),
  unknown("default", CLASS.record, "true", "Nothing else."),
];

export const MEASURED_RULES: readonly BuiltinRule[] = [
  ...MEMORY,
  ...DEVICE,
  ...DRIVER,
  ...HOST,
  ...NODE,
];
