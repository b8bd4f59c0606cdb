/**
 * Reads what `bun test` prints and says how many tests passed. Bun's exit status alone is not
 * enough: a test that calls `process.exit(0)` ends the whole run with status 0 and without a
 * summary, so a run counts as complete only when its closing line was seen.
 */

export type Tally = {
  /** Result lines seen so far: all there is to go by if the run dies. */
  seen: Counts;
  /** Counts of the block being read; Bun prints it just before its closing line. */
  block: Counts;
  /** The last complete block, or `null`. A nested run's block is overwritten by the outer one. */
  summary: Counts | null;
};

export type Counts = { passed: number; failed: number; skipped: number };

export const NOTHING: Counts = { passed: 0, failed: 0, skipped: 0 };
export const EMPTY: Tally = { seen: NOTHING, block: NOTHING, summary: null };

const RESULT = /^\((pass|fail|skip|todo)\) /;
const COUNT = /^ *(\d+) (pass|fail|skip|todo)$/;
const CLOSING = /^Ran \d+ tests? across \d+ files?\./;
const COLOUR = /\u001b\[[0-9;]*m/g;

/** One more line of Bun's standard error. */
export function foldLine(tally: Tally, line: string): Tally {
  const text = line.replace(COLOUR, "").trimEnd();
  const result = RESULT.exec(text);
  if (result !== null) return { ...tally, seen: add(tally.seen, result[1], 1) };
  const count = COUNT.exec(text);
  if (count !== null) return { ...tally, block: add(tally.block, count[2], Number(count[1])) };
  if (CLOSING.test(text)) return { ...tally, block: NOTHING, summary: tally.block };
  return tally;
}

function add(counts: Counts, word: string | undefined, n: number): Counts {
  if (word === "pass") return { ...counts, passed: counts.passed + n };
  if (word === "fail") return { ...counts, failed: counts.failed + n };
  return { ...counts, skipped: counts.skipped + n };
}

export type Verdict = { counts: Counts; why: string | null };

/**
 * The counts of a finished run. A run that died, that failed without a failed test, or that ran no
 * test at all counts as one failure more, and `why` says so.
 */
export function judgeRun(tally: Tally, exitCode: number): Verdict {
  const counts = tally.summary;
  if (counts === null) {
    const failed = tally.seen.failed + 1;
    return { counts: { ...tally.seen, failed }, why: `the run ended early, status ${exitCode}` };
  }
  if (exitCode !== 0 && counts.failed === 0) {
    return { counts: { ...counts, failed: 1 }, why: `bun test ended with status ${exitCode}` };
  }
  if (counts.passed + counts.failed === 0) {
    return { counts: { ...counts, failed: 1 }, why: "no test ran" };
  }
  return { counts, why: null };
}

/** Two runs as one. */
export function joinVerdicts(a: Verdict, b: Verdict): Verdict {
  const whys = [a.why, b.why].filter((why) => why !== null);
  return {
    counts: {
      passed: a.counts.passed + b.counts.passed,
      failed: a.counts.failed + b.counts.failed,
      skipped: a.counts.skipped + b.counts.skipped,
    },
    why: whys.length === 0 ? null : whys.join("; "),
  };
}

/** The closing line of `npm test`, which others parse. */
export function printCounts({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}
