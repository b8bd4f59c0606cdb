/**
 * Turns a kernel message into a fact about the machine around the GPUs: memory, stalls, crashes,
 * the PCIe fabric, disks, file systems, network. Pure. Shapes of Linux 5.4 to 6.18 (file beside
 * each). All match the start of the message, so that text of a program, or its name, cannot match.
 */
import type { Metrics, Severity } from "../../schema/finding.ts";

export type HostFact = {
  kind: "host";
  reason: string;
  /** The disk, server or device; repetitions of one subject are suppressed. */
  subject: string;
  severity: Severity;
  metrics: Metrics;
  line: string;
};

/** Named groups become metrics; the subject is the group `device` or `server`, or empty. */
type Shape = { reason: string; severity: Severity; pattern: RegExp };
/** Groups that hold a number. */
const NUMBERS = new Set(["pid", "seconds", "cpu", "module"]);

const KILLED = String.raw`Kill(?:ed)? process (?<pid>\d{1,9}) \((?<process_name>[^)\n]{1,64})\)`;
/** Disks, without loop devices, floppies and optical drives. */
const DISK = String.raw`(?<device>(?:nvme|sd|vd|xvd|md|dm-|mmcblk)[\w-]{1,24})`;
const NVME = String.raw`^nvme (?<device>nvme\d{1,4}): `;
/** Errors are printed behind function, line and often process (mlx5_core.h, `mlx5_core_err`). */
const MLX5 =
  String.raw`^mlx5_core (?<device>[0-9a-f:.]{7,16})[^:\n]{0,24}: ` +
  String.raw`(?:\w{1,64}:\d{1,6}:(?:\(pid \d{1,10}\):)? )?`;
/** A device by the name of its driver. */
const ON_PCI = String.raw`^[\w-]{1,24} (?<device>[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]): `;
/** The second word is of newer kernels. */
const UNCORRECTED = "(?:Uncorrected|Uncorrectable)";
const GHES = String.raw`^\{\d{1,9}\}\[Hardware Error\]: event severity: `;

