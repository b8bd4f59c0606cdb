/**
 * Regular expressions of policies in linear time (RE2 syntax). The CEL library uses the JavaScript
 * engine, where one bad pattern stops the control plane. Compiled patterns are cached.
 */
import { RE2JS } from "re2js";

/**
 * Steps kept in each of the two caches: some 20 MB (200 bytes a step, measured). A policy of 500
 * rules with three patterns of 25 steps needs 37,500; with a smaller cache each finding would
 * compile each pattern again, at 200 times the cost. The bound is for patterns that are built from
 * data.
 */
const STEPS_KEPT_MAX = 100_000;
/** Compiling takes memory in proportion to the length. */
const PATTERN_CHARS_MAX = 1_024;

/**
 * Steps of a compiled pattern. A search costs steps × characters: fifty `a{0,1000}` are 100,000
 * steps, ten seconds on one message. This allows one repeat of the greatest count (1,000), 0.1 s.
 */
const PROGRAM_STEPS_MAX = 2_500;

/** Patterns used since the caches last rotated, and before that; older ones are dropped. */
let recent = new Map<string, RE2JS>();
let former = new Map<string, RE2JS>();
let recentSteps = 0;

function remember(pattern: string, compiled: RE2JS): RE2JS {
  const steps = compiled.programSize();
  if (recentSteps + steps > STEPS_KEPT_MAX) {
    former = recent;
    recent = new Map();
    recentSteps = 0;
  }
  recent.set(pattern, compiled);
  recentSteps += steps;
  return compiled;
}

/** The compiled pattern, or why it is refused. */
export function compilePattern(pattern: string): RE2JS | string {
  const known = recent.get(pattern);
  if (known !== undefined) return known;
  const older = former.get(pattern);
  if (older !== undefined) return remember(pattern, older);
  if (pattern.length > PATTERN_CHARS_MAX) {
    return `pattern is ${pattern.length} characters, at most ${PATTERN_CHARS_MAX} are allowed`;
  }
  try {
    const fresh = RE2JS.compile(pattern);
    const steps = fresh.programSize();
    if (steps > PROGRAM_STEPS_MAX) {
      return `pattern takes ${steps} steps, at most ${PROGRAM_STEPS_MAX} are allowed`;
    }
    return remember(pattern, fresh);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** CEL's `matches`: true if the pattern is found anywhere in the text. Throws on a bad pattern. */
export function matchesLinear(text: string, pattern: string): boolean {
  const found = compilePattern(pattern);
  if (typeof found === "string") throw new Error(`invalid pattern: ${found}`);
  return found.matcher(text).find();
}
