import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { type KernelFact, parseFacts } from "./fact.ts";
import { parseRecord, unescapeKmsg } from "./parse.ts";
import { normalizePci, parsePci } from "./pci.ts";

const REGISTERS = "0x0, 0x0, 0x10000, 0x0, 0x0, 0x0, 0x0";

function only(message: string): KernelFact {
  const facts = parseFacts(message);
  expect(facts.length).toBe(1);
  const [fact] = facts;
  if (!fact) throw new Error("no fact");
  return fact;
}

describe("parseRecord()", () => {
  test("parseRecord() reads the fields and leaves out unknown ones and KEY lines", () => {
    const text = "4,1234,5678901,c,caller=T1;some text\\x0amore\n SUBSYSTEM=pci\n DEVICE=+pci:0\n";
    expect(parseRecord(text)).toEqual({
      ok: true,
      record: {
        facility: 0,
        level: 4,
        seq: 1234,
        usec: 5678901,
        fragment: true,
        message: "some text\nmore",
      },
    });
  });

  test("parseRecord() keeps the facility of a user-space writer and does not mind it", () => {
    expect(parseRecord("12,7,8,-;NVRM")).toMatchObject({
      ok: true,
      record: { facility: 1, level: 4, message: "NVRM" },
    });
  });

  test("parseRecord() takes only the flags for flags, and any number of level", () => {
    const of = (head: string) => {
      const read = parseRecord(`${head};NVRM`);
      return read.ok
        ? [read.record.facility, read.record.level, read.record.fragment]
        : read.reason;
    };
    expect(of("4,1,2,-,caller=T1")).toEqual([0, 4, false]);
    expect(of("4,1,2,c")).toEqual([0, 4, true]);
    expect(of("4,1,2,")).toEqual([0, 4, false]);
    expect(of("191,1,2,-")).toEqual([23, 7, false]);
    expect(of("8,1,2,-")).toEqual([1, 0, false]);
    expect(of("4,1,99999999999999999,-")).toBe("bad_header");
    expect(of("4,1,9007199254740991,-")).toEqual([0, 4, false]);
    expect(of("4,1,9007199254740992,-")).toBe("bad_header");
    expect(of("4,9007199254740992,1,-")).toBe("bad_header");
    expect(of("12345678901,1,1,-")).toBe("bad_header");
  });

  const bad: [string, string][] = [
    ["", "no_separator"],
    ["4,1,2,-", "no_separator"],
    ["x,1,2,-;m", "bad_header"],
    ["4,1;m", "bad_header"],
    ["4,-1,2,-;m", "bad_header"],
    ["4,99999999999999999,2,-;m", "bad_header"],
    [";m", "bad_header"],
  ];
  for (const [text, reason] of bad) {
    test(`parseRecord() answers ${reason} for ${JSON.stringify(text)}`, () => {
      expect(parseRecord(text)).toMatchObject({ ok: false, reason });
    });
  }

  test("parseRecord() keeps the first 200 characters of what it cannot read", () => {
    const answer = parseRecord("z".repeat(5_000));
    expect(answer).toEqual({ ok: false, reason: "no_separator", head: "z".repeat(200) });
  });

  test("unescapeKmsg() gives back bytes, UTF-8 and the backslash", () => {
    expect(unescapeKmsg("a\\x0ab\\x5cx\\xc3\\xa9")).toBe("a\nb\\x\u00e9");
    expect(unescapeKmsg("\\xff\\x")).toBe("\ufffd\\x");
  });

  test("parseRecord() and parseFacts() answer for any text", () => {
    const piece = fc.constantFrom(
      ..."NVRM: Xid (PCI:0000:04:00): 79, |pid=|name=|nvidia-nvswitch0: SXid |(PCI:0:|\\x|Link".split(
        "|",
      ),
      "GPU has fallen off the bus",
      "0x",
      "\n",
      ";",
      "\u0000",
    );
    const text = fc.array(fc.oneof(piece, fc.string()), { maxLength: 20 }).map((p) => p.join(""));
    fc.assert(
      fc.property(text, (given) => {
        parseRecord(given);
        const facts = parseFacts(given);
        // What begins as the driver's own line is accounted for, and nothing else is taken for it.
        const own = /^(?:NVRM: Xid(?![0-9A-Za-z])|nvidia-nvswitch0: SXid\b)/.test(given);
        return own === facts.some((f) => ["xid", "sxid", "unparsed"].includes(f.kind));
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("normalizePci()", () => {
  const cases: [string, string | null][] = [
    ["0000:3b:00", "0000:3b:00.0"],
    ["00000000:3B:00.0", "0000:3b:00.0"],
    ["PCI:0000:3B:00", "0000:3b:00.0"],
    ["3b:00.1", "0000:3b:00.1"],
    ["00010000:3f:00", "10000:3f:00.0"],
    ["0002:3f:1f.7", "0002:3f:1f.7"],
    ["0000:3b:20", null],
    ["0000:3b:00.8", null],
    ["0000:3b", null],
    ["", null],
    ["zz:zz", null],
  ];
  for (const [text, expected] of cases) {
    test(`normalizePci() makes ${expected} of "${text}"`, () => {
      expect(normalizePci(text)).toBe(expected);
    });
  }

  test("parsePci() gives numbers, so that spellings compare equal", () => {
    expect(parsePci("00000000:0A:1f.3")).toEqual({ domain: 0, bus: 10, device: 31, function: 3 });
  });
});

describe("parseFacts()", () => {
  const lines: [string, Partial<KernelFact & { kind: "xid" }>][] = [
    [
      "NVRM: Xid (PCI:0000:66:00): 32, pid=2280636, name=train.3, Channel ID 0000000d intr0 00040000",
      { code: 32, pid: 2280636, processName: "train.3", metrics: { channel: 13 } },
    ],
    [
      "NVRM: Xid (PCI:0000:05:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
      { code: 79, pid: null, processName: null, text: "GPU has fallen off the bus." },
    ],
    [
      "NVRM: Xid (PCI:0000:05:00): 79, GPU has fallen off the bus.",
      { code: 79, pid: null, processName: null, text: "GPU has fallen off the bus." },
    ],
    [
      "NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid=7194, name=python3, Contained: CE User Channel (0x9). RST: No, D-RST: No",
      { code: 94, mig: { gi: 5, ci: null }, pid: 7194, metrics: { rst: false, d_rst: false } },
    ],
    [
      "NVRM: Xid (PCI:0000:01:00 GPU-I:05 GPU-CI:00): 31, pid=1, name=py, Ch 00000008, intr 00000000",
      { code: 31, mig: { gi: 5, ci: 0 }, pid: 1, processName: "py", metrics: { channel: 8 } },
    ],
    ["NVRM: Xid (PCI:0000:0f:00): 62, ", { code: 62, text: "" }],
    ["NVRM: Xid (PCI:0000:b3:00.0): 79", { code: 79, pci: "0000:b3:00.0", text: "" }],
    ["NVRM: Xid (0000:03:00): 14, Channel 00000001", { code: 14, pci: "0000:03:00.0" }],
    ["NVRM: Xid (PCI:00010000:3f:00): 48, DBE", { code: 48, pci: "10000:3f:00.0" }],
    [
      "NVRM: Xid (PCI:0000:0f:00): 45, pid=2503421, name=python3, Ch 00000008 caused by previous Xid 31",
      { code: 45, metrics: { channel: 8, root_xid: 31 } },
    ],
    [
      "NVRM: Xid (PCI:0000:0f:00): 13, pid=9, name=nvc:[driver], Graphics SM Warp Exception on (GPC 10, TPC 1, SM 1): Out Of Range Address",
      { code: 13, processName: "nvc:[driver]", metrics: { gpc: 10, tpc: 1, sm: 1 } },
    ],
    [
      "NVRM: Xid (PCI:0000:0f:00): 13, pid=9, name=ray::WorkerDict, Graphics Exception: ESR 0x1=0x2",
      { code: 13, processName: "ray::WorkerDict" },
    ],
    [
      "NVRM: Xid (PCI:0000:0f:00): 43, pid=9, name=a, b, Ch 00000001",
      { code: 43, pid: 9, processName: "a", text: "b, Ch 00000001" },
    ],
    [
      "NVRM: Xid (PCI:0000:0f:00): 31, pid=9, name=x, Ch 00000007, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_6 faulted @ 0x7f5a_e7504000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_READ",
      {
        code: 31,
        metrics: {
          channel: 7,
          engine: "GRAPHICS",
          client: "GPCCLIENT_T1_6",
          fault_type: "FAULT_PDE",
        },
      },
    ],
    [
      "NVRM: Xid (PCI:0000:0f:00): 64, Row Remapper Error: (0x00000002eebc4100) - All reserved rows for bank are remapped",
      { code: 64, metrics: { remap_exhausted: true } },
    ],
    [
      `NVRM: Xid (PCI:0000:0f:00): 74, NVLink: fatal error detected on link 14(${REGISTERS})`,
      {
        code: 74,
        metrics: {
          link: 14,
          register_1: 0,
          register_2: 0,
          register_3: 0x10000,
          register_4: 0,
          register_5: 0,
          register_6: 0,
          register_7: 0,
        },
      },
    ],
    [
      "NVRM: Xid (PCI:0000:0f:00): 74, NVLink: failed to train link 3 to remote PCI:0000:10:00",
      { code: 74, metrics: { link: 3, training: true } },
    ],
    [
      "NVRM: Xid (PCI:0000:0f:00): 95, pid=1, name=x, Uncontained: LTC TAG (0x2, 0x1). RST: Yes, D-RST: No",
      { code: 95, metrics: { rst: true, d_rst: false } },
    ],
    [
      "NVRM: Xid (PCI:0000:0f:00): 119, pid=3, name=nv-hostengine, Timeout after 6s of waiting for RPC response from GPU4 GSP! Expected function 103 (GSP_RM_ALLOC) (0x2081 0x4).",
      { code: 119, processName: "nv-hostengine" },
    ],
    [
      "NVRM: Xid (PCI:0000:0f:00): 149, NETIR_LINK_EVT  Fatal   XC0 i0 Link 07 (0x004505c6 0x00000000 0x1 0x2 0x3 0x4 0x5)",
      {
        code: 149,
        injected: false,
        metrics: {
          unit: "NETIR_LINK_EVT",
          fatal: true,
          cross_contain: false,
          link: 7,
          intr_info: 0x004505c6,
          subcode: 4,
          error_status: 0,
          debug_0: 1,
          debug_1: 2,
          debug_2: 3,
          debug_3: 4,
          debug_4: 5,
        },
      },
    ],
    [
      "NVRM: Xid (PCI:0000:0f:00): 145, pid='<unknown>', name=<unknown>, RLW_SRC_TRACK Nonfatal XC1 i1 Link -1 (0x040868e2 0x00000008 0x0 0x0 0x0 0x0 0x0)",
      { code: 145, injected: true },
    ],
    [
      "NVRM: Xid (PCI:0000:0f:00): 154, GPU recovery action changed from 0x4 (Drain and Reset) to 0x1 (GPU Reset Required)",
      { code: 154, metrics: { recovery_previous: 4, recovery_action: 1 } },
    ],
    ["NVRM: Xid (PCI:0000:0f:00): 999, something new", { code: 999, text: "something new" }],
  ];
  for (const [line, expected] of lines) {
    test(`parseFacts() reads ${line.slice(0, 90)}`, () => {
      expect(only(line)).toMatchObject({ kind: "xid", ...expected });
    });
    test(`parseFacts() reads the same with a MIG instance: ${line.slice(0, 80)}`, () => {
      if (line.includes("GPU-I")) return;
      const plain = only(line);
      const mig = only(line.replace(/(Xid \([^)]*)\)/, "$1 GPU-I:02 GPU-CI:01)"));
      expect(mig).toMatchObject({ ...plain, mig: { gi: 2, ci: 1 }, line: expect.any(String) });
    });
  }

  test("parseFacts() keeps an Xid line that nobody can read", () => {
    for (const line of [
      "NVRM: Xid (PCI:0000:0f): 79, short address",
      "NVRM: Xid (PCI:0000:0f:00): abc",
      "NVRM: Xid 79",
      "NVRM: Xid (PCI:0000:0f:00): 2000000, not a code",
    ]) {
      expect(parseFacts(line)).toEqual([{ kind: "unparsed", of: "xid", line }]);
    }
  });

  test("parseFacts() keeps an SXid line that nobody can read", () => {
    for (const line of [
      "nvidia-nvswitch0: SXid (PCI:0000:c3): 20034, Fatal",
      "nvidia-nvswitch12: SXid 20034, Fatal, Link 30",
      "[nvidia-nvswitch0] nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): 2000000, not a code",
    ]) {
      expect(parseFacts(line)).toEqual([{ kind: "unparsed", of: "sxid", line }]);
    }
    expect(parseFacts("somebody: SXid is a word")).toEqual([]);
  });

  test("parseFacts() loses no Xid beside an SXid, whichever comes first and can be read", () => {
    const xid = "NVRM: Xid (PCI:0000:0f:00): 79, GPU has fallen off the bus.";
    const good = "nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): 20034, Fatal, Link 30 LTSSM";
    const kinds = (text: string) => parseFacts(text).map(({ kind }) => kind);
    for (const [sxid, kind] of [
      [good, "sxid"],
      ["nvidia-nvswitch0: SXid 20034", "unparsed"],
    ] as const) {
      expect(kinds(`${sxid}${xid}`)).toEqual([kind, "xid"]);
      expect(kinds(`${xid}\n${sxid}`)).toEqual([kind, "xid"]);
    }
  });

  // What Linux 6.18 printed when programs called so ended with a fault; anybody may run such ones.
  const xid = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.";
  const fault = "[15455]: segfault at 0 ip 000000000040161e sp 00007ffda4fa38f0 error 6 in ";
  const end = "[161e,401000+78000] likely on CPU 0 (core 0, socket 0)";
  const made: string[] = [
    `NVRM: Xid (PCI:${fault}${xid}${end}`,
    `x\nNVRM: Xid (PC${fault}x\n${xid}\n${end}`,
    `NVRM: Xid${fault}x${end}`,
    `nvidia-nvswitch${fault}nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): 20034, Fatal, Link 30${end}`,
    `x${fault}NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.${end}`,
    `x${fault}NVRM: GPU 0000:3b:00.0: RmInitAdapter failed! (0x62:0x40:2393)${end}`,
    `x${fault}NVRM: GPU at PCI:0000:05:00: GPU-12345678-1234-1234-1234-123456789abc${end}`,
    `BTRFS(device a)${fault}forced readonly${end}`,
    `XFS (a): ${fault}Shutting down f${end}`,
    `traps: x[1] general protection fault ip:1 sp:2 error:0 in ${xid}${end}`,
    `process '/tmp/x\n${xid}\n' launched 'y' with NULL argv: empty string added`,
    `oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,task_memcg=/${xid},task=x`,
    `NVRM: x: page allocation failure: order:0, mode:0x0, nodemask=(null),cpuset=${xid}`,
  ];
  test.each(made)("parseFacts() takes nothing from a text that a program chose: %s", (line) => {
    expect(parseFacts(line)).toEqual([]);
  });

  test("parseFacts() leaves a line whole whatever its program is called", () => {
    const line =
      "NVRM: Xid (PCI:0000:0f:00): 95, pid=7, name=NVRM: Xid, Uncontained: RST: Yes, D-RST: No";
    expect(only(line)).toMatchObject({ code: 95, pid: 7, metrics: { rst: true, d_rst: false } });
  });

  test("parseFacts() gives every Xid of one message", () => {
    const two = "NVRM: Xid (PCI:0000:0f:00): 48, DBE\nNVRM: Xid (PCI:0000:0f:00): 63, remap";
    expect(parseFacts(two).map((f) => f.kind === "xid" && f.code)).toEqual([48, 63]);
  });

  const others: [string, object][] = [
    ["NVRM: GPU 0000:05:00.0: GPU has fallen off the bus.", { kind: "lost", pci: "0000:05:00.0" }],
    [
      "NVRM: The NVIDIA GPU 0000:05:00.0\nNVRM: (PCI ID: 10de:26b5) installed in this system has\nNVRM: fallen off the bus and is not responding to commands.",
      { kind: "lost", pci: "0000:05:00.0" },
    ],
    [
      "NVRM: GPU at PCI:0000:05:00: GPU-12345678-1234-1234-1234-123456789abc",
      { kind: "identity", pci: "0000:05:00.0", uuid: "GPU-12345678-1234-1234-1234-123456789abc" },
    ],
    [
      "NVRM: GPU Board Serial Number: 1650522003820",
      { kind: "serial", pci: null, serial: "1650522003820" },
    ],
    [
      "NVRM: GPU 0000:05:00.0: GPU serial number is 00123.",
      { kind: "serial", pci: "0000:05:00.0", serial: "00123" },
    ],
    [
      "NVRM: GPU 0000:05:00.0: RmInitAdapter failed! (0x62:0x40:2393)",
      { kind: "init_failed", pci: "0000:05:00.0" },
    ],
    [
      "NVRM: GPU 0000:05:00.0: rm_init_adapter failed, device minor number 3",
      { kind: "init_failed", pci: "0000:05:00.0" },
    ],
    ["NVRM: API mismatch: the client 'x' (pid 1)\nNVRM: has the version 1", { kind: "mismatch" }],
    ["NVRM: The NVIDIA probe routine failed for 1 device(s).", { kind: "bind_failed" }],
    ["NVRM: The NVIDIA probe routine was not called for 2 device(s).", { kind: "bind_failed" }],
    [
      "NVRM: Attempting to remove device 0000:05:00.0 with non-zero usage count!",
      { kind: "removal_stuck" },
    ],
    [
      "NVRM: knvlinkUpdatePostRxDetectLinkMask_IMPL: Failed to update Rx Detect Link mask!",
      { kind: "rx_detect" },
    ],
  ];
  for (const [line, expected] of others) {
    test(`parseFacts() recognises ${line.slice(0, 70)}`, () => {
      expect(only(line)).toMatchObject(expected);
    });
  }

  const at = "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): ";
  const switches: [string, object][] = [
    ["20034, Fatal, Link 30 LTSSM Fault Up", { code: 20034, severity: "fatal", link: 30 }],
    [
      "12028, Non-fatal, Link 32 egress non-posted PRIV error (First)",
      { code: 12028, severity: "non_fatal", link: 32 },
    ],
    ["14017, Correctable, Link 04 x", { code: 14017, severity: "correctable", link: 4 }],
    ["00123, Fatal, unhandled interrupt in x", { code: 123, severity: "fatal", link: null }],
    ["20034, Non-fatal, NAME, instance=1, chiplet=0", { severity: "non_fatal", link: null }],
    ["20034, Severity 1 Engine instance 62 Sub-engine instance 00", { detail: true }],
    ["20034, Data {0x50610002, 0x10100030}", { detail: true }],
    ["26006, SOE HALTED", { code: 26006, severity: null, detail: false }],
  ];
  for (const [text, expected] of switches) {
    test(`parseFacts() reads SXid ${text}`, () => {
      expect(only(at + text)).toMatchObject({
        kind: "sxid",
        switchIndex: 3,
        pci: "0000:c1:00.0",
        ...expected,
      });
    });
  }

  test("parseFacts() says nothing about lines of others", () => {
    expect(parseFacts("usb 1-1: new device")).toEqual([]);
    expect(parseFacts("NVRM: loading NVIDIA UNIX x86_64 Kernel Module")).toEqual([]);
  });
});
