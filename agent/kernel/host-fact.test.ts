import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { Finding } from "../../schema/finding.ts";
import { BootId } from "../../schema/id.ts";
import { parseFacts } from "./fact.ts";
import { EMPTY_MEMORY, findingOf, type KernelMemory } from "./finding.ts";
import { HOST_BEGIN_CHARS, hostFact, mayHoldHostFact } from "./host-fact.ts";

const LINES: readonly [line: string, reason: string, subject: string, metrics: object][] = [
  [
    "Out of memory: Killed process 4242 (python3) total-vm:1kB, anon-rss:1kB, file-rss:0kB",
    "oom",
    "",
    { pid: 4242, process_name: "python3" },
  ],
  [
    "Out of memory: Kill process 7 (ray::IDLE) score 901 or sacrifice child",
    "oom",
    "",
    { pid: 7, process_name: "ray::IDLE" },
  ],
  [
    "Out of memory (oom_kill_allocating_task): Killed process 8 (x) total-vm:1kB",
    "oom",
    "",
    { pid: 8, process_name: "x" },
  ],
  [
    "Memory cgroup out of memory: Killed process 9 (trainer (main)) total-vm:1kB",
    "oom_cgroup",
    "",
    { pid: 9, process_name: "trainer (main" },
  ],
  [
    "INFO: task kworker/u64:3:1234 blocked for more than 122 seconds.",
    "hung_task",
    "",
    { process_name: "kworker/u64:3", pid: 1234, seconds: 122 },
  ],
  [
    "watchdog: BUG: soft lockup - CPU#17 stuck for 26s! [nvidia-smi:99]",
    "soft_lockup",
    "",
    { cpu: 17, seconds: 26 },
  ],
  [
    "BUG: soft lockup - CPU#1 stuck for 61s! [events/1:10]",
    "soft_lockup",
    "",
    { cpu: 1, seconds: 61 },
  ],
  ["watchdog: Watchdog detected hard LOCKUP on cpu 5", "hard_lockup", "", { cpu: 5 }],
  ["NMI watchdog: Watchdog detected hard LOCKUP on cpu 6", "hard_lockup", "", { cpu: 6 }],
  ["rcu: INFO: rcu_preempt self-detected stall on CPU", "rcu_stall", "", {}],
  ["rcu: INFO: rcu_sched detected stalls on CPUs/tasks:", "rcu_stall", "", {}],
  ["INFO: rcu_preempt detected expedited stalls on CPUs/tasks: {", "rcu_stall", "", {}],
  [
    "EXT4-fs (nvme0n1p1): Remounting filesystem read-only",
    "read_only",
    "nvme0n1p1",
    { device: "nvme0n1p1" },
  ],
  [
    "XFS (dm-3): log I/O error -5. Filesystem has been shut down due to log error (0x2).",
    "read_only",
    "dm-3",
    {},
  ],
  [
    "XFS (nvme1n1): Corruption of in-memory data (0x8) detected at xfs_trans_cancel. Shutting down filesystem.",
    "read_only",
    "nvme1n1",
    {},
  ],
  ["BTRFS info (device sdb1): forced readonly", "read_only", "sdb1", {}],
  [
    "BTRFS: error (device sdb1) in btrfs_run_delayed_refs:2150: errno=-5 IO failure forced readonly",
    "read_only",
    "sdb1",
    {},
  ],
  [
    "EXT4-fs error (device sda1): ext4_find_entry:1456: inode #2: comm bash: reading directory",
    "file_system",
    "sda1",
    {},
  ],
  ["XFS (sda1): Metadata corruption detected at xfs_agf_read_verify", "file_system", "sda1", {}],
  ['XFS (sda1): metadata I/O error in "xfs_da_read_buf"', "file_system", "sda1", {}],
  ["BTRFS error (device sdc): parent transid verify failed on", "file_system", "sdc", {}],
  [
    "I/O error, dev nvme0n1, sector 123456 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2",
    "io_error",
    "nvme0n1",
    { device: "nvme0n1" },
  ],
  ["blk_update_request: I/O error, dev sda, sector 1953525168", "io_error", "sda", {}],
  ["critical medium error, dev sdb, sector 12345 op 0x0:(READ)", "io_error", "sdb", {}],
  ["Buffer I/O error on dev dm-0, logical block 1, lost async page write", "io_error", "dm-0", {}],
  ["nvme nvme3: I/O 12 QID 3 timeout, aborting", "nvme", "nvme3", {}],
  [
    "nvme nvme3: I/O tag 3 (1003) opcode 0x2 (I/O Cmd) QID 6 timeout, reset controller",
    "nvme",
    "nvme3",
    {},
  ],
  [
    "nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0x10",
    "nvme",
    "nvme0",
    {},
  ],
  ["nvme nvme0: Removing after probe failure status: -19", "nvme_lost", "nvme0", {}],
  ["nvme nvme0: Disabling device after reset failure: -19", "nvme_lost", "nvme0", {}],
  ["nfs: server 10.0.0.7 not responding, still trying", "nfs", "10.0.0.7", { server: "10.0.0.7" }],
  ["nfs: server filer.example.org not responding, timed out", "nfs", "filer.example.org", {}],
  [
    "mlx5_core 0000:5c:00.0: Port module event[error]: module 0, Cable error, High Temperature",
    "port_module",
    "0000:5c:00.0",
    { module: 0, error: "Cable error, High Temperature" },
  ],
  [
    "mlx5_core 0000:5c:00.0: mlx5_pcie_event:299:(pid 268269): Detected insufficient power on the PCIe slot (27W).",
    "port_power",
    "0000:5c:00.0",
    {},
  ],
  [
    "mlx5_core 0000:5c:00.0: port_module:255:(pid 0): Port module event[error]: module 1, Cable error, Bus stuck (I2C or data shorted)",
    "port_module",
    "0000:5c:00.0",
    { module: 1, error: "Cable error, Bus stuck (I2C or data shorted)" },
  ],
  [
    "mlx5_core 0000:41:00.0: temp_warn:170:(pid 0): High temperature on sensors with bit set 0 1",
    "port_temperature",
    "0000:41:00.0",
    {},
  ],
  [
    "mlx5_core 0000:41:00.0: poll_health:471:(pid 0): device's health compromised - reached miss count",
    "port_health",
    "0000:41:00.0",
    {},
  ],
  [
    "mlx5_core 0000:41:00.0: print_health_info:430:(pid 0): Health issue observed, firmware internal error, severity(3) ERROR:",
    "port_health",
    "0000:41:00.0",
    { error: "firmware internal error, severity(3) ERROR:" },
  ],
  [
    "mlx5_core 0000:03:00.0: wait_func:1195:(pid 1967079): ENABLE_HCA(0x104) timeout. Will cause a leak of a command resource",
    "port_command",
    "0000:03:00.0",
    { error: "ENABLE_HCA" },
  ],
  [
    "pcieport 0000:00:03.0: AER: Uncorrected (Fatal) error received: 0000:03:00.0",
    "pcie_fatal",
    "0000:00:03.0",
    {},
  ],
  [
    "pcieport 0000:0c:00.0: AER: Uncorrectable (Fatal) error message received from 0000:0c:00.0",
    "pcie_fatal",
    "0000:0c:00.0",
    {},
  ],
  [
    "pcieport 0000:0c:00.0: AER: Multiple Uncorrectable (Non-Fatal) error message received from 0000:0c:00.0",
    "pcie_error",
    "0000:0c:00.0",
    {},
  ],
  [
    "nvidia 0000:18:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer, (Receiver ID)",
    "pcie_fatal",
    "0000:18:00.0",
    {},
  ],
  [
    "nvme 0000:01:00.0: AER: PCIe Bus Error: severity=Uncorrectable (Non-Fatal), type=Transaction Layer, (Requester ID)",
    "pcie_error",
    "0000:01:00.0",
    {},
  ],
  [
    "pcieport 0000:30:03.0: DPC: containment event, status:0x0005 source:0x3400",
    "pcie_contained",
    "0000:30:03.0",
    {},
  ],
  [
    "pcieport 0015:00:00.0: DPC: containment event, status:0x200d, ERR_FATAL received from 0015:01:00.0",
    "pcie_contained",
    "0015:00:00.0",
    {},
  ],
  [
    "EDAC MC0: 1 UE memory read error on CPU_SrcID#0_MC#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x1)",
    "memory_uncorrected",
    "MC0",
    {},
  ],
  [
    "EDAC MC3: 12 CE memory read error on CPU_SrcID#1_MC#1_Chan#0_DIMM#0 (channel:0 slot:0)",
    "memory_corrected",
    "MC3",
    {},
  ],
  [
    "Memory failure: 0x17d5ba: recovery action for dirty LRU page: Recovered",
    "memory_uncorrected",
    "",
    {},
  ],
  [
    "mce: [Hardware Error]: CPU 37: Machine Check Exception: 5 Bank 12: be00000000800400",
    "hardware_error",
    "",
    { cpu: 37 },
  ],
  ["mce: [Hardware Error]: Machine check events logged", "hardware_corrected", "", {}],
  ["[Hardware Error]: Uncorrected, software restartable error.", "hardware_error", "", {}],
  ["[Hardware Error]: Corrected error, no action required.", "hardware_corrected", "", {}],
  [
    "{1}[Hardware Error]: event severity: recoverable",
    "hardware_error",
    "",
    { error: "recoverable" },
  ],
  [
    "{12}[Hardware Error]: event severity: corrected",
    "hardware_corrected",
    "",
    { error: "corrected" },
  ],
  ["BUG: unable to handle page fault for address: ffffa0b1c2d3e4f5", "oops", "", {}],
  ["BUG: kernel NULL pointer dereference, address: 0000000000000010", "oops", "", {}],
  [
    "Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP",
    "oops",
    "",
    {},
  ],
  [
    "general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP NOPTI",
    "oops",
    "",
    {},
  ],
  ["kernel BUG at fs/ext4/inode.c:2716!", "oops", "", {}],
  ["Internal error: Oops: 0000000096000004 [#1] SMP", "oops", "", {}],
  [
    "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000",
    "oops",
    "",
    {},
  ],
  [
    "md/raid1:md1: Disk failure on nvme2n1, disabling device.\nmd/raid1:md1: Operation continuing on 1 devices.",
    "raid",
    "nvme2n1",
    {},
  ],
  [
    "md/raid0:md0: Disk failure on nvme0n1p1 detected, failing array.",
    "raid_failed",
    "nvme0n1p1",
    {},
  ],
  ["block nvme1n1: no available path - failing I/O", "nvme_path", "nvme1n1", {}],
];

