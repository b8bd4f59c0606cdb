/**
 * What a step remembers of this process: since when something is so, what was sent and when, and
 * how many pod writes a minute has seen. What a step does not touch is forgotten.
 */
import { backoffMs } from "../turn/backoff.ts";
import type { PoolMemory, Sent } from "./step-model.ts";

/** Between two steps of a process that runs; what is longer was slept, and ages nothing. */
const ASLEEP_MS = 120_000;
const MINUTE_MS = 60_000;
const WRITES_PER_MINUTE = 60;
/** An effect that was not answered by then is sent again. */
const ANSWER_MS = 60_000;
/** A pod that was deleted is marked by then. */
const RESULT_MS = 30_000;
const RETRY_MS = 5_000;

export function freshMemory(): PoolMemory {
  return {
    ...{ template: null, stepAt: null, isOpen: false, surplusSince: null, blocked: null },
    ...{ since: new Map(), sent: new Map(), writes: null, recycled: 0, told: new Map() },
  };
}

export class Recall {
  readonly mono: number;
  readonly since = new Map<string, number>();
  readonly sent = new Map<string, Sent>();
  readonly writes: number[];
  readonly slept: number;
  private readonly memory: PoolMemory;
  private due: number | null = null;

  /** `ages`: of writes that rows tell of, for a process that has counted none. */
  constructor(memory: PoolMemory, mono: number, ages: readonly number[]) {
    this.memory = memory;
    this.mono = mono;
    const gap = memory.stepAt === null ? 0 : mono - memory.stepAt;
    this.slept = gap > ASLEEP_MS ? gap : 0;
    const writes = memory.writes ?? ages.map((age) => mono - age);
    this.writes = writes.filter((at) => mono - at < MINUTE_MS);
  }

  /** For how long this process has seen it so. */
  age(key: string): number {
    return this.mono - this.start(key);
  }

  start(key: string): number {
    const known = this.memory.since.get(key);
    const at = known === undefined ? this.mono : known + this.slept;
    this.since.set(key, at);
    return at;
  }

  /** Whether it was so in the last step, and is. */
  knew(key: string): boolean {
    const known = this.memory.since.has(key);
    if (known) this.start(key);
    return known;
  }

  /** Something happens once so many milliseconds have passed. */
  dueIn(ms: number): void {
    if (ms >= 0) this.due = Math.min(this.due ?? Infinity, Math.max(1, Math.ceil(ms)));
  }

  get dueMs(): number | null {
    return this.due;
  }

  /** Keeps what was sent, for as long as the step speaks of it. */
  keep(key: string): Sent | null {
    const sent = this.sent.get(key) ?? this.memory.sent.get(key) ?? null;
    if (sent !== null) this.sent.set(key, sent);
    return sent;
  }

  answered(key: string): void {
    const sent = this.keep(key);
    if (sent !== null) this.sent.set(key, { ...sent, isAnswered: true });
  }

  isInFlight(key: string): boolean {
    const sent = this.keep(key);
    return sent !== null && !sent.isAnswered && this.mono - sent.at < ANSWER_MS;
  }

  /** Whether it may be sent now, for the first time or again. */
  mayTry(key: string): boolean {
    const sent = this.keep(key);
    if (sent === null) return true;
    const backOff = backoffMs(sent.tries + 1, RETRY_MS, MINUTE_MS);
    const pause = sent.isAnswered ? Math.max(RESULT_MS, backOff) : ANSWER_MS;
    const left = sent.at + pause - this.mono;
    if (left > 0) this.dueIn(left);
    return left <= 0;
  }

  /** Counts a pod write; false: the minute has had its writes. */
  write(key: string): boolean {
    this.dueWithRoom();
    if (this.room === 0) return false;
    this.writes.push(this.mono);
    this.mark(key);
    return true;
  }

  /** Something waits for the next write. */
  dueWithRoom(): void {
    const [first] = this.writes;
    if (this.room === 0 && first !== undefined) this.dueIn(first + MINUTE_MS - this.mono);
  }

  mark(key: string): void {
    const tries = (this.keep(key)?.tries ?? 0) + 1;
    this.sent.set(key, { at: this.mono, tries, isAnswered: false });
  }

  get room(): number {
    return Math.max(0, WRITES_PER_MINUTE - this.writes.length);
  }
}
