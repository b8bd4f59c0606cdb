/** Addresses to which a path is added. */

/** The text without the `/` at its end, however many there are. */
export function withoutEndSlash(text: string): string {
  let end = text.length;
  while (text[end - 1] === "/") end--;
  return text.slice(0, end);
}