const SHAPES: readonly Shape[] = [
  // mm/oom_kill.c: a container at its own limit is no fault of the node.
  {
    reason: "oom_cgroup",
    severity: "info",
    pattern: new RegExp(`^Memory cgroup out of memory: ${KILLED}`),
  },
  {
    reason: "oom",
    severity: "warning",
    pattern: new RegExp(`^Out of memory(?: \\([^)]{1,40}\\))?: ${KILLED}`),
  },
  // kernel/hung_task.c
  {
    reason: "hung_task",
    severity: "warning",
    pattern: new RegExp(
      String.raw`^INFO: task (?<process_name>.{1,40}):(?<pid>\d{1,9}) ` +
        String.raw`blocked for more than (?<seconds>\d{1,9}) seconds`,
    ),
  },
  // kernel/watchdog.c, with and without its prefix
  {
    reason: "soft_lockup",
    severity: "serious",
    pattern:
      /^(?:watchdog: )?BUG: soft lockup - CPU#(?<cpu>\d{1,6}) stuck for (?<seconds>\d{1,9})s!/,
  },
  {
    reason: "hard_lockup",
    severity: "serious",
    pattern: /^(?:NMI watchdog|watchdog)?:? ?Watchdog detected hard LOCKUP on cpu (?<cpu>\d{1,6})/,
  },
  // kernel/rcu/tree_stall.h
  {
    reason: "rcu_stall",
    severity: "warning",
    pattern: /^(?:rcu: )?INFO: rcu_\w{1,16} (?:self-detected|detected|detected expedited) stall/,
  },
  // fs/ext4/super.c, fs/xfs/xfs_fsops.c, fs/btrfs/messages.c
  {
    reason: "read_only",
    severity: "serious",
    pattern: /^EXT4-fs \((?<device>[^)\s]{1,40})\): Remounting filesystem read-only/,
  },
  {
    reason: "read_only",
    severity: "serious",
    pattern:
      /^XFS \((?<device>[^)\s]{1,40})\): .{0,80}(?:ilesystem has been shut down|Shutting down f)/,
  },
  {
    reason: "read_only",
    severity: "serious",
    pattern: /^BTRFS.{0,24}\(device (?<device>[^)\s:]{1,40})\).{0,140}forced readonly/,
  },
  {
    reason: "file_system",
    severity: "warning",
    pattern: /^EXT4-fs error \(device (?<device>[^)\s]{1,40})\)/,
  },
  {
    reason: "file_system",
    severity: "warning",
    pattern: new RegExp(
      String.raw`^XFS \((?<device>[^)\s]{1,40})\): ` +
        "(?:Metadata (?:corruption|CRC)|Corruption|.{0,16}I/O error)",
    ),
  },
  {
    reason: "file_system",
    severity: "warning",
    pattern: /^BTRFS (?:error|critical) \(device (?<device>[^)\s:]{1,40})/,
  },
  // block/blk-core.c
  {
    reason: "io_error",
    severity: "warning",
    pattern: new RegExp(
      `^(?:blk_update_request: |blk_print_req_error: )?` +
        `(?:I/O|critical (?:medium|target|nexus|space allocation)) error, dev ${DISK}, sector`,
    ),
  },
  {
    reason: "io_error",
    severity: "warning",
    pattern: new RegExp(`^Buffer I/O error on dev(?:ice)? ${DISK}, logical block`),
  },
  // drivers/nvme/host/core.c, pci.c
  {
    reason: "nvme_lost",
    severity: "serious",
    pattern: new RegExp(
      `${NVME}(?:Removing after probe failure|Disabling device after reset failure|` +
        "Device not ready; aborting)",
    ),
  },
  {
    reason: "nvme",
    severity: "warning",
    pattern: new RegExp(
      `${NVME}(?:I/O .{1,100} timeout|controller is down; will reset|Abort status)`,
    ),
  },
  // fs/nfs, net/sunrpc/clnt.c
  {
    reason: "nfs",
    severity: "warning",
    pattern: /^(?:nfs|nfs4|lockd): server (?<server>\S{1,120}) not responding/,
  },
  // drivers/net/ethernet/mellanox/mlx5/core/events.c
  {
    reason: "port_module",
    severity: "warning",
    pattern: new RegExp(
      MLX5 +
        String.raw`Port module event\[error\]: module (?<module>\d{1,4}), (?<error>[^\n]{1,80})`,
    ),
  },
  {
    reason: "port_power",
    severity: "warning",
    pattern: new RegExp(`${MLX5}Detected insufficient power on the PCIe slot`),
  },
  {
    reason: "port_temperature",
    severity: "warning",
    pattern: new RegExp(`${MLX5}High temperature on sensors`),
  },
  // health.c, cmd.c beside it
  {
    reason: "port_health",
    severity: "serious",
    pattern: new RegExp(
      `${MLX5}(?:device's health compromised|Fatal error \\d{1,9} detected|` +
        "PCI slot is unavailable|Health issue observed, (?<error>[^\\n]{1,80}))",
    ),
  },
  {
    reason: "port_command",
    severity: "serious",
    pattern: new RegExp(
      `${MLX5}(?<error>\\w{1,64})\\(0x[0-9a-f]{1,8}\\) timeout\\. Will cause a leak`,
    ),
  },
  // drivers/pci/pcie/aer.c, dpc.c
  {
    reason: "pcie_fatal",
    severity: "serious",
    pattern: new RegExp(
      `${ON_PCI}(?:AER: )?(?:Multiple )?(?:${UNCORRECTED} \\(Fatal\\) error|` +
        `PCIe Bus Error: severity=${UNCORRECTED} \\(Fatal\\))`,
    ),
  },
  {
    reason: "pcie_error",
    severity: "warning",
    pattern: new RegExp(
      `${ON_PCI}(?:AER: )?(?:Multiple )?(?:${UNCORRECTED} \\(Non-Fatal\\) error|` +
        `PCIe Bus Error: severity=${UNCORRECTED} \\(Non-Fatal\\))`,
    ),
  },
  {
    reason: "pcie_contained",
    severity: "serious",
    pattern: new RegExp(`${ON_PCI}DPC: containment event`),
  },
  // drivers/edac/edac_mc.c
  {
    reason: "memory_uncorrected",
    severity: "serious",
    pattern: /^EDAC (?<device>MC\d{1,4}): \d{1,9} UE /,
  },
  {
    reason: "memory_corrected",
    severity: "info",
    pattern: /^EDAC (?<device>MC\d{1,4}): \d{1,9} CE /,
  },
  // mm/memory-failure.c
  {
    reason: "memory_uncorrected",
    severity: "serious",
    pattern: /^Memory failure: 0x[0-9a-f]{1,16}: /,
  },
  // arch/x86/kernel/cpu/mce/core.c, drivers/edac/mce_amd.c
  {
    reason: "hardware_error",
    severity: "serious",
    pattern: new RegExp(
      String.raw`^(?:mce: )?\[Hardware Error\]: (?:CPU (?<cpu>\d{1,6}): Machine Check Exception|` +
        "Uncorrected|Deferred error|Fatal machine check)|^mce: Uncorrected hardware memory error",
    ),
  },
  {
    reason: "hardware_corrected",
    severity: "info",
    pattern: /^(?:mce: )?\[Hardware Error\]: (?:Corrected error|Machine check events logged)/,
  },
  // drivers/acpi/apei/ghes.c, drivers/firmware/efi/cper.c
  {
    reason: "hardware_error",
    severity: "serious",
    pattern: new RegExp(`${GHES}(?<error>fatal|recoverable)`),
  },
  {
    reason: "hardware_corrected",
    severity: "info",
    pattern: new RegExp(`${GHES}(?<error>corrected|info)`),
  },
  // arch/x86/mm/fault.c, arch/x86/kernel/{traps,dumpstack}.c, arch/arm64/mm/fault.c, lib/bug.c
  {
    reason: "oops",
    severity: "serious",
    pattern: new RegExp(
      "^(?:BUG: (?:unable to handle|kernel NULL pointer dereference)|Oops: |kernel BUG at |" +
        "general protection fault, |Internal error: |Unable to handle kernel )",
    ),
  },
  // drivers/md/{raid1,raid10,raid5,raid0,md}.c
  {
    reason: "raid_failed",
    severity: "serious",
    pattern: new RegExp(`^md/\\w{1,16}:\\w{1,32}: Disk failure on ${DISK} detected, failing array`),
  },
  {
    reason: "raid",
    severity: "warning",
    pattern: new RegExp(`^md/\\w{1,16}:\\w{1,32}: Disk failure on ${DISK}, disabling device`),
  },
  // drivers/nvme/host/multipath.c
  {
    reason: "nvme_path",
    severity: "serious",
    pattern: /^block (?<device>nvme[\w-]{1,24}): no available path - failing I\/O/,
  },
  {
    reason: "nvme_path",
    severity: "warning",
    pattern: /^block (?<device>nvme[\w-]{1,24}): no usable path - requeuing I\/O/,
  },
];

