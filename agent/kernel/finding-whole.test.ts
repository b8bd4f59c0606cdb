/** Findings of the kernel log, whole; and what is remembered between records, for how long. */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { Finding } from "../../schema/finding.ts";
import { BootId } from "../../schema/id.ts";
import { parseFacts } from "./fact.ts";
import { EMPTY_MEMORY, findingOf, type GpuTable, type KernelMemory } from "./finding.ts";

const bootId = v.parse(BootId, "boot-1");
const bootWallMs = Date.parse("2026-03-01T10:00:00Z");
const GPUS: GpuTable = [
  { index: 3, uuid: "GPU-a", pci: "00000000:04:00.0" },
  { index: null, uuid: null, pci: "0000:3b:00.0" },
];

type Line = readonly [usec: number, text: string];
/** Everything that came of the lines, amended findings in place, and the memory. */
function run(lines: readonly Line[], gpus: GpuTable = GPUS) {
  let memory: KernelMemory = EMPTY_MEMORY;
  const found: Finding[] = [];
  lines.forEach(([usec, text], seq) => {
    for (const fact of parseFacts(text)) {
      const step = findingOf(fact, { seq, usec, bootId, bootWallMs }, gpus, memory);
      ({ memory } = step);
      if (step.amended) found[found.indexOf(step.amended.before)] = step.amended.after;
      if (step.finding) found.push(step.finding);
    }
  });
  return { found, memory };
}
const one = (text: string, gpus = GPUS) => run([[1_500_000, text]], gpus).found[0];

const NOBODY = {
  ...{ code: null, reason: null, pci: null, gpu_index: null, gpu_uuid: null, mig: null, pid: null },
  ...{ process_name: null, at: "2026-03-01T10:00:01.500Z", boot_id: bootId, metrics: {} },
  ...{ source: "kmsg", foreign: false, injected: false, kmsg_seq: 0 },
} as const;

describe("findingOf() makes", () => {
  test("an Xid with process and instance", () => {
    const text = "NVRM: Xid (PCI:0000:04:00 GPU-I:05 GPU-CI:02): 31, pid=7, name=py, Ch 00000010";
    expect(one(text)).toEqual({
      ...NOBODY,
      ...{ kind: "xid", code: 31, severity: "warning", message: text, pid: 7, process_name: "py" },
      ...{ pci: "0000:04:00.0", gpu_index: 3, gpu_uuid: "GPU-a", mig: { gi: 5, ci: 2 } },
      metrics: { xid_code: 31, pid: 7, process_name: "py", channel: 16 },
    });
  });

  test("an Xid without a process, of a GPU that only the bus shows, by injection", () => {
    const text = "NVRM: Xid (PCI:0000:3b:00 GPU-I:01): 145, U Fatal XC0 i1 Link 2 (0x1)";
    const link = { unit: "U", fatal: true, cross_contain: false, link: 2 };
    expect(one(text)).toEqual({
      ...NOBODY,
      ...{ kind: "xid", code: 145, severity: "fatal", message: text, mig: { gi: 1, ci: null } },
      ...{ pci: "0000:3b:00.0", injected: true },
      metrics: { xid_code: 145, ...link, intr_info: 1, subcode: 0 },
    });
  });

  test("a switch's event, whose address names no GPU", () => {
    const text = "nvidia-nvswitch4: SXid (PCI:0000:04:00.0): 12028, Non-fatal, Link 7 egress";
    expect(one(text)).toEqual({
      ...NOBODY,
      ...{ kind: "sxid", code: 12_028, severity: "warning", message: text, pci: "0000:04:00.0" },
      metrics: { sxid_code: 12_028, switch: 4, severity: "non_fatal", link: 7 },
    });
    const bare = "nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20001, something";
    const metrics = { sxid_code: 20_001, switch: 0 };
    expect(one(bare)).toMatchObject({ severity: "warning", metrics, reason: null });
    const said = (word: string) => one(`${bare.replace("something", word)}, x`)?.severity;
    expect(["Fatal", "Non-fatal", "Correctable"].map(said)).toEqual(["fatal", "warning", "info"]);
  });

  test("the other faults that the driver reports", () => {
    const place = { pci: "0000:04:00.0", gpu_index: 3, gpu_uuid: "GPU-a" };
    const cases: [string, object][] = [
      [
        "NVRM: GPU 0000:04:00.0: GPU has fallen off the bus.",
        { kind: "lost", reason: "bus", severity: "fatal", ...place },
      ],
      [
        "NVRM: GPU 0000:04:00.0: RmInitAdapter failed! (0x62:0x40:2393)",
        { kind: "driver", reason: "init", severity: "fatal", ...place },
      ],
      [
        "NVRM: API mismatch: the client 'x' (pid 1)",
        { kind: "driver", reason: "mismatch", severity: "warning" },
      ],
      [
        "NVRM: The NVIDIA probe routine was not called for 1 device(s).",
        { kind: "driver", reason: "bind", severity: "serious" },
      ],
      [
        "NVRM: Attempting to remove device 0000:05:00.0 with non-zero usage count!",
        { kind: "host", reason: "removal_stuck", severity: "warning" },
      ],
      [
        "NVRM: knvlinkUpdatePostRxDetectLinkMask_IMPL: Failed to update Rx Detect Link mask!",
        { kind: "nvlink", reason: "rx_detect", severity: "warning" },
      ],
      ["NVRM: Xid (what", { kind: "xid", reason: "unparsed", severity: "warning" }],
    ];
    for (const [message, is] of cases)
      expect(one(message)).toEqual({ ...NOBODY, message, ...is } as never);
  });

  test("texts without control characters, up to 1,024 characters", () => {
    const keeps = "tab\tand line\nstay";
    const message = one(
      `NVRM: API mismatch: ${keeps}\u0000\u0008\u000b\u001f\u007f\u009f\u00a0é`,
    )?.message;
    expect(message).toBe(`NVRM: API mismatch: ${keeps}${"\ufffd".repeat(6)}\u00a0é`);
    expect(one(`NVRM: API mismatch: ${"x".repeat(3_000)}`)?.message).toHaveLength(1_024);
    const name = "n".repeat(99);
    const process = one(`NVRM: Xid (PCI:0000:04:00): 13, pid=1, name=${name}, x`);
    expect(process?.process_name).toBe("n".repeat(64));
    expect(process?.metrics?.["process_name"]).toBe("n".repeat(64));
  });
});

