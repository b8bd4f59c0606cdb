/**
 * Turns facts of the kernel log into findings. Pure: the memory between records (lost GPUs, switch
 * events, addresses of UUIDs) goes in and comes out. The agent does not judge: the catalogue is not
 * used here.
 */
import { type Finding, newFinding, type Metrics, type Severity } from "../../schema/finding.ts";
import type { GpuIdentity } from "../../schema/gpu.ts";
import type { BootId } from "../../schema/id.ts";
import { LIMIT } from "../../schema/limit.ts";
import type { Bus } from "../port/port.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { KernelFact } from "./fact.ts";
import { normalizePci } from "./pci.ts";

/** This machine's GPUs by PCI address. If empty (unknown), no address counts as foreign. */
export type GpuTable = readonly { index: number | null; uuid: string | null; pci: string }[];

/** The GPUs that the driver lists, and those only on the bus. */
export function makeGpuTable(gpus: readonly GpuIdentity[], bus: Bus): GpuTable {
  const named = gpus.flatMap(({ index, uuid, pci_bus_id }) => {
    const pci = normalizePci(pci_bus_id);
    return pci === null ? [] : [{ index, uuid, pci }];
  });
  const known = new Set(named.map(({ pci }) => pci));
  const onBus = bus.kind === "read" ? bus.gpus.filter(({ pci }) => !known.has(pci)) : [];
  return [...named, ...onBus.map(({ pci }) => ({ index: null, uuid: null, pci }))];
}

export type Origin = { seq: number; usec: number; bootId: BootId; bootWallMs: number };

/** Memory between records; never changed in place. */
export type KernelMemory = {
  /** Normalised address → boot clock of the last "off the bus" that was sent, microseconds. */
  lost: Readonly<Record<string, number>>;
  /** Address → the identity that the driver printed in this boot. */
  learned: Readonly<Record<string, { uuid: string; serial: string | null }>>;
  /** Address of the last identity line; the next line, the board serial, has no address. */
  lastIdentity: string | null;
  /** `<reason>/<subject>` → boot clock of the last finding, and suppressed lines since. */
  reported: Readonly<Record<string, { usec: number; more: number }>>;
  /** `<address>/<code>` → the last switch event, to which detail lines belong. */
  sxids: Readonly<Record<string, { finding: Finding; usec: number }>>;
};

export const EMPTY_MEMORY: KernelMemory = {
  lost: {},
  learned: {},
  lastIdentity: null,
  sxids: {},
  reported: {},
};

export type KernelStep = {
  memory: KernelMemory;
  finding: Finding | null;
  /** An earlier finding with one more detail; `after` replaces `before` if that is still unsent. */
  amended: { before: Finding; after: Finding } | null;
};

/**
 * A lost GPU prints two or three lines (XID 79, "GPU … has fallen off the bus", the probe's
 * message). Within the gap of an incident they are one loss (docs/reference/xid.md#incidents).
 */
const LOST_WINDOW_USEC = 180_000_000;
/** Detail lines follow their event within milliseconds. */
const DETAIL_WINDOW_USEC = 1_000_000;
/** A failing disk or server prints many lines: one finding per interval counts the rest. */
const AGAIN_USEC = 300_000_000;
/** Bound on remembered entries, against a hostile log: four times the largest node's GPUs. */
const REMEMBERED_MAX = 4 * LIMIT.gpusPerNodeMax;

/** The severity only decides what a full spool keeps; the policy judges codes. */
const FATAL_XIDS = new Set([46, 48, 62, 64, 79, 95, 109, 119, 120, 136, 140, 143, 158]);
const SERIOUS_XIDS = new Set([63, 74, 92, 94, 110, 121, 151, 154, 155, 156, 157, 159, 168]);
/** The highest code in the driver's header (595); newer ones count as serious. */
const KNOWN_XID_MAX = 176;

/** Replaces control characters, which a process can put into its name. */
function printable(text: string, max: number): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd").slice(0, max);
}

function xidSeverity(code: number, metrics: Metrics): Severity {
  if (code === 154) {
    const action = metrics.recovery_action;
    if (action === 0) return "info";
    return action === 1 || action === 2 || action === 4 ? "fatal" : "serious";
  }
  if (metrics.rst === true || metrics.fatal === true || FATAL_XIDS.has(code)) return "fatal";
  return SERIOUS_XIDS.has(code) || code > KNOWN_XID_MAX ? "serious" : "warning";
}