/** Serious is what takes work down with it; a container at its own limit is its own affair. */
const SEVERITIES: Readonly<Record<string, string>> = {
  oom_cgroup: "info",
  oom: "warning",
  hung_task: "warning",
  soft_lockup: "serious",
  hard_lockup: "serious",
  rcu_stall: "warning",
  read_only: "serious",
  file_system: "warning",
  io_error: "warning",
  nvme_lost: "serious",
  nvme: "warning",
  nfs: "warning",
  port_module: "warning",
  port_power: "warning",
  port_temperature: "warning",
  port_health: "serious",
  port_command: "serious",
  pcie_fatal: "serious",
  pcie_error: "warning",
  pcie_contained: "serious",
  memory_uncorrected: "serious",
  memory_corrected: "info",
  hardware_error: "serious",
  hardware_corrected: "info",
  oops: "serious",
  raid: "warning",
  raid_failed: "serious",
  nvme_path: "serious",
};

const bootId = v.parse(BootId, "b1");

function tell(lines: readonly [usec: number, line: string][]): Finding[] {
  let memory: KernelMemory = EMPTY_MEMORY;
  const found: Finding[] = [];
  lines.forEach(([usec, line], seq) => {
    for (const fact of parseFacts(line)) {
      const step = findingOf(fact, { seq, usec, bootId, bootWallMs: 0 }, [], memory);
      memory = step.memory;
      if (step.finding) found.push(step.finding);
    }
  });
  return found;
}

