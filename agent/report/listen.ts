/**
 * What is heard rather than looked up: the kernel log, and the library's events where the log says
 * nothing. Reading never blocks. The log is opened only once the GPUs are known, because a line
 * about a PCI address can only then be told from one about somebody else's device.
 */
import type { Finding } from "../../schema/finding.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { EventHold } from "./event-hold.ts";
import type { GpuTable } from "../kernel/finding.ts";
import type { Clock, KernelCursor, KernelLog } from "../port.ts";
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
  /** A finding about the machine itself. */
  hostFinding: (reason: string, message: string) => Finding;
};

export type Heard = {
  findings: Finding[];
  gaps: NewGap[];
  cursor: KernelCursor | null;
  /** There is more to read at once. */
  more: boolean;
};

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

  /**
   * Opens the log after `cursor`, or with `null` from the first record of this boot; also once
   * more.
   */
  open(cursor: KernelCursor | null): void {
    this.#log?.close();
    this.#log = this.#parts.openKernelLog(cursor, this.#parts.gpus);
    this.ready = true;
  }

  close(): void {
    this.#log?.close();
    this.#log = null;
  }

  /** True while an event of the library waits for the log to say the same. */
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
