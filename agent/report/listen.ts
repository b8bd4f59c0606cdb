/**
 * Reads the kernel log, and the library's events that the log lacks, without blocking. The log is
 * opened once the GPUs are known: only then can a PCI address be recognised as foreign.
 */
import type { Finding } from "../../schema/finding.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { GpuTable } from "../kernel/finding.ts";
import type { Clock, KernelCursor, KernelLog } from "../port/port.ts";
import type { NewGap } from "../spool/spool.ts";

/** Kernel records per turn of the event loop: about 4 ms of work in a flood. */
const RECORDS_PER_READ = 1_000;

export type OpenKernelLog = (cursor: KernelCursor | null, gpus: () => GpuTable) => KernelLog | null;

export type ListenerParts = {
  clock: Clock;
  openKernelLog: OpenKernelLog;
  gpus: () => GpuTable;
  /** The library's events as findings. */
  takeEvents: () => Finding[];
  hostFinding: (reason: string, message: string) => Finding;
};

export type Heard = {
  findings: Finding[];
  gaps: NewGap[];
  cursor: KernelCursor | null;
  /** There is more to read at once. */
  more: boolean;
};

/** The log line precedes the event, but the agent may read it one poll later. */
const WAIT_MS = 2_000;
/** The same code of the same GPU within this time is one fault. */
const SAME_MS = 10_000;
/** XIDs remembered from the log: a burst on every GPU of the largest node. */
const REMEMBERED_MAX = 256;

type Seen = { code: number; pci: string | null; monoMs: number; used: boolean };

/**
 * Merges two sources of one XID: the kernel log reports it at once and in detail, the library a
 * little later. An XID of the library alone (unreadable or filtered log) is released after a wait.
 */
class EventHold {
  #waiting: { finding: Finding; monoMs: number }[] = [];
  #seen: Seen[] = [];

  heard(finding: Finding, monoMs: number): void {
    if (finding.kind !== "xid" || finding.code === null) return;
    this.#seen.push({ code: finding.code, pci: finding.pci, monoMs, used: false });
    if (this.#seen.length > REMEMBERED_MAX) this.#seen.shift();
  }

  /** Holds XIDs of the library; other events have no log line and are returned at once. */
  offer(findings: readonly Finding[], monoMs: number): Finding[] {
    const xids = findings.filter((finding) => finding.kind === "xid");
    for (const finding of xids) this.#waiting.push({ finding, monoMs });
    return findings.filter((finding) => finding.kind !== "xid");
  }

  /** XIDs that waited long enough without a line in the kernel log. */
  take(monoMs: number): Finding[] {
    const due: Finding[] = [];
    this.#seen = this.#seen.filter((seen) => monoMs - seen.monoMs < SAME_MS);
    this.#waiting = this.#waiting.filter(({ finding, monoMs: since }) => {
      const match = this.#seen.find((seen) => {
        const place = seen.pci === null || finding.pci === null || seen.pci === finding.pci;
        return !seen.used && seen.code === finding.code && place;
      });
      if (match) match.used = true;
      else if (monoMs - since >= WAIT_MS) due.push(finding);
      else return true;
      return false;
    });
    return due;
  }

  get waiting(): boolean {
    return this.#waiting.length > 0;
  }
}

export class Listener {
  readonly #parts: ListenerParts;
  readonly #events = new EventHold();
  #log: KernelLog | null = null;
  /** False until `open`. */
  ready = false;
  /** Why the log cannot be read, or `null` while it can. */
  deaf: string | null = null;

  constructor(parts: ListenerParts) {
    this.#parts = parts;
  }

  /** Opens the log, also again, after `cursor`; with `null` from the first record of this boot. */
  open(cursor: KernelCursor | null): void {
    this.#log?.close();
    this.#log = this.#parts.openKernelLog(cursor, this.#parts.gpus);
    this.ready = true;
  }

  close(): void {
    this.#log?.close();
    this.#log = null;
  }

  /** True while an event of the library waits for its line in the log. */
  get waiting(): boolean {
    return this.#events.waiting;
  }

  read(): Heard {
    const read = this.#log?.read(RECORDS_PER_READ);
    const heard: Heard = { findings: [], gaps: [], cursor: null, more: false };
    for (const record of read?.out ?? []) {
      switch (record.kind) {
        case "finding":
          heard.findings.push(record.finding);
          this.#events.heard(record.finding, this.#parts.clock.monoMs());
          break;
        case "gap":
          heard.gaps.push({ reason: record.reason, count: record.count, atMs: record.atMs });
          break;
        case "deaf":
          if (this.deaf === null) {
            heard.findings.push(this.#parts.hostFinding("kernel_log_deaf", record.message));
          }
          this.deaf = record.message;
          break;
        case "hearing":
          this.deaf = null;
          break;
        default:
          unreachable(record);
      }
    }
    heard.findings.push(...this.#takeEvents());
    return { ...heard, cursor: read?.cursor ?? null, more: read?.more ?? false };
  }

  #takeEvents(): Finding[] {
    const nowMs = this.#parts.clock.monoMs();
    return [...this.#events.offer(this.#parts.takeEvents(), nowMs), ...this.#events.take(nowMs)];
  }
}
