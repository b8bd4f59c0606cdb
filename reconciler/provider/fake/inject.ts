/**
 * Makes a simulated GPU fail the way a real one does: by a line in the kernel log that its node
 * reads.
 *
 * Adapter: appends to an instance's kernel log file.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { InstanceId } from "../../../schema/id.ts";

/** The folder of one instance: kernel log, token, spool, log of its agent. */
export function instanceFolder(stateDir: string, id: InstanceId): string {
  return join(stateDir, "instance", id);
}

/**
 * PCI address of a simulated GPU, in the kernel's form: GPU i sits on bus 0x18 + 3·i of domain 0.
 * The agent's made-up GPUs (`agent/nvml/healthy.ts`) are numbered the same, or their faults are
 * nobody's.
 */
export function simulatedPci(index: number): string {
  return `0000:${(0x18 + 3 * index).toString(16).padStart(2, "0")}:00`;
}

/**
 * What R570 and later print; others are given by the caller
 * (docs/reference/kernel-log.md#xid-lines).
 */
const MESSAGES: Record<number, string> = {
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

/** Kernel facility 0, level 4 (warning), as the driver logs. */
const PREFIX = 4;

function lastRecord(text: string): { seq: number; usec: number } {
  let last = { seq: 0, usec: 0 };
  for (const line of text.split("\n")) {
    const header = /^\d+,(\d+),(\d+),/.exec(line);
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
 * Appends one record (`prefix,seq,usec,flags;text`, kernel `Documentation/ABI/testing/dev-kmsg`)
 * with the next sequence number. `usec` is the machine's uptime unless given, and never goes back.
 * Throws if there is no such instance.
 */
export function appendKernelRecord(
  stateDir: string,
  id: InstanceId,
  message: string,
  usec?: number,
): void {
  const path = join(instanceFolder(stateDir, id), "kmsg");
  if (!existsSync(path)) throw new Error(`${id}: no such instance under ${stateDir}`);
  const last = lastRecord(readFileSync(path, "utf8"));
  const at = Math.max(usec ?? uptimeUsec(), last.usec + 1);
  const text = escapeRecord(message);
  const file = openSync(path, "a");
  try {
    writeSync(file, `${PREFIX},${last.seq + 1},${at},-;${text}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Lets a GPU of a running instance report an XID, by default on its first GPU. */
export function injectXid(
  stateDir: string,
  id: InstanceId,
  fault: { xid: number; pci?: string; message?: string; usec?: number },
): void {
  const pci = fault.pci ?? simulatedPci(0);
  const message = fault.message ?? MESSAGES[fault.xid] ?? "";
  const line = `NVRM: Xid (PCI:${pci}): ${fault.xid}, ${message}`;
  appendKernelRecord(stateDir, id, line, fault.usec);
}
