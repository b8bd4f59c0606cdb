/**
 * Shell quoting of values that enter a setup command. A value is one word to a POSIX shell whatever
 * it contains. The one thing this cannot fix is a template that puts a value inside double quotes
 * or an unquoted here-document of its own: write `{{.Pool}}` bare.
 */

const SAFE = /^[A-Za-z0-9_@%+=:,./-]*$/;

/** The value unchanged if every character is harmless, else in single quotes (POSIX sh §2.2.2). */
export function quoteShell(value: string): string {
  if (SAFE.test(value)) return value;
  return `'${value.replaceAll("'", "'\\''")}'`;
}
