/** No line of a kernel log crashes the agent, makes it slow or makes a report that is refused. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import * as v from "valibot";
import { parseFacts } from "../../agent/kernel/fact.ts";
import { EMPTY_MEMORY, findingOf, type KernelMemory } from "../../agent/kernel/finding.ts";
import { parseRecord, unescapeKmsg } from "../../agent/kernel/parse.ts";
import { openKernelLog } from "../../agent/kernel/read.ts";
import { Finding } from "../../schema/finding.ts";
import { BootId } from "../../schema/id.ts";
import { LIMIT } from "../../schema/limit.ts";
import { PATIENCE_MS, runs } from "./runs.ts";
import { withCpuMs } from "../cpu-time.ts";

const bootId = v.parse(BootId, "boot-1");
const BOOT_WALL_MS = Date.parse("2026-03-01T10:00:00Z");
const GPUS = [{ index: 0, uuid: "GPU-1", pci: "0000:3b:00.0" }];

/** What the drivers print, one of each shape. */
const LINES = [
  "NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python3, GPU has fallen off the bus.",
  "NVRM: Xid (PCI:0000:3b:00 GPU-I:05 GPU-CI:01): 43, pid=<unknown>, name=<unknown>, Ch 00000010",
  "NVRM: Xid (PCI:0000:3b:00): 31, pid=7, name=x, Ch 00000008, intr 10000000. MMU Fault: " +
    "ENGINE GRAPHICS GPCCLIENT_T1_0 faulted @ 0x7f_0. Fault is of type FAULT_PDE ACCESS_TYPE_READ",
  "NVRM: Xid (PCI:0000:3b:00): 145, RLW_REMAP Nonfatal XC0 i0 Link 02 (0x00000004 0x00000000 " +
    "0x00000000 0x00000000 0x00000000 0x00000000)",
  "NVRM: Xid (PCI:0000:3b:00): 74, pid=1, name=a, NVLink: fatal error detected on link 6(0x0, " +
    "0x0, 0x10000, 0x0, 0x0, 0x0, 0x0)",
  "NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset)",
  "NVRM: Xid (PCI:0000:3b:00): 94, pid=1, name=t, Contained: SM (0x1). RST: No, D-RST: No",
  "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 20009, Non-fatal, Link 44 RX Short Error Rate",
  "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 20009, Severity 0 Engine instance 44 Sub-engine 00",
  "NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.",
  "NVRM: GPU at PCI:0000:3b:00: GPU-5e0b0c3e-1f4f-b0e7-2a3c-9d1e0f2a3b4c",
  "NVRM: GPU Board Serial Number: 1234567890",
  "NVRM: GPU 0000:3b:00.0: RmInitAdapter failed! (0x62:0x40:2425)",
  "NVRM: The NVIDIA GPU 0000:3b:00.0 (PCI ID: 10de:2330) installed has fallen off the bus",
  "NVRM: API mismatch: the client has the version 535, but this kernel module has 550",
  "NVRM: Attempting to remove device 0000:3b:00.0 with non-zero usage count!",
  "NVRM: knvlinkUpdatePostRxDetectLinkMask_IMPL: Failed to update Rx Detect Link mask!",
  "Out of memory: Killed process 4242 (python3) total-vm:1kB, anon-rss:1kB, file-rss:0kB",
  "INFO: task kworker/u64:3:1234 blocked for more than 122 seconds.",
  "XFS (dm-3): log I/O error -5. Filesystem has been shut down due to log error (0x2).",
  "nvme nvme3: I/O tag 3 (1003) opcode 0x2 (I/O Cmd) QID 6 timeout, reset controller",
  "mlx5_core 0000:5c:00.0: Port module event[error]: module 0, Cable error, High Temperature",
];
const WORDS = [
  ...LINES.flatMap((line) => line.split(/(?<=[ :,(])/)),
  "999999999999999999999999",
  "-1",
  "1e400",
  "\\x0a",
  "\\xff\\xfe",
  "\\x",
  "\u0000",
  "\uD800",
  ";",
  ",",
  "\n KEY=value\n",
  "0x",
];

/** A number of any length: one of 400 digits is infinite, and JSON has no word for that. */
const numeral = fc.oneof(
  fc.stringMatching(/^-?[0-9a-f]{0,40}$/),
  fc.constantFrom("9".repeat(20), "9".repeat(400)),
);

const message = fc.oneof(
  fc.constantFrom(...LINES),
  // A line with parts cut out, put in and doubled.
  fc
    .tuple(
      fc.constantFrom(...LINES),
      fc.array(fc.tuple(fc.nat(200), fc.nat(30), fc.constantFrom("", ...WORDS)), { maxLength: 4 }),
    )
    .map(([line, spoils]) =>
      spoils.reduce((text, [at, cut, put]) => text.slice(0, at) + put + text.slice(at + cut), line),
    ),
  // Numbers of any length in the places of numbers.
  fc.tuple(fc.constantFrom(...LINES), numeral, fc.nat(8)).map(([line, number, skip]) => {
    let left = skip;
    return line.replace(/\d+/g, (was) => (left-- === 0 ? number : was));
  }),
  fc.array(fc.constantFrom(...WORDS), { maxLength: 30 }).map((words) => words.join("")),
  fc.string({ unit: "binary", maxLength: 200 }),
);

/** Everything one message leads to is a finding as the contract has it, before and after JSON. */
function judge(text: string, usec: number, memory: KernelMemory): KernelMemory {
  let kept = memory;
  for (const fact of parseFacts(text)) {
    const origin = { seq: 1, usec, bootId, bootWallMs: BOOT_WALL_MS };
    const step = findingOf(fact, origin, GPUS, kept);
    kept = step.memory;
    for (const finding of [step.finding, step.amended?.after ?? null]) {
      if (finding === null) continue;
      const parsed = v.safeParse(Finding, JSON.parse(JSON.stringify(finding)));
      expect(parsed.issues ?? []).toEqual([]);
      expect(finding.message.length).toBeLessThanOrEqual(LIMIT.messageCharsMax);
    }
  }
  expect(Object.keys(kept.lost).length).toBeLessThanOrEqual(4 * LIMIT.gpusPerNodeMax);
  expect(Object.keys(kept.learned).length).toBeLessThanOrEqual(4 * LIMIT.gpusPerNodeMax);
  return kept;
}

test(
  "parseFacts() and findingOf() make of any message findings that the contract takes",
  () => {
    const usec = fc.nat(Number.MAX_SAFE_INTEGER);
    fc.assert(
      fc.property(fc.array(fc.tuple(message, usec), { maxLength: 6 }), (all) => {
        all.reduce((memory, [text, at]) => judge(text, at, memory), EMPTY_MEMORY);
      }),
      runs(2_500),
    );
  },
  PATIENCE_MS,
);

test(
  "parseRecord() answers any text, and reads back what a kernel would print",
  () => {
    const field = fc.oneof(
      fc.nat(),
      fc.constantFrom("", "-1", "9999999999999999", "99999999999999999", "x", "-", "c"),
    );
    const header = fc.array(field, { maxLength: 6 }).map((fields) => fields.join(","));
    fc.assert(
      fc.property(fc.oneof(header, fc.string()), message, (head, body) => {
        const parsed = parseRecord(`${head};${body}`);
        if (!parsed.ok) return expect(parsed.head.length).toBeLessThanOrEqual(200);
        const { level, facility, seq, usec } = parsed.record;
        expect(level >= 0 && level < 8 && facility >= 0).toBe(true);
        expect(Number.isSafeInteger(seq) && Number.isSafeInteger(usec)).toBe(true);
      }),
      runs(2_000),
    );
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.nat(), (text, seq) => {
        fc.pre(text.isWellFormed());
        const bytes = [...Buffer.from(text, "utf8")];
        const escaped = bytes.map((byte) =>
          byte < 0x20 || byte >= 0x7f || byte === 0x5c
            ? `\\x${byte.toString(16).padStart(2, "0")}`
            : String.fromCharCode(byte),
        );
        const parsed = parseRecord(`4,${seq},17,-;${escaped.join("")}\n SUBSYSTEM=pci`);
        expect(parsed.ok ? parsed.record.message : null).toBe(text);
        expect(unescapeKmsg(escaped.join(""))).toBe(text);
      }),
      runs(500),
    );
  },
  PATIENCE_MS,
);