const BEGINS = new RegExp(
  "^(?:Out of memory|Memory cgroup out|INFO: |watchdog: |NMI watchdog: |Watchdog det|BUG: soft|" +
    "rcu: INFO|EXT4-fs |XFS \\(|BTRFS|I/O error|blk_|critical |Buffer I/O|nvme nvme|nfs|lockd: |" +
    "mlx5_core |pcieport |nvidia 0|nvme 0|pci 0|EDAC MC|Memory failure: |mce: |\\[Hardware Error|" +
    "\\{\\d{1,9}\\}\\[Hardware|BUG: unable|BUG: kernel|Oops: |kernel BUG at |general protection |" +
    "Internal error: |Unable to handle kern|md/raid|block nvme)",
);
/** Longer than the longest alternative of `BEGINS`. */
export const HOST_BEGIN_CHARS = 24;

/** A cheap filter by the beginning of a message. */
export function mayHoldHostFact(begin: string): boolean {
  return BEGINS.test(begin);
}

export function hostFact(message: string): HostFact | null {
  if (!mayHoldHostFact(message)) return null;
  for (const shape of SHAPES) {
    const parts = shape.pattern.exec(message);
    if (parts === null) continue;
    const groups = Object.entries(parts.groups ?? {});
    const metrics: Metrics = Object.fromEntries(
      // A group of another alternative has no text.
      groups.flatMap(([name, text]: [string, string | undefined]) =>
        text === undefined ? [] : [[name, NUMBERS.has(name) ? Number(text) : text]],
      ),
    );
    const { reason, severity } = shape;
    const subject = parts.groups?.["device"] ?? parts.groups?.["server"] ?? "";
    return { kind: "host", reason, subject, severity, metrics, line: message };
  }
  return null;
}
