/**
 * Counts tests in the output of `bun test`. Its exit status is not enough: a test that calls
 * `process.exit(0)` ends the run with status 0, so a run is complete only with its closing line.
 */

export type Tally = {
  /** Result lines so far, in case the run dies. */
  seen: Counts;
  /** Counts of the summary block being read; Bun prints it just before its closing line. */
  block: Counts;
  /** The last complete block, or `null`. A nested run's block is overwritten by the outer one. */
  summary: Counts | null;
  /** The file whose tests run now, as Bun names it. */
  file: string;
  /** The last lines printed, kept for the report of a failure. */
  said: readonly string[];
  /** Failures, each with its file and the lines before it. */
  failures: readonly string[];
};

export type Counts = { passed: number; failed: number; skipped: number };

export const NOTHING: Counts = { passed: 0, failed: 0, skipped: 0 };
export const EMPTY: Tally = {
  seen: NOTHING,
  block: NOTHING,
  summary: null,
  file: "",
  said: [],
  failures: [],
};

/** Lines of an assertion with its code frame and values. */
const SAID_MAX = 30;
/** With more failures than this, read the whole output. */
const FAILURES_MAX = 50;

const RESULT = /^\((pass|fail|skip|todo)\) /;
const COUNT = /^ *(\d+) (pass|fail|skip|todo)$/;
const CLOSING = /^Ran \d+ tests? across \d+ files?\./;
const FILE = /^(\S+\.test\.ts):$/;
/** The message of a file that cannot be loaded, between two rules. */
const OUTSIDE = "# Unhandled error between tests";
const RULE = /^-{20,}$/;
const COLOUR = /\u001b\[[0-9;]*m/g;

/** A process of a parallel run that ended in the middle of a file. */
const CRASH = /^\S+ (\S+\.test\.ts) \(worker crashed: .*\)$/;

/** Whether this line names the file whose tests follow. */
export const isFileLine = (line: string): boolean => FILE.test(plain(line));

const plain = (line: string): string => line.replace(COLOUR, "").trimEnd();

/** One more line of Bun's standard error. */
export function foldLine(tally: Tally, line: string): Tally {
  const text = plain(line);
  const file = FILE.exec(text)?.[1];
  if (file !== undefined) return { ...tally, file, said: [] };
  const result = RESULT.exec(text);
  if (result !== null) return foldResult(tally, result[1], text);
  const crashed = CRASH.exec(text)?.[1];
  if (crashed !== undefined) return { ...addFailure(tally, text), file: crashed };
  const count = COUNT.exec(text);
  if (count !== null) return { ...tally, block: add(tally.block, count[2], Number(count[1])) };
  if (CLOSING.test(text)) return { ...tally, block: NOTHING, summary: tally.block };
  if (tally.summary !== null) return tally;
  if (text === OUTSIDE) return { ...tally, said: [text] };
  const isOutside = tally.said[0] === OUTSIDE && tally.said.length > 2;
  if (isOutside && RULE.test(text)) return { ...addFailure(tally, text), said: [] };
  return { ...tally, said: [...tally.said, text].slice(-SAID_MAX) };
}

/** Bun repeats failures at the end of a long run; the first occurrence has the reason. */
function foldResult(tally: Tally, word: string | undefined, text: string): Tally {
  const next = { ...tally, seen: add(tally.seen, word, 1), said: [] };
  const isRepeated = tally.failures.some((failure) => failure.endsWith(text));
  if (word !== "fail" || isRepeated) return next;
  return { ...addFailure(tally, text), seen: next.seen, said: next.said };
}

function addFailure(tally: Tally, text: string): Tally {
  if (tally.failures.length >= FAILURES_MAX) return tally;
  const failure = [`${tally.file}:`, ...tally.said, text].join("\n");
  return { ...tally, failures: [...tally.failures, failure] };
}

function add(counts: Counts, word: string | undefined, n: number): Counts {
  if (word === "pass") return { ...counts, passed: counts.passed + n };
  if (word === "fail") return { ...counts, failed: counts.failed + n };
  return { ...counts, skipped: counts.skipped + n };
}

export type Verdict = {
  counts: Counts;
  why: string | null;
  failures: readonly string[];
};

/** Adds one failure and `why` to a run that died, ran no test, or failed without a failed test. */
export function judgeRun(tally: Tally, exitCode: number, maySkip = false): Verdict {
  const { summary: counts, failures } = tally;
  if (counts === null) {
    const seen = { ...tally.seen, failed: tally.seen.failed + 1 };
    return { counts: seen, why: `the run ended early, status ${exitCode}`, failures };
  }
  const broken = { ...counts, failed: 1 };
  if (exitCode !== 0 && counts.failed === 0) {
    return { counts: broken, why: `bun test ended with status ${exitCode}`, failures };
  }
  const isEmpty = counts.passed + counts.failed === 0;
  if (isEmpty && !maySkip) return { counts: broken, why: "no test ran", failures };
  return { counts, why: null, failures };
}

/** The sum of two runs. */
export function joinVerdicts(a: Verdict, b: Verdict): Verdict {
  const whys = [a.why, b.why].filter((why) => why !== null);
  return {
    counts: {
      passed: a.counts.passed + b.counts.passed,
      failed: a.counts.failed + b.counts.failed,
      skipped: a.counts.skipped + b.counts.skipped,
    },
    why: whys.length === 0 ? null : whys.join("; "),
    failures: [...a.failures, ...b.failures],
  };
}

/** The closing line of `npm test`. */
export function formatCounts({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}
