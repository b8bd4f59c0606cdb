/**
 * Shapes of Xid and SXid lines as they were posted in public, from drivers of 2006 to 2026. The
 * lines here are our own in those shapes; beside each stands where the shape was seen.
 */
import { describe, expect, test } from "bun:test";
import { type KernelFact, parseFacts } from "./fact.ts";

function only(line: string): KernelFact {
  const facts = parseFacts(line);
  expect(facts).toHaveLength(1);
  const [fact] = facts;
  if (fact === undefined) throw new Error(`nothing read from ${line}`);
  return fact;
}

type Expected = {
  code: number;
  pci: string;
  pid?: number | null;
  name?: string | null;
  text?: string;
};

const XIDS: readonly [shape: string, line: string, expected: Expected][] = [
  [
    "bus and device alone (ubuntuforums, drivers 96 to 256)",
    "NVRM: Xid (0013:00): 6, PE0001",
    { code: 6, pci: "0000:13:00.0", text: "PE0001" },
  ],
  [
    "the same with words of registers (ubuntuforums 2009)",
    "NVRM: Xid (0002:00): 13, 0001 00000000 0000502d 000008dc 00000000 00000100",
    { code: 13, pci: "0000:02:00.0" },
  ],
  [
    "two spaces behind the code (ubuntuforums 2008)",
    "NVRM: Xid (0001:00): 28,  L1 -> L0",
    { code: 28, pci: "0000:01:00.0", text: "L1 -> L0" },
  ],
  [
    "three parts without PCI: (NVIDIA, Xid Errors r384)",
    "NVRM: Xid (0000:03:00): 14, Channel 00000001",
    { code: 14, pci: "0000:03:00.0" },
  ],
  [
    "a process without a name (Xubuntu 20.04, driver 450)",
    "NVRM: Xid (PCI:0000:01:00): 79, pid=1122, GPU has fallen off the bus.",
    { code: 79, pci: "0000:01:00.0", pid: 1122, name: null, text: "GPU has fallen off the bus." },
  ],
  [
    "two spaces before name= (a cloud's serial console)",
    "NVRM: Xid (PCI:0000:17:00): 31, pid=77,  name=python3, Ch 00000008",
    { code: 31, pci: "0000:17:00.0", pid: 77, name: "python3", text: "Ch 00000008" },
  ],
  [
    "capitals in the address (NVSentinel #545)",
    "NVRM: Xid (PCI:0000:D8:00): 74, pid='<unknown>', name=<unknown>, NVLink: fatal error",
    { code: 74, pci: "0000:d8:00.0", pid: null, name: null },
  ],
  [
    "a wide domain on Grace (gpud #1174)",
    "NVRM: Xid (PCI:0019:01:00): 149, NETIR Fatal XC0 i0 Link -1 (0x000fe406 0x00000000)",
    { code: 149, pci: "0019:01:00.0" },
  ],
  [
    "a cause (open-gpu-kernel-modules #1150)",
    "NVRM: Xid (PCI:0000:dc:00): 45, pid=1818990, name=python3, Ch 00000001 caused by previous Xid 149",
    { code: 45, pci: "0000:dc:00.0", pid: 1818990, name: "python3" },
  ],
  [
    "a GSP time-out of R550 (gpud #500)",
    "NVRM: Xid (PCI:0000:9b:00): 119, pid=28232, name=cache_mgr_main, Timeout after 45s of waiting for RPC response from GPU4 GSP! Expected function 76 (GSP_RM_CONTROL) (0x20810108 0x3e0).",
    { code: 119, pci: "0000:9b:00.0", pid: 28232, name: "cache_mgr_main" },
  ],
  [
    "a device number above 0, in a virtual machine",
    "NVRM: Xid (PCI:0000:00:06): 31, pid=79749, name=exe, Ch 0000000a, intr 00000000",
    { code: 31, pci: "0000:00:06.0", pid: 79749 },
  ],
  [
    "a remapping of R470, without a name",
    "NVRM: Xid (PCI:0000:c1:00): 63, pid=1896, Row Remapper: New row marked for remapping, reset gpu to activate.",
    { code: 63, pci: "0000:c1:00.0", pid: 1896, name: null },
  ],
  [
    "no message and a blank at the end",
    "NVRM: Xid (PCI:0000:b3:00): 79 ",
    { code: 79, pci: "0000:b3:00.0", text: "" },
  ],
  [
    "a line break at the end",
    "NVRM: Xid (PCI:0000:b3:00): 79\n",
    { code: 79, pci: "0000:b3:00.0", text: "" },
  ],
];

