/**
 * Holds the expected number of GPUs: from the command line, and from the control plane, which knows
 * instance type and pool. Pure.
 */
import type { ReportReply } from "../../schema/report.ts";
import type { Promised } from "../probe/probe.ts";

/** A worker's template without GPUs. */
const NONE_IN_POD: Promised = { gpus: 0, from: "pool", isOwn: true };

export class Promises {
  readonly #option: number | null;
  #received: Promised | null = null;

  constructor(option: number | null) {
    this.#option = option;
  }

  /** True if it changed. A reply without a number revokes the earlier one. */
  hear({ expected, worker }: Pick<ReportReply, "expected" | "worker">): boolean {
    const before = this.#received;
    const now = worker?.without_gpus === true ? NONE_IN_POD : (expected ?? null);
    this.#received = now;
    return before?.gpus !== now?.gpus || before?.from !== now?.from;
  }

  all(): Promised[] {
    const own: Promised[] = this.#option === null ? [] : [{ gpus: this.#option, from: "option" }];
    return this.#received === null ? own : [...own, this.#received];
  }
}
