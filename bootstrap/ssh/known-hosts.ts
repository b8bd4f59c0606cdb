/**
 * Reads the keys of one host from a known_hosts file (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"):
 * plain and hashed names, patterns, negation, ports, revoked keys. `@cert-authority` lines are
 * ignored: host certificates are not supported.
 *
 * Adapter: reads one file.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { HostKeyCheck } from "../shell.ts";

/** A large file of a large site is a few megabytes. */
const BYTES_MAX = 16 * 1_024 * 1_024;

/** The check that the file asks for, or why there is none. */
export async function readKnownHosts(
  path: string,
  host: string,
  port: number,
): Promise<{ ok: true; check: HostKeyCheck & { kind: "pinned" } } | { ok: false; error: string }> {
  const file = Bun.file(path);
  let text: string;
  try {
    if (file.size > BYTES_MAX) return { ok: false, error: `${path} is over ${BYTES_MAX} bytes` };
    text = await file.text();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { ok: false, error: `known_hosts ${path} cannot be read: ${why}` };
  }
  const keys = knownKeys(text, host, port);
  if (keys.length > 0) return { ok: true, check: { kind: "pinned", keys } };
  return { ok: false, error: `${path} has no key of ${formatName(host, port)}` };
}

/** Keys of `host`, base64 of the wire form; a key that any line revokes is not among them. */
export function knownKeys(text: string, host: string, port: number): string[] {
  const name = formatName(host, port);
  const keys = new Set<string>();
  const revoked = new Set<string>();
  for (const line of text.split(/\r?\n/)) {
    const words = line.trim().split(/[ \t]+/);
    const marker = words[0]?.startsWith("@") ? words.shift() : undefined;
    const [patterns, , key] = words;
    if (patterns === undefined || key === undefined || patterns.startsWith("#")) continue;
    if (!matchesAny(patterns, name)) continue;
    if (marker === undefined) keys.add(canonical(key));
    if (marker === "@revoked") revoked.add(canonical(key));
  }
  return [...keys].filter((key) => !revoked.has(key));
}

/** `host`, or `[host]:port` for any port but 22. */
function formatName(host: string, port: number): string {
  const lower = host.toLowerCase();
  return port === 22 ? lower : `[${lower}]:${port}`;
}

function canonical(key: string): string {
  return Buffer.from(key, "base64").toString("base64");
}

function matchesAny(patterns: string, name: string): boolean {
  if (patterns.startsWith("|")) return matchesHashed(patterns, name);
  let found = false;
  for (const pattern of patterns.toLowerCase().split(",")) {
    if (pattern.startsWith("!")) {
      if (matchesGlob(pattern.slice(1), name)) return false;
    } else if (matchesGlob(pattern, name)) {
      found = true;
    }
  }
  return found;
}

/** `|1|salt|HMAC-SHA1(salt, name)`, both base64. */
function matchesHashed(entry: string, name: string): boolean {
  const [, version, salt, digest] = entry.split("|");
  if (version !== "1" || salt === undefined || digest === undefined) return false;
  const expected = Buffer.from(digest, "base64");
  const actual = createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest();
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

/** Matches `*` and `?` without exponential backtracking: only the last star is retried. */
function matchesGlob(pattern: string, name: string): boolean {
  let [at, place, star, resume] = [0, 0, -1, 0];
  while (place < name.length) {
    const want = pattern[at];
    if (want === "*") {
      star = at++;
      resume = place;
    } else if (want === "?" || want === name[place]) {
      at++;
      place++;
    } else if (star >= 0) {
      at = star + 1;
      place = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}