function baseOf(origin: Origin, line: string): Finding {
  const atMs = origin.bootWallMs + origin.usec / 1_000;
  return newFinding({
    at: new Date(atMs).toISOString(),
    boot_id: origin.bootId,
    message: printable(line, LIMIT.messageCharsMax),
    source: "kmsg",
    kmsg_seq: origin.seq,
  });
}

/** Names the GPU at an address, by the table or by the driver's identity lines of this boot. */
function placed(
  finding: Finding,
  pci: string | null,
  gpus: GpuTable,
  memory: KernelMemory,
): Finding {
  if (pci === null) return finding;
  const gpu = gpus.find((g) => normalizePci(g.pci) === pci);
  const learned = memory.learned[pci];
  const serial = learned?.serial;
  return {
    ...finding,
    pci,
    gpu_index: gpu?.index ?? null,
    gpu_uuid: gpu?.uuid ?? learned?.uuid ?? null,
    foreign: gpus.length > 0 && !gpu && !learned,
    metrics: serial ? { ...finding.metrics, gpu_serial: serial } : finding.metrics,
  };
}

function xidFinding(fact: KernelFact & { kind: "xid" }, base: Finding): Finding {
  const metrics: Metrics = { xid_code: fact.code, ...fact.metrics };
  const name = fact.processName === null ? null : printable(fact.processName, 64);
  if (fact.pid !== null) metrics.pid = fact.pid;
  if (name !== null) metrics.process_name = name;
  return {
    ...base,
    kind: "xid",
    code: fact.code,
    mig: fact.mig,
    pid: fact.pid,
    process_name: name,
    severity: xidSeverity(fact.code, metrics),
    metrics,
    injected: fact.injected,
  };
}

function sxidFinding(fact: KernelFact & { kind: "sxid" }, base: Finding): Finding {
  const metrics: Metrics = { sxid_code: fact.code, switch: fact.switchIndex };
  if (fact.severity !== null) metrics.severity = fact.severity;
  if (fact.link !== null) metrics.link = fact.link;
  const severity = fact.severity === "fatal" ? "fatal" : "warning";
  const harmless = fact.severity === "correctable";
  return {
    ...base,
    kind: "sxid",
    code: fact.code,
    // The address is the switch's, so it is never foreign.
    pci: fact.pci,
    severity: harmless ? "info" : severity,
    metrics,
  };
}

/** Adds an entry and forgets the oldest ones beyond the bound. */
function remember<T>(map: Readonly<Record<string, T>>, key: string, value: T): Record<string, T> {
  const { [key]: _replaced, ...rest } = map;
  const kept = Object.entries(rest).slice(-(REMEMBERED_MAX - 1));
  return { ...Object.fromEntries(kept), [key]: value };
}

function onSxid(
  fact: KernelFact & { kind: "sxid" },
  origin: Origin,
  memory: KernelMemory,
): KernelStep {
  const key = `${fact.pci}/${fact.code}`;
  const last = memory.sxids[key];
  const keep = (finding: Finding, usec: number): KernelMemory => {
    return { ...memory, sxids: remember(memory.sxids, key, { finding, usec }) };
  };
  const isFresh = last && Math.abs(origin.usec - last.usec) <= DETAIL_WINDOW_USEC;
  if (!fact.detail || !isFresh) {
    const event = sxidFinding(fact, baseOf(origin, fact.line));
    // The event's own line was lost, so the detail line becomes the finding.
    const finding: Finding = fact.detail ? { ...event, reason: "detail" } : event;
    return { memory: keep(finding, origin.usec), finding, amended: null };
  }
  const detail = fact.line.slice(fact.line.indexOf("): ") + 3);
  const message = printable(`${last.finding.message}\n${detail}`, LIMIT.messageCharsMax);
  const after = { ...last.finding, message };
  return {
    memory: keep(after, last.usec),
    finding: null,
    amended: { before: last.finding, after },
  };
}

