/**
 * Holds the expected number of GPUs: from the command line, and from the control plane, which knows
 * instance type and pool. Pure.
 */
import type { Expected, ReportReply } from "../../schema/report.ts";

export class Promises {
  readonly #option: number | null;
  #received: Expected | null = null;

  constructor(option: number | null) {
    this.#option = option;
  }

  /** True if it changed. A reply without a number revokes the earlier one. */
  hear({ expected }: Pick<ReportReply, "expected">): boolean {
    const before = this.#received;
    this.#received = expected ?? null;
    return before?.gpus !== expected?.gpus || before?.from !== expected?.from;
  }

  all(): Expected[] {
    const own: Expected[] = this.#option === null ? [] : [{ gpus: this.#option, from: "option" }];
    return this.#received === null ? own : [...own, this.#received];
  }
}
