/**
 * Regular expressions of policies, in time linear in the text whatever the pattern says. The CEL
 * library would hand a pattern to the JavaScript engine, where one bad pattern stops the control
 * plane (decision 20), so `matches` is served by RE2 syntax from here. Compiled patterns are
 * remembered.
 */
import { RE2JS } from "re2js";

/**
 * Patterns remembered. A policy holds a handful; the bound only matters for patterns built from
 * data.
 */
const PATTERNS_MAX = 256;
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

const compiled = new Map<string, RE2JS>();

/** The compiled pattern, or the reason why it is none. */
export function compilePattern(pattern: string): RE2JS | string {
  const known = compiled.get(pattern);
  if (known) return known;
  if (pattern.length > PATTERN_CHARS_MAX) {
    return `pattern is ${pattern.length} characters, at most ${PATTERN_CHARS_MAX} are allowed`;
  }
  try {
    const fresh = RE2JS.compile(pattern);
    const steps = fresh.programSize();
    if (steps > PROGRAM_STEPS_MAX) {
      return `pattern takes ${steps} steps, at most ${PROGRAM_STEPS_MAX} are allowed`;
    }
    if (compiled.size >= PATTERNS_MAX) compiled.clear();
    compiled.set(pattern, fresh);
    return fresh;
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
