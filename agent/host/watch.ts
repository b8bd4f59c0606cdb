/**
 * Watches the machine around the GPUs: reads it, compares it with its memory, and keeps the last
 * round for reports, metrics and the log.
 */
import type { Finding } from "../../schema/finding.ts";
import type { ProbeResult } from "../../schema/report.ts";
import { judgeChange } from "../probe/finding.ts";
import { fileSystemProbe } from "./file-system.ts";
import { panicProbe } from "./panic.ts";
import { peermemProbe } from "./peermem.ts";
import { portProbe } from "./port.ts";
import { EMPTY_HOST_MEMORY, type HostContext, type HostMemory, type HostProbe } from "./probe.ts";
import type { HostReader } from "./read.ts";
import type { HostReading } from "./reading.ts";

const HOST_PROBES: readonly HostProbe[] = [portProbe, fileSystemProbe, panicProbe, peermemProbe];

export type HostRound = {
  findings: Finding[];
  results: ProbeResult[];
  /** Keys of current conditions, as in `Check.active`. */
  active: string[];
  memory: HostMemory;
  reading: HostReading;
};

/** Bound of `ProbeResult.message` in the contract. */
const RESULT_CHARS_MAX = 256;

/** Judges one reading: changes since the last become findings; an unread part ends no condition. */
export function lookAtHost(reading: HostReading, memory: HostMemory, ctx: HostContext): HostRound {
  // Conditions and writability belong to one boot.
  const known =
    memory.bootId === ctx.bootId
      ? memory
      : { ...memory, bootId: ctx.bootId, held: {}, writable: [], sealed: [] };
  const looked = HOST_PROBES.map((probe) => ({ probe, look: probe.look(reading, known, ctx) }));
  const blind = new Set(
    looked.flatMap(({ probe, look }) =>
      look.blind ? probe.reasons.map((reason) => `host/${reason}/node`) : [],
    ),
  );
  const carried = Object.keys(known.held).filter((key) => blind.has(key));
  const conditions = looked.flatMap(({ look }) => look.conditions);
  const change = judgeChange(conditions, known.held, carried, ctx);
  const learned = Object.assign({}, ...looked.map(({ look }) => look.learned));
  return {
    findings: change.findings,
    active: change.active,
    memory: { ...EMPTY_HOST_MEMORY, ...known, ...learned, held: change.held },
    reading,
    results: looked.map(({ probe, look }) => ({
      name: probe.name,
      outcome: look.outcome,
      duration_ms: 0,
      message: look.message?.slice(0, RESULT_CHARS_MAX) ?? null,
    })),
  };
}

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