test("an Xid is as severe as what has to be done about it", () => {
  // A node to be drained or a board to be exchanged; then what needs a reset or a look soon.
  const fatal = [46, 48, 62, 64, 79, 95, 109, 119, 120, 136, 140, 143, 158];
  const serious = [63, 74, 92, 94, 110, 121, 151, 154, 155, 156, 157, 159, 168];
  for (let code = 1; code <= 180; code++) {
    const is = fatal.includes(code) ? "fatal" : serious.includes(code) ? "serious" : "warning";
    // The driver's header ends at 176: a newer code deserves a look.
    const severity = code > 176 ? "serious" : is;
    expect([code, one(`NVRM: Xid (PCI:0000:04:00): ${code}, x`)?.severity]).toEqual([
      code,
      severity,
    ]);
  }
  const verdict = (action: number) => {
    const text = `GPU recovery action changed from 0x0 (a) to 0x${action} (b)`;
    return one(`NVRM: Xid (PCI:0000:04:00): 154, ${text}`)?.severity;
  };
  expect([0, 1, 2, 3, 4, 5].map(verdict)).toEqual([
    "info",
    "fatal",
    "fatal",
    "serious",
    "fatal",
    "serious",
  ]);
  const reset = (word: string) =>
    one(`NVRM: Xid (PCI:0000:04:00): 94, RST: ${word}, D-RST: No`)?.severity;
  expect([reset("Yes"), reset("No")]).toEqual(["fatal", "serious"]);
});

