/**
 * Follows the kernel log of one boot: findings, counted gaps, and whether the log is unreadable. It
 * never blocks, throws or loses a record silently: a hole in the numbering is a counted gap, and a
 * failed source is reopened with back-off while `deaf` is reported (docs/reference/kernel-log.md).
 * Adapter: opens one file.
 */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { isUtf8 } from "node:buffer";
import * as v from "valibot";
import type { Finding } from "../../schema/finding.ts";
import { BootId } from "../../schema/id.ts";
import type { Clock, KernelCursor, KernelLog, KernelRecordOut } from "../port/port.ts";
import { parseFacts } from "./fact.ts";
import { EMPTY_MEMORY, type GpuTable, findingOf, type KernelMemory } from "./finding.ts";
import { HOST_BEGIN_CHARS, mayHoldHostFact } from "./host-fact.ts";
import { DeviceSource } from "./device-source.ts";
import { FileSource } from "./file-source.ts";
import { parseRecord } from "./parse.ts";
import { messageOf, type OpenSource, type Source } from "./source.ts";

export type KernelLogOptions = {
  /** `/dev/kmsg`, or a FIFO or file in kmsg record form. */
  path: string;
  bootId: string;
  /** Wall time of boot: record time = this + usec / 1000. */
  bootWallMs: number;
  clock: Clock;
  /** Asked for each finding, so that GPUs found later are included. */
  gpus: () => GpuTable;
  /** From the spool. A cursor of another boot is ignored. */
  cursor: KernelCursor | null;
  /** Wall time in ms; earlier records are skipped (`--since`). */
  since?: number;
  /** Called when a device has records; without it, only `read` reads the log. */
  wake?: () => void;
  /** Default: `openSource`. */
  open?: OpenSource;
};

/** Counters for metrics and liveness; an idle log is healthy only while `lastReadAtMs` moves. */
export type KernelLogStats = {
  records: number;
  /** Overwritten in the ring before they were read. */
  lost: number;
  malformed: number;
  /** Start of the last malformed record. */
  lastMalformed: string | null;
  /** `NVRM: Xid` lines of an unknown shape; kept as findings. */
  unparsed: number;
  /** Ignored records that contain an Xid's words but do not come from the driver. */
  quoted: number;
  foreign: number;
  /** Repeated records after a reopen or a restart. */
  replayed: number;
  deaf: boolean;
  lastSeq: number | null;
  /** Wall time of the last read that answered, "nothing new" included. */
  lastReadAtMs: number | null;
};

/** Older host findings have expired under every rule; a starting agent reads the whole log. */
const HOST_AGE_MS = 3_600_000;
/** A failed source is reopened after 1 s, 2 s, … at most this. */
const RETRY_MS_MAX = 60_000;
const RETRY_MS_FIRST = 1_000;
/** Consecutive overruns without a record, which no real ring has. */
const OVERRUNS_MAX = 1_000;

const XID_MARK = Buffer.from("NVRM");
const SXID_MARK = Buffer.from("SXid");
const XID_WORDS = /NVRM: Xid|SXid/;
const SEMICOLON = 0x3b;
const COMMA = 0x2c;