function tookMs(text: string): number {
  return withCpuMs(() => parseFacts(unescapeKmsg(text))).cpuMs;
}

test(
  "parseFacts() answers 64 KiB of anything within a tenth of a second",
  () => {
    const size = 64 * 1024;
    const parts = [
      ...LINES,
      ...LINES.map((line) => line.slice(0, line.length / 2)),
      "NVRM: Xid (PCI:0000:3b:00): 145, ",
      "NVRM: Xid (PCI:0000:3b:00): 145, x Fatal XC0 i0 Link 1 (",
      "NVRM: The NVIDIA GPU 0000:3b:00.0 ",
      "NVRM: Attempting to remove device ",
      "NVRM: knvlinkRxDetectRxDetect",
      "NVRM: GPU 0000:3b:00.0: GPU serial number is ",
      "nvidia-nvswitch0: SXid (",
      "0x00000000 ",
      "pid=",
      ", name=",
      " ",
      "\\xff",
    ];
    const heads = ["", "NVRM: ", "NVRM: Xid (PCI:0000:3b:00): 145, pid=1, name=", "NVRM: knvlink"];
    const slow: string[] = [];
    for (const head of heads) {
      for (const part of parts) {
        const text = head + part.repeat(Math.ceil(size / part.length)).slice(0, size);
        // The best of two: what the machine did besides is not ours.
        const took = Math.min(...[1, 2].map(() => tookMs(text)));
        if (took > 100) slow.push(`${Math.round(took)} ms: ${head}${part}`);
      }
    }
    expect(slow).toEqual([]);
  },
  PATIENCE_MS,
);

