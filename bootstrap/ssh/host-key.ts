/**
 * Host keys as they travel: a length-prefixed type name, then the key (RFC 4253 §6.6). Pure.
 */
import { trimEnd } from "../../schema/trim.ts";
import { createHash, timingSafeEqual } from "node:crypto";

type Signature =
  | "ssh-ed25519"
  | "ecdsa-sha2-nistp256"
  | "ecdsa-sha2-nistp384"
  | "ecdsa-sha2-nistp521"
  | "rsa-sha2-512"
  | "rsa-sha2-256";

/** Signature algorithms of each key type (RFC 8332 for RSA). */
const SIGNATURES: Readonly<Record<string, readonly Signature[]>> = {
  "ssh-ed25519": ["ssh-ed25519"],
  "ecdsa-sha2-nistp256": ["ecdsa-sha2-nistp256"],
  "ecdsa-sha2-nistp384": ["ecdsa-sha2-nistp384"],
  "ecdsa-sha2-nistp521": ["ecdsa-sha2-nistp521"],
  "ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256"],
};

/** `ssh-ed25519`; `null` for invalid bytes. */
export function keyType(key: Uint8Array): string | null {
  const bytes = Buffer.from(key);
  if (bytes.length < 4) return null;
  const length = bytes.readUInt32BE(0);
  if (length === 0 || length > 64 || bytes.length < 4 + length) return null;
  return bytes.toString("latin1", 4, 4 + length);
}

/** True if `offered` is one of the pinned keys; takes no less time for a near miss. */
export function isPinned(pinned: readonly string[], offered: Uint8Array): boolean {
  let found = false;
  for (const text of pinned) {
    const expected = Buffer.from(text, "base64");
    const comparable = expected.length > 0 && expected.length === offered.length;
    if (comparable && timingSafeEqual(expected, offered)) found = true;
  }
  return found;
}

/**
 * Signature algorithms to offer, those of the pinned keys first: a server with several key types
 * must show the pinned one. The others follow, so that a server without it shows its new key.
 */
export function signatureOrder(pinned: readonly string[]): Signature[] {
  const types = pinned.map((text) => keyType(Buffer.from(text, "base64")));
  const first = types.flatMap((type) => (type === null ? [] : (SIGNATURES[type] ?? [])));
  return [...new Set([...first, ...Object.values(SIGNATURES).flat()])];
}

/** As ssh-keygen -l prints it: `ssh-ed25519 SHA256:…`. */
export function formatKey(key: Uint8Array): string {
  const digest = trimEnd(createHash("sha256").update(key).digest("base64"), "=");
  return `${keyType(key) ?? "unknown key"} SHA256:${digest}`;
}