const SXIDS: readonly [shape: string, line: string, expected: object][] = [
  [
    "no colon behind the switch (a monitor's own comment on kmsg)",
    "nvidia-nvswitch1 SXid (PCI:0000:06:00.0): 20009, Non-fatal, Link 04",
    { code: 20009, switchIndex: 1, severity: "non_fatal", link: 4, detail: false },
  ],
  [
    "severity and a name without a link (gpud's own injection)",
    "nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 11001, Fatal, ingress invalid command",
    { code: 11001, severity: "fatal", link: null, detail: false },
  ],
  [
    "a severity and nothing more",
    "nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): 24007, Fatal",
    { code: 24007, severity: "fatal", link: null },
  ],
  [
    "nine words of data (gpud #338)",
    "nvidia-nvswitch1: SXid (PCI:0000:84:00.0): 12028, Data {0x000001c0, 0x00bd5c8a, 0x00000500}",
    { code: 12028, severity: null, detail: true },
  ],
  [
    "a prefix by the bus's driver",
    "[nvidia-nvswitch2] nvidia-nvswitch2: SXid (PCI:0000:c3:00.0): 28006, Non-fatal, Link 29 MC TS crumbstore MCTO",
    { code: 28006, switchIndex: 2, severity: "non_fatal", link: 29 },
  ],
];

describe("parseFacts()", () => {
  test.each(XIDS)("reads an Xid with %s", (_shape, line, expected) => {
    const { name, ...rest } = expected;
    const processName = name === undefined ? {} : { processName: name };
    expect(only(line)).toMatchObject({ kind: "xid", ...rest, ...processName });
    // Behind other text it may be anybody's; two records of the driver may become one.
    expect(parseFacts(`usb 1-1: new device ${line}`)).toEqual([]);
    const both = parseFacts(`${line}\nNVRM: Xid (PCI:0000:0f:00): 45, x`);
    expect(both.map((fact) => fact.kind === "xid" && fact.code)).toEqual([expected.code, 45]);
  });

  test.each(SXIDS)("reads an SXid with %s", (_shape, line, expected) => {
    expect(only(line)).toMatchObject({ kind: "sxid", ...expected });
  });

  test("names a GPU in the way of R384, too", () => {
    const uuid = "GPU-12345678-1234-1234-1234-123456789abc";
    expect(only(`NVRM: GPU at 0000:03:00: ${uuid}`)).toEqual({
      kind: "identity",
      pci: "0000:03:00.0",
      uuid,
    });
  });

  test("takes no address of two parts for one whose first part was cut", () => {
    for (const line of ["NVRM: Xid (PCI:0013:00): 6, x", "NVRM: Xid (1013:00): 6, x"]) {
      expect(only(line)).toMatchObject({ kind: "unparsed", of: "xid" });
    }
    expect(only("nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): garbled, Fatal")).toMatchObject({
      kind: "unparsed",
      of: "sxid",
    });
  });
});

describe("lines of the driver without an Xid", () => {
  const kinds = (line: string) => parseFacts(line).map(({ kind }) => kind);

  test.each([
    ["NVRM: GPU at 0000:01:00.0 has fallen off the bus.", "lost", "0000:01:00.0"],
    [
      "NVRM: GPU 0000:13:00.0: GPU does not have the necessary power cables connected.",
      "power_missing",
      "0000:13:00.0",
    ],
    ["NVRM: GPU does not have the necessary power cables connected.", "power_missing", null],
    ["NVRM: RmInitAdapter failed! (0x26:0xffff:1123)", "init_failed", null],
    ["NVRM: rm_init_adapter failed for device bearing minor number 0", "init_failed", null],
    [
      "NVRM: GPU 0000:13:00.0: RmInitAdapter failed! (0x24:0x1c:1447)",
      "init_failed",
      "0000:13:00.0",
    ],
  ] as const)("%s", (line, kind, pci) => {
    expect(parseFacts(line)).toMatchObject([{ kind, pci, line }]);
  });

  test.each([
    "nvidia-nvswitch0: Failed to initialize device : -5",
    "nvidia-nvswitch3:Failed during device post init : -5",
    "nvidia-nvswitch1: failed to get IRQ",
    "nvidia-nvswitch1: Failed to map BAR0 region : -12",
  ])("%s", (line) => expect(kinds(line)).toEqual(["switch_failed"]));

  test("says nothing of a switch that works, or of a program called like it", () => {
    for (const line of [
      "nvidia-nvswitch0: open (major=510)",
      "nvidia-nvswitch: Probing device 0000:86:00.0, Vendor Id = 0x10de",
      "nvidia-nvswitch0: using MSI",
      "x[1]: nvidia-nvswitch0: Failed to initialize device : -5",
      "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  390.157",
    ]) {
      expect([line, kinds(line)]).toEqual([line, []]);
    }
  });
});