/** The sequence number of a record, or −1. On bytes, because every record passes here. */
function seqOf(bytes: Buffer): number {
  let at = 0;
  let seq = -1;
  for (let field = 0; field < 3; field++) {
    const start = at;
    let value = 0;
    for (; at < bytes.length; at++) {
      const digit = (bytes[at] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (at === start || bytes[at] !== COMMA || !Number.isSafeInteger(value)) return -1;
    if (field === 1) seq = value;
    at++;
  }
  return seq;
}

class Reader implements KernelLog {
  private readonly options: KernelLogOptions;
  private readonly bootId: BootId;
  private source: Source | null = null;
  private memory: KernelMemory = EMPTY_MEMORY;
  private lastSeq: number | null;
  /** Records up to here were read by an earlier process; null once they are passed. */
  private resumeAfter: number | null;
  private retryAtMs = 0;
  private retryMs = RETRY_MS_FIRST;
  private overruns = 0;
  /** Malformed records since the last number, which are counted already. */
  private unnumbered = 0;
  private out: KernelRecordOut[] = [];
  private readonly counted: KernelLogStats = {
    records: 0,
    lost: 0,
    malformed: 0,
    lastMalformed: null,
    unparsed: 0,
    quoted: 0,
    foreign: 0,
    replayed: 0,
    deaf: false,
    lastSeq: null,
    lastReadAtMs: null,
  };

  constructor(options: KernelLogOptions) {
    this.options = options;
    this.bootId = v.parse(BootId, options.bootId);
    const { cursor } = options;
    this.resumeAfter = cursor?.bootId === options.bootId ? cursor.seq : null;
    this.lastSeq = this.resumeAfter;
  }

  read(recordsMax: number): { out: KernelRecordOut[]; cursor: KernelCursor | null; more: boolean } {
    this.out = [];
    let left = recordsMax;
    while (left > 0 && this.hear() && this.step()) left--;
    const seq = this.lastSeq;
    const cursor = seq === null ? null : { bootId: this.options.bootId, seq };
    return { out: this.out, cursor, more: left === 0 && this.source !== null };
  }

  stats(): KernelLogStats {
    return { ...this.counted, lastSeq: this.lastSeq };
  }

  close(): void {
    this.source?.close();
    this.source = null;
    // A closed reader is not reopened.
    this.retryAtMs = Number.POSITIVE_INFINITY;
  }

  /** Opens the source when it is due; true if it is open. */
  private hear(): boolean {
    if (this.source) return true;
    if (this.options.clock.monoMs() < this.retryAtMs) return false;
    const { open = openSource, path, wake } = this.options;
    const opened = open(path, wake ?? null);
    if ("error" in opened) {
      this.deafen(opened.error);
      return false;
    }
    this.source = opened;
    if (this.counted.deaf) this.out.push({ kind: "hearing" });
    this.counted.deaf = false;
    return true;
  }

  private deafen(message: string): void {
    this.source?.close();
    this.source = null;
    if (!this.counted.deaf) this.out.push({ kind: "deaf", message });
    this.counted.deaf = true;
    // After a reopen, records up to here are replays.
    this.resumeAfter = this.lastSeq;
    this.retryAtMs = this.options.clock.monoMs() + this.retryMs;
    this.retryMs = Math.min(2 * this.retryMs, RETRY_MS_MAX);
  }

  /** Reads one record. False = nothing more to read now. */
  private step(): boolean {
    const read = this.source?.next() ?? { kind: "idle" as const };
    if (read.kind === "failed") {
      this.deafen(read.message);
      return false;
    }
    this.counted.lastReadAtMs = this.options.clock.wallMs();
    if (read.kind === "overrun") {
      this.overruns++;
      if (this.overruns < OVERRUNS_MAX) return true;
      this.deafen("the kernel keeps answering that records were lost, and gives none");
      return false;
    }
    // Only an answer resets the back-off: a device may open and then fail.
    this.retryMs = RETRY_MS_FIRST;
    this.overruns = 0;
    if (read.kind === "idle") return false;
    if (read.kind === "restarted") {
      this.lastSeq = null;
      this.resumeAfter = null;
    } else if (read.kind === "oversized") {
      // The next record's number shows it missing; it is counted only here.
      this.unnumbered++;
      this.gap("malformed", 1, "line longer than a record");
    } else {
      this.record(read.bytes);
    }
    return true;
  }

  private record(bytes: Buffer): void {
    this.counted.records++;
    const seq = seqOf(bytes);
    const body = bytes.indexOf(SEMICOLON);
    if (seq < 0) this.unnumbered++;
    else if (!this.follow(seq)) return;
    if (seq < 0 || body < 0) {
      this.gap("malformed", 1, bytes.toString("utf8", 0, 200));
      return;
    }
    const begin = bytes.toString("latin1", body + 1, body + 1 + HOST_BEGIN_CHARS);
    const marked = bytes.includes(XID_MARK, body) || bytes.includes(SXID_MARK, body);
    if (marked || mayHoldHostFact(begin)) this.candidate(bytes);
    // The kernel escapes other bytes, so this record is not the kernel's.
    else if (!isUtf8(bytes)) this.gap("malformed", 1, bytes.toString("utf8", 0, 200));
  }

  /** Moves the position. False = the record was read before. */
  private follow(seq: number): boolean {
    const replayed =
      (this.resumeAfter !== null && seq <= this.resumeAfter) ||
      (this.source?.device === true && this.lastSeq !== null && seq <= this.lastSeq);
    if (replayed) {
      this.counted.replayed++;
      return false;
    }
    this.resumeAfter = null;
    // Hand-made streams number freely; only a jump forward is a hole.
    const hole = this.lastSeq === null ? 0 : seq - this.lastSeq - 1 - this.unnumbered;
    this.unnumbered = 0;
    if (hole > 0) {
      this.counted.lost += hole;
      this.gap("kernel_ring", hole, null);
    }
    this.lastSeq = seq;
    return true;
  }

  private gap(reason: "kernel_ring" | "malformed", count: number, head: string | null): void {
    if (reason === "malformed") {
      this.counted.malformed += count;
      this.counted.lastMalformed = head;
    }
    // Adjacent gaps merge into one.
    const last = this.out.at(-1);
    if (last?.kind === "gap" && last.reason === reason) last.count += count;
    else this.out.push({ kind: "gap", reason, count, atMs: this.options.clock.wallMs() });
  }

  private candidate(bytes: Buffer): void {
    const parsed = parseRecord(bytes.toString("utf8"));
    if (!parsed.ok) {
      this.gap("malformed", 1, parsed.head);
      return;
    }
    const { record } = parsed;
    const { bootWallMs, since } = this.options;
    const facts = parseFacts(record.message);
    if (facts.length === 0 && XID_WORDS.test(record.message)) this.counted.quoted++;
    for (const fact of facts) {
      if (fact.kind === "unparsed") this.counted.unparsed++;
      const origin = { seq: record.seq, usec: record.usec, bootId: this.bootId, bootWallMs };
      const step = findingOf(fact, origin, this.options.gpus(), this.memory);
      this.memory = step.memory;
      if (step.amended) this.amend(step.amended.before, step.amended.after);
      // Addresses are learned from records before `since` too.
      const atMs = bootWallMs + record.usec / 1_000;
      const isOver = fact.kind === "host" && atMs < this.options.clock.wallMs() - HOST_AGE_MS;
      const old = isOver || (since !== undefined && atMs < since);
      if (!step.finding || old) continue;
      if (step.finding.foreign) this.counted.foreign++;
      this.out.push({ kind: "finding", finding: step.finding });
    }
  }

  /** A detail is attached to its event while that was not sent; it is never an event. */
  private amend(before: Finding, after: Finding): void {
    const at = this.out.findLastIndex((o) => o.kind === "finding" && o.finding === before);
    if (at >= 0) this.out[at] = { kind: "finding", finding: after };
  }
}

/** Opens the log for reading, or explains why it cannot. Only a device calls `wake`. */
export const openSource: OpenSource = (path, wake) => {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (stat.isCharacterDevice()) return new DeviceSource(fd, wake);
    if (stat.isDirectory()) {
      closeSync(fd);
      return { error: `${path} is a directory` };
    }
    return new FileSource(path, fd, stat.isFile());
  } catch (error) {
    return { error: messageOf(error) };
  }
};

/**
 * Never throws for an unreadable log: `read` then answers `deaf`, and later calls try again. Throws
 * for an invalid `bootId`, a bug of the caller.
 */
export function openKernelLog(options: KernelLogOptions): KernelLog & { stats(): KernelLogStats } {
  return new Reader(options);
}
