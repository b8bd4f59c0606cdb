/**
 * The kernel log of a simulated machine: a ring of records, read with the agent's own parser, so
 * that a line has the same meaning as on a real node.
 */
import { parseFacts } from "../../agent/kernel/fact.ts";
import {
  EMPTY_MEMORY,
  findingOf,
  type GpuTable,
  type KernelMemory,
} from "../../agent/kernel/finding.ts";
import type { KernelCursor, KernelLog, KernelRecordOut } from "../../agent/port/port.ts";
import type { BootId } from "../../schema/id.ts";

/** A real ring holds some thousand lines; a scenario writes far fewer. */
const RECORDS_MAX = 1_000;

type Line = { seq: number; usec: number; text: string };

export class KernelRing {
  readonly #bootId: BootId;
  readonly #bootWallMs: number;
  readonly #isRewritten: boolean;
  #next = 0;
  /** The newest record that fell out of the ring. */
  #fallen = -1;
  #lines: Line[] = [];

  /**
   * `isRewritten`: another process wrote the same lines before, and perhaps others. Their numbers
   * then come from their time, so that a line of this boot never gets another line's number.
   */
  constructor(bootId: BootId, bootWallMs: number, isRewritten = false) {
    this.#bootId = bootId;
    this.#bootWallMs = bootWallMs;
    this.#isRewritten = isRewritten;
  }

  write(text: string, wallMs: number): void {
    const sinceMs = Math.max(0, wallMs - this.#bootWallMs);
    const seq = this.#isRewritten ? Math.max(this.#next, Math.floor(sinceMs)) : this.#next;
    this.#lines.push({ seq, usec: sinceMs * 1_000, text });
    this.#next = seq + 1;
    if (this.#lines.length <= RECORDS_MAX) return;
    this.#fallen = this.#lines.shift()?.seq ?? this.#fallen;
  }

  /** A reader that continues after `cursor`; a cursor of another boot is ignored. */
  open(cursor: KernelCursor | null, gpus: () => GpuTable, wallMs: () => number): KernelLog {
    let last = cursor?.bootId === this.#bootId ? cursor.seq : -1;
    let memory: KernelMemory = EMPTY_MEMORY;
    const read = (recordsMax: number) => {
      const out: KernelRecordOut[] = [];
      if (this.#fallen > last) {
        const count = this.#fallen - last;
        out.push({ kind: "gap", reason: "kernel_ring", count, atMs: wallMs() });
        last = this.#fallen;
      }
      const unread = this.#lines.filter(({ seq }) => seq > last);
      const lines = unread.slice(0, recordsMax);
      for (const { seq, usec, text } of lines) {
        last = seq;
        for (const fact of parseFacts(text)) {
          const origin = { seq, usec, bootId: this.#bootId, bootWallMs: this.#bootWallMs };
          const step = findingOf(fact, origin, gpus(), memory);
          memory = step.memory;
          if (step.finding !== null) out.push({ kind: "finding", finding: step.finding });
        }
      }
      const at = last < 0 ? null : { bootId: this.#bootId, seq: last };
      return { out, cursor: at, more: lines.length < unread.length };
    };
    return { read, close: () => undefined };
  }
}