describe("hostFact()", () => {
  test.each(LINES)("reads %s", (line, reason, subject, metrics) => {
    expect(mayHoldHostFact(line.slice(0, HOST_BEGIN_CHARS))).toBe(true);
    const severity = SEVERITIES[reason];
    const named = reason === "nfs" ? { server: subject } : { device: subject };
    const all = subject === "" ? metrics : { ...named, ...metrics };
    const kind = "host" as const;
    expect(hostFact(line)).toEqual({
      kind,
      reason,
      subject,
      severity,
      metrics: all,
      line,
    } as never);
    expect(parseFacts(line)).toHaveLength(1);
  });

  test("takes nothing that a program prints or is called for a word of the kernel", () => {
    for (const line of [
      "x[1]: segfault at 0 ip 0 sp 0 error 4 in Out of memory: Killed process 1 (x)",
      "systemd[1]: nfs: server 10.0.0.7 not responding, still trying",
      "INFO: lockdep is turned off.",
      "nvme nvme0: 16/0/0 default/read/poll queues",
      "EXT4-fs (sda1): mounted filesystem with ordered data mode",
      "EXT4-fs (sda1): re-mounted. Opts: (null). Quota mode: none.",
      "XFS (dm-0): Mounting V5 Filesystem",
      "BTRFS info (device sdb1): using crc32c",
      "I/O error, dev loop3, sector 0 op 0x0:(READ)",
      "I/O error, dev fd0, sector 0",
      "Buffer I/O error on dev sr0, logical block 1",
      "nfs: server 10.0.0.7 OK",
      "mlx5_core 0000:5c:00.0: Port module event: module 0, Cable plugged",
      "watchdog: software watchdog loaded",
      "pcieport 0000:00:01.0: AER: Corrected error message received from 0000:01:00.0",
      "pcieport 0000:00:01.0: DPC: enabled with IRQ 33",
      "EDAC MC: Ver: 3.0.0",
      "traps: python3[12] general protection fault ip:1 sp:2 error:0",
      "md/raid1:md1: active with 2 out of 2 mirrors",
      "block nvme0n1: the capability attribute has been deprecated.",
      "mlx5_core 0000:5c:00.0: firmware version: 28.39.1002",
      "mce: CPU0: Thermal monitoring enabled (TM1)",
    ]) {
      expect([line, parseFacts(line)]).toEqual([line, []]);
    }
  });

  test("findingOf() tells of one subject once in five minutes, and then how often it was seen", () => {
    const line = (disk: string) => `I/O error, dev ${disk}, sector 1 op 0x0:(READ)`;
    const found = tell([
      [0, line("sda")],
      ...Array.from({ length: 500 }, (_, i): [number, string] => [1_000 * i, line("sda")]),
      [2_000_000, line("nvme0n1")],
      [301_000_000, line("sda")],
    ]);
    expect(found.map((f) => [f.reason, f.metrics?.["device"], f.metrics?.["repeated"]])).toEqual([
      ["io_error", "sda", 0],
      ["io_error", "nvme0n1", 0],
      ["io_error", "sda", 500],
    ]);
    expect(found[0]?.severity).toBe("warning");
    expect(found[0]).toMatchObject({
      kind: "host",
      source: "kmsg",
      gpu_uuid: null,
      foreign: false,
    });
  });

  test("findingOf() tells it again exactly after five minutes, backwards too", () => {
    const line = "nfs: server a not responding, still trying";
    const told = (usec: number) =>
      tell([
        [400_000_000, line],
        [usec, line],
      ]).length;
    expect([400e6, 699_999_999, 700e6, 100_000_001, 100e6].map(told)).toEqual([1, 1, 2, 1, 2]);
  });

  test("findingOf() lets no control character of a name through, and bounds it", () => {
    const name = `a\u0007${"b".repeat(62)}`;
    const [finding] = tell([[0, `Out of memory: Killed process 1 (${name}) total-vm:1kB`]]);
    expect(finding?.metrics).toEqual({
      ...{ repeated: 0, pid: 1, process_name: `a\ufffd${"b".repeat(62)}` },
    });
    const [long] = tell([[0, `nfs: server ${"s".repeat(99)} not responding`]]);
    expect(long?.metrics).toEqual({ repeated: 0, server: "s".repeat(64) });
  });
});
