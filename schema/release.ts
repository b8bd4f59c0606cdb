/**
 * Parses and compares versions (Semantic Versioning 2.0.0, sections 2 to 11). Total over any text,
 * because versions come from machines and people: an unreadable one is a value.
 */

const NUMBER = "(?:0|[1-9][0-9]*)";
const WORD = `(?:${NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`;
const BUILD = "[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*";
const FORM = new RegExp(
  `^(${NUMBER})\\.(${NUMBER})\\.(${NUMBER})(?:-(${WORD}(?:\\.${WORD})*))?(?:\\+${BUILD})?$`,
);

/** Fits into the report's `agent_version` and into a file's name with something around it. */
const RELEASE_CHARS_MAX = 60;

const LENGTH = `at most ${RELEASE_CHARS_MAX} characters`;
/** For messages: what `isRelease` takes. */
export const RELEASE_EXPECTED = `a version like 1.2.3 or 1.2.3-rc.1, ${LENGTH}`;

/** Whether an agent of this name can be ordered; it is also safe in a path. */
export function isRelease(text: string): boolean {
  return text.length <= RELEASE_CHARS_MAX && parseVersion(text) !== null;
}

/** Below 0 if `one` is older, above 0 if it is newer; `null` = at least one cannot be read. */
export function compareVersions(one: string, other: string): number | null {
  const [a, b] = [parseVersion(one), parseVersion(other)];
  if (a === null || b === null) return null;
  return compareWords(a.core, b.core) || comparePre(a.pre, b.pre);
}

/** `core` has three numbers; `pre` is empty for a final release. */
type Version = { core: readonly string[]; pre: readonly string[] };

function parseVersion(text: string): Version | null {
  const [, major, minor, patch, pre] = FORM.exec(text) ?? [];
  if (major === undefined || minor === undefined || patch === undefined) return null;
  return { core: [major, minor, patch], pre: pre?.split(".") ?? [] };
}

/** A final release is newer than its pre-releases. */
function comparePre(one: readonly string[], other: readonly string[]): number {
  if (one.length === 0 || other.length === 0) return Math.sign(other.length - one.length);
  return compareWords(one, other);
}

function compareWords(one: readonly string[], other: readonly string[]): number {
  for (const [i, word] of one.entries()) {
    const against = other[i];
    if (against === undefined) return 1;
    const order = compareWord(word, against);
    if (order !== 0) return order;
  }
  return Math.sign(one.length - other.length);
}

/** Numbers by size and before words; words by their characters. */
function compareWord(one: string, other: string): number {
  if (one === other) return 0;
  const [isNumber, againstNumber] = [/^[0-9]+$/.test(one), /^[0-9]+$/.test(other)];
  if (isNumber !== againstNumber) return isNumber ? -1 : 1;
  if (isNumber && one.length !== other.length) return Math.sign(one.length - other.length);
  return one < other ? -1 : 1;
}