/** XID 79 or an equivalent line: the first of a burst becomes a finding; XID 79 always does. */
function onLoss(
  pci: string,
  finding: Finding,
  isXid: boolean,
  origin: Origin,
  memory: KernelMemory,
): KernelStep {
  const before = memory.lost[pci];
  const isMerged = !isXid && before !== undefined && origin.usec - before <= LOST_WINDOW_USEC;
  // A line that is merged does not prolong the window: else one loss could go on for ever.
  const at = isMerged ? before : origin.usec;
  const next = { ...memory, lost: remember(memory.lost, pci, at) };
  return { memory: next, finding: isMerged ? null : finding, amended: null };
}

function onHost(
  fact: KernelFact & { kind: "host" },
  origin: Origin,
  memory: KernelMemory,
): KernelStep {
  const key = `${fact.reason}/${fact.subject}`;
  const last = memory.reported[key];
  if (last && Math.abs(origin.usec - last.usec) < AGAIN_USEC) {
    const reported = remember(memory.reported, key, { ...last, more: last.more + 1 });
    return { memory: { ...memory, reported }, finding: null, amended: null };
  }
  const reported = remember(memory.reported, key, { usec: origin.usec, more: 0 });
  const metrics: Metrics = { repeated: last?.more ?? 0 };
  for (const [name, value] of Object.entries(fact.metrics)) {
    metrics[name] = typeof value === "string" ? printable(value, 64) : value;
  }
  const { reason, severity } = fact;
  const finding: Finding = { ...baseOf(origin, fact.line), reason, severity, metrics };
  return { memory: { ...memory, reported }, finding, amended: null };
}

function onIdentity(
  fact: KernelFact & { kind: "identity" | "serial" },
  memory: KernelMemory,
): KernelMemory {
  if (fact.kind === "identity") {
    const learned = remember(memory.learned, fact.pci, { uuid: fact.uuid, serial: null });
    return { ...memory, learned, lastIdentity: fact.pci };
  }
  const pci = fact.pci ?? memory.lastIdentity;
  const known = pci === null ? undefined : memory.learned[pci];
  if (pci === null || !known) return memory;
  const serial = printable(fact.serial, 64);
  return { ...memory, learned: remember(memory.learned, pci, { ...known, serial }) };
}

/** The finding of a fact, if any, and the memory for the next. */
export function findingOf(
  fact: KernelFact,
  origin: Origin,
  gpus: GpuTable,
  memory: KernelMemory,
): KernelStep {
  const found = (finding: Finding): KernelStep => ({ memory, finding, amended: null });
  const base = (line: string): Finding => baseOf(origin, line);
  switch (fact.kind) {
    case "xid": {
      const finding = placed(xidFinding(fact, base(fact.line)), fact.pci, gpus, memory);
      return fact.code === 79 ? onLoss(fact.pci, finding, true, origin, memory) : found(finding);
    }
    case "lost": {
      const bare: Finding = { ...base(fact.line), kind: "lost", reason: "bus", severity: "fatal" };
      return onLoss(fact.pci, placed(bare, fact.pci, gpus, memory), false, origin, memory);
    }
    case "sxid":
      return onSxid(fact, origin, memory);
    case "unparsed":
      return found({ ...base(fact.line), kind: fact.of, reason: "unparsed" });
    case "identity":
    case "serial":
      return { memory: onIdentity(fact, memory), finding: null, amended: null };
    case "init_failed": {
      const init = { kind: "driver", reason: "init", severity: "fatal" } as const;
      return found(placed({ ...base(fact.line), ...init }, fact.pci, gpus, memory));
    }
    case "power_missing": {
      const power = { kind: "power", reason: "insufficient", severity: "serious" } as const;
      return found(placed({ ...base(fact.line), ...power }, fact.pci, gpus, memory));
    }
    case "switch_failed": {
      const failed = { kind: "nvlink", reason: "switch_init", severity: "serious" } as const;
      return found({ ...base(fact.line), ...failed });
    }
    case "mismatch":
      return found({ ...base(fact.line), kind: "driver", reason: "mismatch" });
    case "bind_failed":
      return found({ ...base(fact.line), kind: "driver", reason: "bind", severity: "serious" });
    case "removal_stuck":
      return found({ ...base(fact.line), kind: "host", reason: "removal_stuck" });
    case "rx_detect":
      return found({ ...base(fact.line), kind: "nvlink", reason: "rx_detect" });
    case "host":
      return onHost(fact, origin, memory);
    default:
      return unreachable(fact);
  }
}