describe("findingOf() remembers", () => {
  const gone = "NVRM: GPU 0000:04:00.0: GPU has fallen off the bus.";
  const xid = "NVRM: Xid (PCI:0000:04:00): 79, GPU has fallen off the bus.";

  test("a loss for three minutes after the line that was sent", () => {
    const told = (...lines: Line[]) => run(lines).found.map(({ kind }) => kind);
    expect(told([0, gone], [180_000_000, gone])).toEqual(["lost"]);
    expect(told([0, gone], [180_000_001, gone])).toEqual(["lost", "lost"]);
    expect(told([0, gone], [100_000_000, gone], [180_000_000, gone])).toEqual(["lost"]);
    expect(told([0, gone], [100_000_000, gone], [280_000_000, gone])).toEqual(["lost", "lost"]);
    expect(told([0, xid], [1, gone], [2, xid])).toEqual(["xid", "xid"]);
    expect(told([0, gone], [1, gone.replace("04", "3b")])).toEqual(["lost", "lost"]);
  });

  test("a switch's event for a second, for its own details alone", () => {
    const at = "nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): ";
    const event = `${at}20034, Fatal, Link 30 LTSSM Fault Up`;
    const detail = `${at}20034, Data {0x1, 0x2}`;
    const { found } = run([
      [5_000_000, event],
      [6_000_000, detail],
      [6_000_000, detail],
    ]);
    expect(found).toHaveLength(1);
    const data = "20034, Data {0x1, 0x2}";
    expect(found[0]?.message).toBe(`${event}\n${data}\n${data}`);
    expect(
      run([
        [5_000_000, event],
        [4_000_000, detail],
      ]).found,
    ).toHaveLength(1);
    for (const late of [6_000_001, 3_999_999])
      expect(
        run([
          [5_000_000, event],
          [late, detail],
        ]).found,
      ).toMatchObject([
        { reason: null, message: event },
        { reason: "detail", message: detail },
      ]);
    const other = detail.replace("20034", "20035");
    expect(
      run([
        [0, event],
        [1, other],
      ]).found,
    ).toMatchObject([{ code: 20_034 }, { code: 20_035 }]);
    // The same event again is another event.
    expect(
      run([
        [0, event],
        [1, event],
      ]).found,
    ).toHaveLength(2);
  });

  test("names and serials that the driver gave, by address", () => {
    const uuid = "GPU-12345678-1234-1234-1234-123456789abc";
    const identity = (bus: string) => `NVRM: GPU at PCI:0000:${bus}:00: ${uuid}`;
    const board = "NVRM: GPU Board Serial Number: 00123";
    const serial = "NVRM: GPU 0000:99:00.0: GPU serial number is 777.";
    const of = (...texts: string[]) => {
      const said = xid.replace("04", "99");
      const { found } = run([...texts, said].map((text, at): Line => [at, text]));
      const last = found.at(-1);
      return [last?.gpu_uuid, last?.metrics?.["gpu_serial"], last?.foreign];
    };
    expect(of()).toEqual([null, undefined, true]);
    expect(of(identity("99"))).toEqual([uuid, undefined, false]);
    expect(of(identity("99"), board)).toEqual([uuid, "00123", false]);
    expect(of(identity("99"), serial)).toEqual([uuid, "777", false]);
    // A serial follows the address it names, or the last one that was named.
    expect(of(identity("99"), identity("88"), board)).toEqual([uuid, undefined, false]);
    expect(of(board, identity("99"))).toEqual([uuid, undefined, false]);
    expect(of(serial)).toEqual([null, undefined, true]);
    // A new identity line forgets the serial of before.
    expect(of(identity("99"), board, identity("99"))).toEqual([uuid, undefined, false]);
    const long = `${board}${"9".repeat(99)}`;
    expect(of(identity("99"), long)[1]).toBe(`00123${"9".repeat(59)}`);
  });

  test("no more than 256 addresses, and forgets the oldest", () => {
    const many = Array.from({ length: 300 }, (_, at): Line => {
      return [at, gone.replace("0000:04", `${at.toString(16).padStart(4, "0")}:04`)];
    });
    const { memory } = run(many, []);
    const kept = Object.keys(memory.lost);
    expect([kept.length, kept[0], kept.at(-1)]).toEqual([256, "002c:04:00.0", "012b:04:00.0"]);
    // One that is heard of again is the newest.
    const again: Line = [300, gone.replace("0000:04", "002c:04")];
    const after = Object.keys(run([...many, again], []).memory.lost);
    expect([after.length, after[0], after.at(-1)]).toEqual([256, "002d:04:00.0", "002c:04:00.0"]);
  });
});
