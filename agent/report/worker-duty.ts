/**
 * A worker of an AgentPool, as its agent sees itself: how many claims it can serve, and whether it
 * still takes any. Claims are placed by the control plane alone, so the agent knows them from its
 * replies. Pure but for its memory.
 */
import type { WorkerReport, WorkerWord } from "../../schema/agentpool.ts";

/**
 * Replies in a row without a claim before a worker that ends by itself may go: the first may have
 * been written before the control plane knew of the end.
 */
const CLEAR_MIN = 2;

export class WorkerDuty {
  readonly #slots: number | null;
  readonly #ignored: string[];
  #word: WorkerWord | null = null;
  #leaving = false;
  #clear = 0;

  /** `ignored`: keys of its file that have no effect. */
  constructor({ slots, ignored }: { slots: number | null; ignored: readonly string[] }) {
    this.#slots = slots;
    this.#ignored = [...ignored];
  }

  /** What its reports say. */
  report(): WorkerReport {
    const isAsked = this.#leaving || this.#word?.stop === true;
    const stop = !isAsked ? "no" : this.claims > 0 ? "busy" : "stopped";
    return { slots: this.#slots, stop, ignored: this.#ignored };
  }

  get claims(): number {
    return this.#word?.claims ?? 0;
  }

  /** True if its report says something else now. An older control plane says nothing. */
  hear(word: WorkerWord | undefined): boolean {
    const before = this.report().stop;
    this.#word = word ?? null;
    if (this.#leaving) this.#clear = this.claims > 0 ? 0 : this.#clear + 1;
    return this.report().stop !== before;
  }

  /** The process was asked to end. */
  leave(): void {
    this.#leaving = true;
    this.#clear = 0;
  }

  get isLeaving(): boolean {
    return this.#leaving;
  }

  /** Nothing holds the process any more. */
  get mayEnd(): boolean {
    return this.#leaving && this.#clear >= CLEAR_MIN;
  }
}
