/**
 * Turns a kernel message into facts about GPUs, switches and the host
 * (docs/reference/kernel-log.md). Pure. Unknown codes are facts too; an Xid or SXid line of unknown
 * shape is kept as `unparsed`.
 *
 * Only the beginning of a message and lines that the driver appends to its own are trusted: the
 * kernel prints the name and file of a crashing program (Linux 6.18, arch/x86/mm/fault.c
 * `show_signal_msg`, mm/memory.c `print_vma_addr`), and a file may be called `NVRM: Xid (…): 79`. A
 * driver line that follows an unfinished line is missed here; NVML's events report it.
 */
import { trimEnd } from "../../schema/trim.ts";
import type { Metrics } from "../../schema/finding.ts";
import { LIMIT } from "../../schema/limit.ts";
import { type HostFact, hostFact, mayHoldHostFact } from "./host-fact.ts";
import { normalizePci } from "./pci.ts";
import { bodyMetrics } from "./xid-body.ts";

/** `pci` is always normalised. */
export type KernelFact =
  | {
      kind: "xid";
      pci: string;
      code: number;
      mig: { gi: number; ci: number | null } | null;
      pid: number | null;
      processName: string | null;
      /** The text after the code and the process. */
      text: string;
      /** Values parsed from the text, for rules. */
      metrics: Metrics;
      /** By the driver's error injection. */
      injected: boolean;
      line: string;
    }
  | { kind: "unparsed"; of: "xid" | "sxid"; line: string }
  | {
      kind: "sxid";
      switchIndex: number;
      pci: string;
      code: number;
      /** Printed by the driver, `null` if absent; takes precedence over any table. */
      severity: "fatal" | "non_fatal" | "correctable" | null;
      link: number | null;
      /** A further line of the previous event: never counted. */
      detail: boolean;
      line: string;
    }
  /** A line without an XID that the GPU is off the bus. */
  | { kind: "lost"; pci: string; line: string }
  /** Printed once per GPU and driver load; available when NVML is not. */
  | { kind: "identity"; pci: string; uuid: string }
  /** `pci` is null on the board line, which follows an identity line. */
  | { kind: "serial"; pci: string | null; serial: string }
  /** The driver could not initialise the GPU; older drivers do not say which. */
  | { kind: "init_failed"; pci: string | null; line: string }
  /** The GPU's auxiliary power is not connected. */
  | { kind: "power_missing"; pci: string | null; line: string }
  /** An NVSwitch could not be initialised. */
  | { kind: "switch_failed"; line: string }
  /** A program's user library differs from the kernel module. */
  | { kind: "mismatch"; line: string }
  /** The driver did not bind to present devices. */
  | { kind: "bind_failed"; line: string }
  /** A process removes a device in use and hangs. */
  | { kind: "removal_stuck"; line: string }
  /** NVLink bring-up failed. */
  | { kind: "rx_detect"; line: string }
  | HostFact;

/*
 * Numbers have at most nine digits: the control plane refuses a report with a number that is not
 * finite. Gaps between words are bounded: an unbounded one is scanned again from each start.
 */
const ADDRESS = "[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}";

/** Usually one space. */
const GAP = String.raw`[ \t]{1,8}`;
const MAYBE = String.raw`[ \t]{0,8}`;

/**
 * The address is `PCI:dddd:bb:dd`, without `PCI:` before R384, and `bbbb:dd` (bus and device alone)
 * before R260: `Xid (0013:00): 6, …`.
 */
const XID = new RegExp(
  String.raw`^NVRM:${GAP}Xid${GAP}\(` +
    String.raw`(?:(?:PCI:)?(${ADDRESS}(?:\.[0-7])?)|00([0-9a-fA-F]{2}:[0-9a-fA-F]{2}))` +
    String.raw`(?:${GAP}GPU-I:(\d{1,9}))?(?:${GAP}GPU-CI:(\d{1,9}))?\):${MAYBE}` +
    String.raw`(\d{1,9})(?:[, ]\s{0,8}(.*))?$`,
  "s",
);
const XID_BEGINS = new RegExp(`^NVRM:${GAP}Xid(?![0-9A-Za-z])`);
/** The name is the shortest text up to `, `: it may hold spaces, colons and brackets. */
const PROCESS = /^pid=([^,]*)(?:,[ \t]{1,8}name=(.*?))?(?:,[ \t](.*))?$/s;
/** A colon after the switch's name is usual, and not always there. */
const SXID = new RegExp(
  String.raw`nvidia-nvswitch(\d{1,9}):?${GAP}SXid${GAP}` +
    String.raw`\((?:PCI:)?(${ADDRESS}(?:\.[0-9a-fA-F])?)\):` +
    String.raw`${MAYBE}0*(\d{1,9})(?:,${MAYBE}(.*))?$`,
  "s",
);
/** A line of the switch driver, whatever follows. */
const SWITCH =
  /^(?:\[nvidia-nvswitch\d{1,9}\] )?nvidia-nvswitch[^:\n]{0,64}?(?::[ \t]{0,8}|[ \t]{1,8})SXid\b/;
