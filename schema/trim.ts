/**
 * Removes characters at the ends of a text, in one pass. A pattern such as `/-+$/` tries each run
 * of the text to its end: the square of the length, for text that others supply.
 */

/** Without the characters of `ends` at the end. */
export function trimEnd(text: string, ends: string): string {
  let end = text.length;
  while (end > 0 && ends.includes(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** Without the characters of `ends` at either end. */
export function trimBoth(text: string, ends: string): string {
  let start = 0;
  while (start < text.length && ends.includes(text.charAt(start))) start++;
  return trimEnd(text.slice(start), ends);
}
