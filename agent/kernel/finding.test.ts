import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { Finding } from "../../schema/finding.ts";
import { BootId } from "../../schema/id.ts";
import { parseFacts } from "./fact.ts";
import type { GpuIdentity } from "../../schema/gpu.ts";
import {
  EMPTY_MEMORY,
  findingOf,
  type GpuTable,
  type KernelMemory,
  makeGpuTable,
} from "./finding.ts";

const BOOT = v.parse(BootId, "boot-1");
const BOOT_WALL_MS = Date.parse("2026-03-01T10:00:00Z");
const GPUS: GpuTable = [
  { index: 0, uuid: "GPU-a", pci: "00000000:04:00.0" },
  { index: 1, uuid: "GPU-b", pci: "00000000:3B:00.0" },
];

type Line = { text: string; usec?: number };

/** Runs messages one after another, as the reader does. */
function tell(lines: (string | Line)[], gpus: GpuTable = GPUS) {
  let memory: KernelMemory = EMPTY_MEMORY;
  const findings: Finding[] = [];
  lines.forEach((given, at) => {
    const line: Line = typeof given === "string" ? { text: given } : given;
    const origin = { seq: at, usec: line.usec ?? at, bootId: BOOT, bootWallMs: BOOT_WALL_MS };
    for (const fact of parseFacts(line.text)) {
      const step = findingOf(fact, origin, gpus, memory);
      memory = step.memory;
      const { amended } = step;
      if (amended) findings.splice(findings.indexOf(amended.before), 1, amended.after);
      if (step.finding) findings.push(step.finding);
    }
  });
  return findings;
}

describe("makeGpuTable()", () => {
  const listed = { index: 0, uuid: "GPU-a", name: "H100", pci_bus_id: "00000000:04:00.0" };
  const bus = {
    kind: "read" as const,
    gpus: ["0000:04:00.0", "0000:3b:00.0"].map((pci) => ({ pci, driver: "nvidia" })),
  };
  const failed =
    "NVRM: GPU 0000:3b:00.0: RmInitAdapter failed! (0x26:0x56:1474)\n" +
    "NVRM: GPU 0000:3b:00.0: rm_init_adapter failed, device minor number 1";

  test("takes a GPU that only the bus shows for this machine's", () => {
    const table = makeGpuTable([listed as GpuIdentity], bus);
    expect(tell([failed], table)[0]).toMatchObject({
      kind: "driver",
      reason: "init",
      pci: "0000:3b:00.0",
      foreign: false,
    });
    const xid = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.";
    expect(tell([xid], table)[0]).toMatchObject({ code: 79, foreign: false, gpu_uuid: null });
    expect(tell([xid.replace("3b", "5e")], table)[0]).toMatchObject({ foreign: true });
  });

  test("keeps the name of one that is listed", () => {
    const table = makeGpuTable([listed as GpuIdentity], bus);
    const [finding] = tell(["NVRM: Xid (PCI:0000:04:00): 48, pid=1, name=py, DBE"], table);
    expect(finding).toMatchObject({ gpu_uuid: "GPU-a", gpu_index: 0 });
  });
});

