/**
 * Watches the machine around the GPUs: reads it, compares it with its memory, and keeps the last
 * round for reports, metrics and the log.
 */
import type { Finding } from "../../schema/finding.ts";
import type { HostContext, HostMemory } from "./probe.ts";
import type { HostReader } from "./read.ts";
import { type HostRound, lookAtHost } from "./round.ts";

/** A read takes milliseconds; one that hangs must not delay the check. */
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

  /** True if the memory differs from the stored one; written after the findings. */
  get changed(): boolean {
    return mark(this.#memory) !== this.#saved;
  }

  /** One look; answers its new findings within a second and never rejects. */
  async look(ctx: Omit<HostContext, "expectedPorts">): Promise<Finding[]> {
    const reading = await this.#parts.read(READ_MS);
    const { expectedPorts } = this.#parts;
    this.round = lookAtHost(reading, this.#memory, { ...ctx, expectedPorts });
    this.#memory = this.round.memory;
    return this.round.findings;
  }

  /** The next look reports current conditions again. */
  reportAgain(): void {
    this.#memory = { ...this.#memory, held: {} };
  }

  save(): void {
    this.#saved = mark(this.#memory);
    this.#parts.save(this.#memory);
  }
}

/** The part worth a write: counters change with every look. */
function mark({ bootId, held, peermem, ports, writable, sealed }: HostMemory): string {
  const rates = Object.entries(ports).map(([name, { gigabits }]) => [name, gigabits]);
  return JSON.stringify([bootId, Object.keys(held), peermem, rates, writable, sealed]);
}
