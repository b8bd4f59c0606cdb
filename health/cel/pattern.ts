/**
 * Regular expressions of policies, in time linear in the text whatever the pattern says. The CEL
 * library would hand a pattern to the JavaScript engine, where one bad pattern stops the control
 * plane, so `matches` is served by RE2 syntax from here. Compiled patterns are remembered.
 */
import { RE2JS } from "re2js";

/**
 * Steps of the patterns that are remembered, twice: some 20 MB each (200 bytes a step, measured). A
 * policy of 500 rules with three patterns of 25 steps has 37,500, and a bound below what one policy
 * asks again and again would compile each pattern for each finding, at 200 times the price. The
 * bound is for patterns that are built from data.
 */
const STEPS_KEPT_MAX = 100_000;
/**
 * A pattern longer than this is refused: compiling costs memory in proportion, and none needs it.
 */
const PATTERN_CHARS_MAX = 1_024;

/**
 * Steps of a compiled pattern. A search costs steps × characters, and counted repeats make many
 * steps of few characters: fifty of `a{0,1000}` are 100,000, which is ten seconds on one message.
 * This leaves room for one repeat of the greatest count (1,000), and is a tenth of a second.
 */
const PROGRAM_STEPS_MAX = 2_500;

/** Used since the last turn-over, and used before it; what neither has is forgotten. */
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

/** The compiled pattern, or the reason why it is none. */
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
