/**
 * Writes the kernel log of a simulated machine, as its NVIDIA driver would.
 *
 * Adapter: files.
 */
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";

/**
 * PCI address of a simulated GPU, in the kernel's form: GPU i sits on bus 0x18 + 3·i of domain 0.
 * The agent numbers its simulated GPUs the same (`agent/nvml/healthy.ts`).
 */
export function simulatedPci(index: number): string {
  return `0000:${(0x18 + 3 * index).toString(16).padStart(2, "0")}:00`;
}

/** What R570 and later print (docs/reference/kernel-log.md#xid-lines). */
const MESSAGES: Readonly<Record<number, string>> = {
  13: "Graphics Exception: ESR 0x504e48=0xf",
  31: "Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0 faulted",
  48: "DBE (double bit error) ECC error",
  63: "Row remapping event: GPU memory row remapped",
  64: "Row remapping failure: GPU memory row could not be remapped",
  74: "NVLink: fatal error detected on link 2(0x0, 0x0, 0x10000, 0x0, 0x0, 0x0, 0x0)",
  79: "GPU has fallen off the bus.",
  94: "Contained: CE User Channel (0x9). RST: No, D-RST: No",
  95: "Uncontained: FBHUB. RST: Yes, D-RST: No",
  119: "Timeout after 6s of waiting for RPC response from GPU0 GSP!",
};

export function formatXid(code: number, pci: string, message = MESSAGES[code] ?? ""): string {
  return `NVRM: Xid (PCI:${pci}): ${code}, ${message}`;
}

/** Kernel facility 0, level 4 (warning), as the driver logs. */
const PREFIX = 4;

const RECORD = /^\d+,(\d+),(\d+),[^;]*;(.*)$/;

/** Texts of the records, in their order. Throws if the file cannot be read. */
export function readRecords(path: string): string[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .flatMap((line) => RECORD.exec(line)?.[3] ?? []);
}

function lastRecord(text: string): { seq: number; usec: number } {
  let last = { seq: 0, usec: 0 };
  for (const line of text.split("\n")) {
    const header = RECORD.exec(line);
    if (header !== null) last = { seq: Number(header[1]), usec: Number(header[2]) };
  }
  return last;
}

/** Microseconds since this machine booted: a simulated node shares its kernel's clock. */
function uptimeUsec(): number {
  const text = readFileSync("/proc/uptime", "utf8");
  return Math.round(Number(text.slice(0, text.indexOf(" "))) * 1_000_000);
}

/** As kernel/printk does: every byte that is not printable ASCII, and the backslash, as `\xNN`. */
function escapeRecord(message: string): string {
  let text = "";
  for (const byte of Buffer.from(message)) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x5c;
    text += plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return text;
}

/**
 * Appends records (`prefix,seq,usec,flags;text`, kernel `Documentation/ABI/testing/dev-kmsg`) in
 * one write, with the next sequence numbers. `usec` is the machine's uptime unless given, and never
 * goes back. Throws if there is no such file.
 */
export function appendRecords(path: string, messages: readonly string[], usec?: number): void {
  const text = readFileSync(path, "utf8");
  const last = lastRecord(text);
  const at = Math.max(usec ?? uptimeUsec(), last.usec + 1);
  const lines = messages.map((message, i) => {
    return `${PREFIX},${last.seq + 1 + i},${at + i},-;${escapeRecord(message)}\n`;
  });
  // A writer that died may have left half a line, which must not swallow the next one.
  const open = text === "" || text.endsWith("\n") ? "" : "\n";
  const file = openSync(path, "a");
  try {
    writeSync(file, open + lines.join(""));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