/**
 * Start of a further line in a driver message. Both forms are longer than a program's name (15
 * characters), the only text in such a message that is not the driver's.
 */
const APPENDED = new RegExp(
  String.raw`(?=NVRM:${GAP}Xid${GAP}\((?:(?:PCI:)?${ADDRESS}|00[0-9a-fA-F]{2}:[0-9a-fA-F]{2})` +
    String.raw`[^)\n]{0,40}\):${MAYBE}\d|nvidia-nvswitch\d{1,9}:?${GAP}SXid\b)`,
);
/** Prefix of kernel messages about a process: its freely chosen name, and PID. */
const OF_PROGRAM = /^[\s\S]{0,15}\[\d{1,10}\](?::| )/;
const SXID_SEVERITY = /^(Fatal|Non-fatal|Correctable)(?:,[ \t]{1,8}(?:Link (\d{1,9})\b)?|$)/;
const SXID_DETAIL = /^(?:Severity[ \t]{1,8}\d|Data[ \t]{0,8}\{)/;
const LOST = new RegExp(`^NVRM: GPU (${ADDRESS}\\.[0-7]): GPU has fallen off the bus`, "i");
/** Before 2019. */
const LOST_OLD = new RegExp(
  `^NVRM: GPU at (?:PCI:)?(${ADDRESS}(?:\\.[0-7])?) has fallen off the bus`,
  "i",
);
const LOST_AT_PROBE = new RegExp(
  `^NVRM: The NVIDIA GPU (${ADDRESS}\\.[0-7]).{0,200}?fallen off the bus`,
  "is",
);
const IDENTITY = /^NVRM: GPU at (?:PCI:)?([0-9a-f:.]+): (GPU-[0-9a-f-]{36})/i;
const SERIAL = new RegExp(
  `^NVRM: GPU (${ADDRESS}\\.[0-7]): GPU serial number is (\\S+?)\\.?$`,
  "i",
);
const BOARD_SERIAL = /^NVRM: GPU Board Serial Number: (\S+)/;
const INIT = new RegExp(
  `^NVRM: GPU (${ADDRESS}\\.[0-7]): (?:RmInitAdapter|rm_init_adapter) failed`,
  "i",
);
const INIT_OLD = /^NVRM: (?:RmInitAdapter failed!|rm_init_adapter failed for device bearing)/;
const POWER = new RegExp(
  `^NVRM: (?:GPU (${ADDRESS}\\.[0-7]): )?GPU does not have the necessary power cables connected`,
);
/** kernel-open/nvidia/linux_nvswitch.c, `nvswitch_probe`. */
const SWITCH_FAILED = new RegExp(
  "^nvidia-nvswitch\\d{1,9}: ?(?:Failed to (?:enable PCI device|request memory regions|map BAR0|" +
    "initialize device|initialize background tasks)|Failed during device post init|" +
    "failed to get IRQ)",
);
const MISMATCH = /^NVRM: API mismatch: /;
const BIND = /^NVRM: The NVIDIA probe routine (?:failed|was not called) for \d+ device/;
const REMOVAL = /^NVRM: Attempting to remove device .{0,200}? with non-zero usage count/;
const RX_DETECT = /^NVRM: knvlink\w{0,64}?RxDetect\w{0,64}: Failed to update Rx Detect Link mask/i;

/** A filter three times cheaper than the first pattern. */
export function mayHoldFact(message: string): boolean {
  const isDrivers = message.includes("NVRM") || message.includes("nvidia-nvswitch");
  return isDrivers || message.includes("SXid") || mayHoldHostFact(message);
}

function xidFact(line: string): KernelFact {
  const parts = XID.exec(line);
  const pci = normalizePci(parts?.[1] ?? parts?.[2] ?? "");
  const code = Number(parts?.[5]);
  // The contract's bound of a code; a larger number is a broken line.
  if (!parts || pci === null || code > 1_000_000) return { kind: "unparsed", of: "xid", line };
  const rest = parts[6] ?? "";
  const process = rest.startsWith("pid=") ? PROCESS.exec(rest) : null;
  const text = process ? (process[3] ?? "") : rest;
  const pid = Number(process?.[1]);
  const name = process?.[2];
  const body = bodyMetrics(code, text);
  const gi = parts[3];
  const ci = parts[4];
  return {
    kind: "xid",
    pci,
    code,
    mig: gi === undefined ? null : { gi: Number(gi), ci: ci === undefined ? null : Number(ci) },
    pid: process && Number.isSafeInteger(pid) && process[1] !== "" ? pid : null,
    processName: name === undefined || name === "" || name === "<unknown>" ? null : name,
    text,
    metrics: body.metrics,
    injected: body.injected,
    line,
  };
}

function sxidFact(line: string): KernelFact {
  const parts = SXID.exec(line);
  const [, index = "", address = "", number = "", text = ""] = parts ?? [];
  const pci = normalizePci(address);
  const code = Number(number);
  if (!parts || pci === null || code > 1_000_000) return { kind: "unparsed", of: "sxid", line };
  const severity = SXID_SEVERITY.exec(text);
  const word = severity?.[1]?.toLowerCase().replace("-", "_");
  return {
    kind: "sxid",
    switchIndex: Number(index),
    pci,
    code,
    severity: word === "fatal" || word === "non_fatal" || word === "correctable" ? word : null,
    link: severity?.[2] === undefined ? null : Number(severity[2]),
    detail: SXID_DETAIL.test(text),
    line,
  };
}

function addressed(
  message: string,
  pattern: RegExp,
  kind: "lost" | "init_failed",
): KernelFact | null {
  const pci = normalizePci(pattern.exec(message)?.[1] ?? "");
  return pci === null ? null : { kind, pci, line: message };
}

function identityFact(message: string): KernelFact | null {
  const identity = IDENTITY.exec(message);
  const pci = normalizePci(identity?.[1] ?? "");
  if (identity?.[2] && pci !== null) return { kind: "identity", pci, uuid: identity[2] };
  const serial = SERIAL.exec(message);
  const at = normalizePci(serial?.[1] ?? "");
  if (serial?.[2] && at !== null) return { kind: "serial", pci: at, serial: serial[2] };
  const board = BOARD_SERIAL.exec(message);
  return board?.[1] ? { kind: "serial", pci: null, serial: board[1] } : null;
}

function otherFact(message: string): KernelFact | null {
  const found =
    addressed(message, LOST, "lost") ??
    addressed(message, LOST_OLD, "lost") ??
    addressed(message, LOST_AT_PROBE, "lost") ??
    addressed(message, INIT, "init_failed") ??
    identityFact(message);
  if (found) return found;
  if (INIT_OLD.test(message)) return { kind: "init_failed", pci: null, line: message };
  const power = POWER.exec(message);
  if (power !== null) {
    return { kind: "power_missing", pci: normalizePci(power[1] ?? ""), line: message };
  }
  if (SWITCH_FAILED.test(message)) return { kind: "switch_failed", line: message };
  if (MISMATCH.test(message)) return { kind: "mismatch", line: message };
  if (BIND.test(message)) return { kind: "bind_failed", line: message };
  if (REMOVAL.test(message)) return { kind: "removal_stuck", line: message };
  if (RX_DETECT.test(message)) return { kind: "rx_detect", line: message };
  return null;
}

/** The facts of one message: one for each line that the driver appended, switches first. */
export function parseFacts(message: string): KernelFact[] {
  if (!mayHoldFact(message) || OF_PROGRAM.test(message)) return [];
  const isDrivers = XID_BEGINS.test(message) || SWITCH.test(message);
  if (!isDrivers) {
    const fact = otherFact(message) ?? hostFact(message);
    return fact ? [fact] : [];
  }
  const facts = linesOf(message).map((line) => {
    const part = line.slice(0, 4 * LIMIT.messageCharsMax);
    return XID_BEGINS.test(part) ? xidFact(trimEnd(part, "\n")) : sxidFact(part);
  });
  const isSwitch = (fact: KernelFact) => fact.kind === "sxid" || isUnreadSxid(fact);
  return [...facts.filter(isSwitch), ...facts.filter((fact) => !isSwitch(fact))];
}

function isUnreadSxid(fact: KernelFact): boolean {
  return fact.kind === "unparsed" && fact.of === "sxid";
}

/** A switch's name in brackets at the beginning is no line of its own. */
function linesOf(message: string): string[] {
  const [first = "", second, ...rest] = message.split(APPENDED);
  const isOne = second !== undefined && !XID_BEGINS.test(first) && !SWITCH.test(first);
  return isOne ? [first + second, ...rest] : message.split(APPENDED);
}
