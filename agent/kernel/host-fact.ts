/**
 * Turns a kernel message into a fact about the machine around the GPUs: memory, stalls, disks, file
 * systems, network. Pure. Shapes of Linux 5.4 to 6.17 (file beside each). All match the start of
 * the message, so that text of a program, or its name, cannot match.
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
const MLX5 = String.raw`^mlx5_core (?<device>[0-9a-f:.]{7,16})[^:\n]{0,24}: `;

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
    pattern: new RegExp(`${MLX5}.{0,80}Detected insufficient power on the PCIe slot`),
  },
];

const BEGINS = new RegExp(
  "^(?:Out of memory|Memory cgroup out|INFO: |watchdog: |NMI watchdog: |Watchdog det|BUG: soft|" +
    "rcu: INFO|EXT4-fs |XFS \\(|BTRFS|I/O error|blk_|critical |Buffer I/O|nvme nvme|nfs|lockd: |" +
    "mlx5_core )",
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
      groups.map(([name, text]) => [name, NUMBERS.has(name) ? Number(text) : text]),
    );
    const { reason, severity } = shape;
    const subject = parts.groups?.["device"] ?? parts.groups?.["server"] ?? "";
    return { kind: "host", reason, subject, severity, metrics, line: message };
  }
  return null;
}
