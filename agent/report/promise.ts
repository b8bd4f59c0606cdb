/**
 * How many GPUs others say that this machine has: its command line, and the control plane, which
 * knows the instance type and the pool. The agent compares and reports; it judges nothing. Pure.
 */
import type { Expected, ReportReply } from "../../schema/report.ts";

export class Promises {
  readonly #option: number | null;
  #told: Expected | null = null;

  constructor(option: number | null) {
    this.#option = option;
  }

  /** True if it changed. A reply without a number takes back what an earlier one said. */
  hear({ expected }: Pick<ReportReply, "expected">): boolean {
    const before = this.#told;
    this.#told = expected ?? null;
    return before?.gpus !== this.#told?.gpus || before?.from !== this.#told?.from;
  }

  all(): Expected[] {
    const own: Expected[] = this.#option === null ? [] : [{ gpus: this.#option, from: "option" }];
    return this.#told === null ? own : [...own, this.#told];
  }
}
