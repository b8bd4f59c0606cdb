/**
 * Keeps an eye on the machine around the GPUs: reads it, compares it with what is remembered, and
 * holds the last look for reports, metrics and the log.
 */
import type { Finding } from "../../schema/finding.ts";
import {
  EMPTY_HOST_MEMORY,
  type HostContext,
  type HostMemory,
} from "./probe.ts";
import type { HostReader } from "./read.ts";
import { type HostRound, lookAtHost } from "./round.ts";

/** Reading takes a few milliseconds; what takes longer is held up and must not hold up a check. */
const READ_MS = 1_000;

export type HostWatchParts = {
  read: HostReader;
  memory: HostMemory;
  save: (memory: HostMemory) => void;
  expectedPorts: number | null;
};

export class HostWatch {
  readonly #parts: HostWatchParts;
  #memory: HostMemory;
  #saved = "";
  round: HostRound | null = null;

  constructor(parts: HostWatchParts) {
    this.#parts = parts;
    this.#memory = parts.memory;
    this.#saved = mark(parts.memory);
  }

  /** Something is remembered that is worth a write, once the findings are kept. */
  get changed(): boolean {
    return mark(this.#memory) !== this.#saved;
  }

  /** Looks once, and gives what is new. Never rejects, and takes a second at most. */
  async look(ctx: Omit<HostContext, "expectedPorts">): Promise<Finding[]> {
    const reading = await this.#parts.read(READ_MS);
    const { expectedPorts } = this.#parts;
    this.round = lookAtHost(reading, this.#memory, { ...ctx, expectedPorts });
    this.#memory = this.round.memory;
    return this.round.findings;
  }

  /** What still holds is told once more at the next look. */
  tellAgain(): void {
    this.#memory = { ...this.#memory, held: {} };
  }

  save(): void {
    this.#saved = mark(this.#memory);
    this.#parts.save(this.#memory);
  }
}

/** What is worth a write to disk: counters move at every look. */
function mark({ bootId, held, peermem, ports, writable, sealed }: HostMemory): string {
  const rates = Object.entries(ports).map(([name, { gigabits }]) => [name, gigabits]);
  return JSON.stringify([bootId, Object.keys(held), peermem, rates, writable, sealed]);
}

/** A stored memory; what is missing in it has the value of an empty one. */
export function parseHostMemory(text: string | null): HostMemory {
  try {
    // Written by this program only.
    const stored = JSON.parse(text ?? "null") as HostMemory | null;
    return { ...EMPTY_HOST_MEMORY, ...stored };
  } catch {
    return EMPTY_HOST_MEMORY;
  }
}
