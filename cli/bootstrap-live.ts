/**
 * Prints the setup of a machine while it runs: nothing twice, and whole lines only. A short, silent
 * step is printed when it ends; a long step, or one with output, when it starts and when it ends.
 * Pure.
 */
import type { BootstrapAttemptView, BootstrapStepView } from "../schema/api-bootstrap.ts";
import {
  formatCommand,
  formatEnd,
  formatError,
  formatHead,
  formatOutcome,
  formatSaid,
  formatStep,
} from "./bootstrap-view.ts";

/** What has been printed of the running step. */
type Printed = { stdout: string; stderr: string; error: string | null };

export class LiveAttempt {
  readonly #whole: boolean;
  #begun = false;
  #ended = false;
  /** Steps printed to their end. */
  #over = 0;
  #printed: Printed | null = null;

  /** `whole` prints every line of each command. */
  constructor(whole: boolean) {
    this.#whole = whole;
  }

  /** What is new in `now`; `patient` = unchanged for a while, so print a silent step as well. */
  next(now: BootstrapAttemptView, patient: boolean): string {
    let text = this.#begun ? "" : formatHead(now);
    this.#begun = true;
    for (const step of now.steps.slice(this.#over)) {
      if (step.duration_ms === null) return text + this.#run(step, patient);
      text += this.#end(step);
    }
    if (now.ended_at === null || this.#ended) return text;
    this.#ended = true;
    return text + formatEnd(now);
  }

  #run(step: BootstrapStepView, patient: boolean): string {
    const silent = `${step.stdout}${step.stderr}` === "" && step.error === null;
    if (this.#printed === null && silent && !patient) return "";
    const begin = this.#printed === null ? this.#begin(step) : "";
    return begin + this.#more(step, false);
  }

  #begin(step: BootstrapStepView): string {
    this.#printed = { stdout: "", stderr: "", error: null };
    return formatOutcome(step) + formatCommand(step, this.#whole);
  }

  #end(step: BootstrapStepView): string {
    this.#over += 1;
    if (this.#printed === null) return formatStep(step, this.#whole);
    const text = this.#more(step, true) + formatOutcome(step);
    this.#printed = null;
    return text;
  }

  #more(step: BootstrapStepView, all: boolean): string {
    const printed = this.#printed ?? { stdout: "", stderr: "", error: null };
    const stdout = freshLines(printed.stdout, step.stdout, all);
    const stderr = freshLines(printed.stderr, step.stderr, all);
    const error = step.error === printed.error ? null : step.error;
    this.#printed = {
      stdout: keep(printed.stdout + stdout),
      stderr: keep(printed.stderr + stderr),
      error: step.error,
    };
    return formatSaid(stdout) + formatSaid(stderr) + formatError(error);
  }
}

/** More than the server keeps of a stream (64 KiB) before it cuts the middle. */
const PRINTED_CHARS_MAX = 80_000;

function keep(printed: string): string {
  return printed.length <= PRINTED_CHARS_MAX ? printed : printed.slice(-KNOWN_CHARS);
}

/** Printed characters to search for in a stream whose middle was cut. */
const KNOWN_CHARS = 1_024;

/** Lines of `now` that were not printed; incomplete ones only if `all`. */
export function freshLines(printed: string, now: string, all: boolean): string {
  const known = now.startsWith(printed) ? printed.length : endOfKnown(printed, now);
  const end = all ? now.length : now.lastIndexOf("\n") + 1;
  return now.slice(known, Math.max(known, end));
}

/** End of the printed part in `now`; the cut if none of it is left. */
function endOfKnown(printed: string, now: string): number {
  const last = printed.slice(-KNOWN_CHARS);
  const at = now.lastIndexOf(last);
  if (at >= 0) return at + last.length;
  return Math.max(0, now.indexOf("\n[… ") + 1);
}