describe("findingOf()", () => {
  test("findingOf() names the GPU of a 4-digit address from an 8-digit table", () => {
    const [finding] = tell([
      { text: "NVRM: Xid (PCI:0000:3b:00 GPU-I:05): 31, pid=7, name=py, Ch 8", usec: 2_500_000 },
    ]);
    expect(finding).toMatchObject({
      kind: "xid",
      code: 31,
      pci: "0000:3b:00.0",
      gpu_index: 1,
      gpu_uuid: "GPU-b",
      foreign: false,
      mig: { gi: 5, ci: null },
      pid: 7,
      process_name: "py",
      at: "2026-03-01T10:00:02.500Z",
      boot_id: "boot-1",
      source: "kmsg",
      kmsg_seq: 0,
      metrics: { xid_code: 31, pid: 7, process_name: "py" },
    });
    expect(v.safeParse(Finding, finding).success).toBe(true);
  });

  test("findingOf() takes the same bus of another PCI domain for another GPU", () => {
    const gpus: GpuTable = [
      { index: 0, uuid: "GPU-low", pci: "00000000:3B:00.0" },
      { index: 1, uuid: "GPU-high", pci: "00000001:3B:00.0" },
    ];
    const xid = (domain: string) =>
      `NVRM: Xid (PCI:${domain}:3b:00): 79, GPU has fallen off the bus`;
    const [high, low, none] = tell([xid("0001"), xid("0000"), xid("0002")], gpus);
    expect(high).toMatchObject({ gpu_uuid: "GPU-high", gpu_index: 1, pci: "0001:3b:00.0" });
    expect(low).toMatchObject({ gpu_uuid: "GPU-low", gpu_index: 0, pci: "0000:3b:00.0" });
    expect(none).toMatchObject({ gpu_uuid: null, gpu_index: null, foreign: true });
  });

  test("findingOf() takes the index from the table's row, not from the row's place", () => {
    const gpus: GpuTable = [
      { index: 5, uuid: "GPU-f", pci: "00000000:9B:00.0" },
      { index: 2, uuid: "GPU-c", pci: "00000000:3B:00.0" },
    ];
    const [finding] = tell(["NVRM: Xid (PCI:0000:3b:00): 48, pid=1, name=py, DBE"], gpus);
    expect(finding).toMatchObject({ gpu_uuid: "GPU-c", gpu_index: 2 });
  });

  test("findingOf() marks an address that is none of this machine's", () => {
    const line = "NVRM: Xid (PCI:0000:99:00): 79, gone";
    expect(tell([line])[0]).toMatchObject({ foreign: true, gpu_index: null, gpu_uuid: null });
    expect(tell([line], [])[0]).toMatchObject({ foreign: false, gpu_index: null });
  });

  test("findingOf() learns a UUID and a serial from the log itself", () => {
    const uuid = "GPU-12345678-1234-1234-1234-123456789abc";
    const [finding] = tell([
      `NVRM: GPU at PCI:0000:99:00: ${uuid}`,
      "NVRM: GPU Board Serial Number: 00123",
      "NVRM: Xid (PCI:0000:99:00): 79, gone",
    ]);
    expect(finding).toMatchObject({
      foreign: false,
      gpu_uuid: uuid,
      metrics: { gpu_serial: "00123" },
    });
  });

  test("findingOf() merges the lines of one loss with its Xid 79", () => {
    const xid = "NVRM: Xid (PCI:0000:04:00): 79, GPU has fallen off the bus.";
    const bare = "NVRM: GPU 0000:04:00.0: GPU has fallen off the bus.";
    const other = "NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.";
    const kinds = (found: Finding[]) => found.map((f) => `${f.kind}/${f.gpu_index}`);
    expect(kinds(tell([xid, bare, bare, other]))).toEqual(["xid/0", "lost/1"]);
    expect(kinds(tell([bare, bare, xid]))).toEqual(["lost/0", "xid/0"]);
    const later = { text: bare, usec: 400_000_000 };
    expect(kinds(tell([bare, later]))).toEqual(["lost/0", "lost/0"]);
  });

  test("findingOf() sends a loss again after three minutes, however often the kernel prints it", () => {
    const text = "NVRM: GPU 0000:04:00.0: GPU has fallen off the bus.";
    const every4s = Array.from({ length: 140 }, (_, n) => ({ text, usec: n * 4_000_000 }));
    const at = tell(every4s).map((f) => (Date.parse(f.at) - BOOT_WALL_MS) / 1_000);
    expect(at).toEqual([0, 184, 368, 552]);
  });

  test("findingOf() attaches the detail lines of a switch event and counts none", () => {
    const at = "nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, ";
    const found = tell([
      `${at}Fatal, Link 30 LTSSM Fault Up`,
      `${at}Severity 1 Engine instance 62`,
      `${at}Data {0x1, 0x2}`,
    ]);
    expect(found.length).toBe(1);
    expect(found[0]).toMatchObject({
      kind: "sxid",
      code: 20034,
      severity: "fatal",
      foreign: false,
      metrics: { sxid_code: 20034, severity: "fatal", link: 30, switch: 0 },
    });
    expect(found[0]?.message).toContain("Data {0x1, 0x2}");
  });

  test("findingOf() tells details apart by switch, and keeps those whose event was lost", () => {
    const one = "nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, ";
    const two = "nvidia-nvswitch1 SXid (PCI:0000:c2:00.0): 20034, ";
    const found = tell([
      `${one}Fatal, Link 30 LTSSM Fault Up`,
      `${two}Non-fatal, Link 31 LTSSM Fault Up`,
      `${one}Data {0x1}`,
      `${two}Data {0x2}`,
    ]);
    expect(found.map((f) => f.message.includes("Data {0x1}"))).toEqual([true, false]);
    expect(found.map((f) => f.message.includes("Data {0x2}"))).toEqual([false, true]);

    const alone = tell([`${one}Severity 1 Engine instance 62`, `${one}Data {0x1}`]);
    expect(alone).toMatchObject([{ kind: "sxid", code: 20034, reason: "detail" }]);
    expect(alone[0]?.message).toContain("Data {0x1}");
  });

  test("findingOf() keeps an unreadable line as a finding without a code", () => {
    expect(tell(["NVRM: Xid (nothing known"])[0]).toMatchObject({
      kind: "xid",
      code: null,
      reason: "unparsed",
      message: "NVRM: Xid (nothing known",
      foreign: false,
    });
  });

  test("findingOf() keeps an unreadable line of a switch as the switch's", () => {
    expect(tell(["nvidia-nvswitch0: SXid 20034, Fatal"])[0]).toMatchObject({
      kind: "sxid",
      code: null,
      reason: "unparsed",
      foreign: false,
    });
  });

  test("findingOf() lets no control character of a process name through", () => {
    const [finding] = tell(["NVRM: Xid (PCI:0000:04:00): 13, pid=1, name=\u001b[2Jx, Ch 00000001"]);
    expect(finding?.process_name).toBe("\ufffd[2Jx");
    expect(finding?.message).not.toContain("\u001b");
  });

  test("findingOf() bounds what a long line may carry", () => {
    const long = `NVRM: Xid (PCI:0000:04:00): 149, ${"U".repeat(3_000)} Fatal XC0 i0 Link 1 (0x1 0x2)`;
    const [finding] = tell([long]);
    expect(v.safeParse(Finding, finding).success).toBe(true);
  });

  const severities: [string, string][] = [
    ["79, gone", "fatal"],
    ["13, x", "warning"],
    ["63, x", "serious"],
    ["999, x", "serious"],
    ["94, Contained: x. RST: Yes, D-RST: No", "fatal"],
    ["154, GPU recovery action changed from 0x1 (a) to 0x0 (None)", "info"],
    ["154, GPU recovery action changed from 0x0 (a) to 0x2 (b)", "fatal"],
    ["154, GPU recovery action changed from 0x0 (a) to 0x9 (b)", "serious"],
  ];
  for (const [text, severity] of severities) {
    test(`findingOf() calls "${text}" ${severity}`, () => {
      expect(tell([`NVRM: Xid (PCI:0000:04:00): ${text}`])[0]?.severity).toBe(severity as "fatal");
    });
  }

  test("findingOf() names the other faults the driver tells about", () => {
    const found = tell([
      "NVRM: GPU 0000:04:00.0: RmInitAdapter failed! (0x62:0x40:2393)",
      "NVRM: API mismatch: the client 'x' (pid 1)",
      "NVRM: The NVIDIA probe routine failed for 1 device(s).",
      "NVRM: Attempting to remove device 0000:05:00.0 with non-zero usage count!",
      "NVRM: knvlinkUpdatePostRxDetectLinkMask_IMPL: Failed to update Rx Detect Link mask!",
    ]);
    expect(found.map((f) => `${f.kind}/${f.reason}/${f.gpu_index ?? "node"}`)).toEqual([
      "driver/init/0",
      "driver/mismatch/node",
      "driver/bind/node",
      "host/removal_stuck/node",
      "nvlink/rx_detect/node",
    ]);
  });
});
