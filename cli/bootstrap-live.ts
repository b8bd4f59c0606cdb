/**
 * The set-up of a machine as it happens: nothing is printed twice and no line before it is whole. A
 * step that is over soon looks as it does afterwards; one that takes its time, or speaks, is told
 * when it begins and again when it ends. Pure.
 */
import type { BootstrapAttemptView, BootstrapStepView } from "../schema/api.ts";
import {
  formatCommand,
  formatEnd,
  formatError,
  formatHead,
  formatOutcome,
  formatSaid,
  formatStep,
} from "./bootstrap-view.ts";

/** What is printed of a step that was told to run. */
type Told = { stdout: string; stderr: string; error: string | null };

export class LiveAttempt {
  readonly #whole: boolean;
  #begun = false;
  #ended = false;
  /** Steps that are over on the screen. */
  #over = 0;
  #told: Told | null = null;

  /** `whole` prints every line of each command. */
  constructor(whole: boolean) {
    this.#whole = whole;
  }

  /** What is new in `now`; `patient` = it has been so for a while, so a silent step is told too. */
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
    if (this.#told === null && silent && !patient) return "";
    const begin = this.#told === null ? this.#begin(step) : "";
    return begin + this.#more(step, false);
  }

  #begin(step: BootstrapStepView): string {
    this.#told = { stdout: "", stderr: "", error: null };
    return formatOutcome(step) + formatCommand(step, this.#whole);
  }

  #end(step: BootstrapStepView): string {
    this.#over += 1;
    if (this.#told === null) return formatStep(step, this.#whole);
    const text = this.#more(step, true) + formatOutcome(step);
    this.#told = null;
    return text;
  }

  #more(step: BootstrapStepView, all: boolean): string {
    const told = this.#told ?? { stdout: "", stderr: "", error: null };
    const stdout = freshLines(told.stdout, step.stdout, all);
    const stderr = freshLines(told.stderr, step.stderr, all);
    const error = step.error === told.error ? null : step.error;
    this.#told = {
      stdout: keep(told.stdout + stdout),
      stderr: keep(told.stderr + stderr),
      error: step.error,
    };
    return formatSaid(stdout) + formatSaid(stderr) + formatError(error);
  }
}

/** A stream is never shown longer than this while it still begins as it began (64 KiB). */
const TOLD_CHARS_MAX = 80_000;

function keep(told: string): string {
  return told.length <= TOLD_CHARS_MAX ? told : told.slice(-KNOWN_CHARS);
}

/** So much of what was printed is looked for in a text whose middle was left out meanwhile. */
const KNOWN_CHARS = 1_024;

/** Lines of `now` that were not printed yet, whole ones unless `all`. */
export function freshLines(printed: string, now: string, all: boolean): string {
  const known = now.startsWith(printed) ? printed.length : endOfKnown(printed, now);
  const end = all ? now.length : now.lastIndexOf("\n") + 1;
  return now.slice(known, Math.max(known, end));
}

/** Where the part ends that is known; the cut if nothing of it is left. */
function endOfKnown(printed: string, now: string): number {
  const last = printed.slice(-KNOWN_CHARS);
  const at = now.lastIndexOf(last);
  if (at >= 0) return at + last.length;
  return Math.max(0, now.indexOf("\n[… ") + 1);
}
