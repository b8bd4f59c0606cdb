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
import type { KernelCursor, KernelLog, KernelRecordOut } from "../../agent/port.ts";
import type { BootId } from "../../schema/id.ts";

/** A real ring holds some thousand lines; a scenario writes far fewer. */
const RECORDS_MAX = 1_000;

type Line = { seq: number; usec: number; text: string };

export class KernelRing {
  readonly #bootId: BootId;
  readonly #bootWallMs: number;
  #next = 0;
  #lines: Line[] = [];

  constructor(bootId: BootId, bootWallMs: number) {
    this.#bootId = bootId;
    this.#bootWallMs = bootWallMs;
  }

  write(text: string, wallMs: number): void {
    const usec = Math.max(0, wallMs - this.#bootWallMs) * 1_000;
    this.#lines.push({ seq: this.#next++, usec, text });
    if (this.#lines.length > RECORDS_MAX) this.#lines.shift();
  }

  /** A reader that continues after `cursor`; a cursor of another boot is ignored. */
  open(cursor: KernelCursor | null, gpus: () => GpuTable, wallMs: () => number): KernelLog {
    let last = cursor?.bootId === this.#bootId ? cursor.seq : -1;
    let memory: KernelMemory = EMPTY_MEMORY;
    const read = (recordsMax: number) => {
      const out: KernelRecordOut[] = [];
      const first = this.#lines[0]?.seq ?? this.#next;
      if (first > last + 1) {
        const count = first - last - 1;
        out.push({ kind: "gap", reason: "kernel_ring", count, atMs: wallMs() });
        last = first - 1;
      }
      const lines = this.#lines.slice(last + 1 - first, last + 1 - first + recordsMax);
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
      return { out, cursor: at, more: last + 1 < this.#next };
    };
    return { read, close: () => undefined };
  }
}