test(
  "openKernelLog() reads any file to its end, and the good record behind it",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "navarch-fuzz-kernel-"));
    const path = join(folder, "kmsg");
    const clock = { wallMs: () => BOOT_WALL_MS, monoMs: () => 0 };
    const record = fc.oneof(
      fc
        .tuple(fc.nat(191), fc.nat(1_000_000), message)
        .map(([priority, seq, text]) => Buffer.from(`${priority},${seq},5,-;${text}\n`)),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      message.map((text) => Buffer.from(`${text}\n`)),
      fc.constantFrom(15, 16, 17, 64, 80).map((kib) => Buffer.alloc(kib * 1024, "NVRM: Xid ")),
      fc.constant(Buffer.concat([Buffer.from("4,1,1,-;NVRM: \xff\xfe\n", "latin1")])),
    );
    const last = Buffer.from(`\n4,2000000,9,-;${LINES[0]}\n`);
    try {
      fc.assert(
        fc.property(fc.array(record, { maxLength: 12 }), (records) => {
          writeFileSync(path, Buffer.concat([...records, last]));
          const log = openKernelLog({
            path,
            bootId: "boot-1",
            bootWallMs: BOOT_WALL_MS,
            clock: clock as never,
            gpus: () => GPUS,
            cursor: null,
          });
          const findings: Finding[] = [];
          for (let round = 0; ; round++) {
            expect(round).toBeLessThan(100);
            const { out, more } = log.read(500);
            for (const one of out) {
              if (one.kind === "finding") findings.push(one.finding);
              if (one.kind === "gap") expect(one.count).toBeGreaterThan(0);
              expect(one.kind).not.toBe("deaf");
            }
            if (!more) break;
          }
          log.close();
          for (const finding of findings) v.parse(Finding, JSON.parse(JSON.stringify(finding)));
          expect(findings.at(-1)?.code).toBe(79);
        }),
        runs(250),
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  PATIENCE_MS,
);
