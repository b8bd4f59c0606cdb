/** SSH host keys as clouds report them and as key checks compare them. Pure. */

/** `ssh-ed25519 AAAA… comment` → `AAAA…`. */
export function keyBodiesOf(lines: readonly string[]): string[] {
  return lines.map((line) => line.trim().split(/\s+/)[1] ?? line);
}
