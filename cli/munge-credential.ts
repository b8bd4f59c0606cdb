/**
 * Tells whether a munge credential was made with a key. Nothing of the credential is trusted or
 * used: it only shows which key a daemon holds. Pure. The layout of version 3 is that of munge
 * 0.5.x (`src/munged/dec.c`); docs/reference/slurm.md#munge.
 */
import { createDecipheriv, createHash, createHmac, timingSafeEqual } from "node:crypto";

/** By their numbers in a credential. Ciphers that OpenSSL retired are left out. */
const CIPHERS: ReadonlyMap<number, { name: string; keyBytes: number; ivBytes: number }> = new Map([
  [4, { name: "aes-128-cbc", keyBytes: 16, ivBytes: 16 }],
  [5, { name: "aes-256-cbc", keyBytes: 32, ivBytes: 16 }],
]);
const CIPHER_NONE = 0;
const MACS: ReadonlyMap<number, { name: string; bytes: number }> = new Map([
  [2, { name: "md5", bytes: 16 }],
  [3, { name: "sha1", bytes: 20 }],
  [5, { name: "sha256", bytes: 32 }],
  [6, { name: "sha512", bytes: 64 }],
]);
const VERSION = 3;
/** Version, cipher, MAC, compression and length of the realm, a byte each. */
const HEAD_BYTES = 5;

export type Credential = {
  cipher: { name: string; keyBytes: number } | null;
  mac: { name: string; bytes: number };
  outer: Buffer;
  iv: Buffer;
  seal: Buffer;
  inner: Buffer;
};

/** A text says why it cannot be read. */
export function readCredential(text: string): Credential | string {
  const [, armoured] = /^MUNGE:([A-Za-z0-9+/=]+):$/.exec(text.trim()) ?? [];
  if (armoured === undefined) return "is no munge credential";
  const bytes = Buffer.from(armoured, "base64");
  const [version = 0, cipherNumber = 0, macNumber = 0, , realm = 0] = bytes;
  if (version !== VERSION) return `has version ${version} instead of ${VERSION}`;
  const cipher = CIPHERS.get(cipherNumber) ?? null;
  if (cipher === null && cipherNumber !== CIPHER_NONE) return `has cipher ${cipherNumber}`;
  const mac = MACS.get(macNumber);
  if (mac === undefined) return `has MAC ${macNumber}`;
  const start = HEAD_BYTES + realm;
  const end = start + (cipher?.ivBytes ?? 0);
  if (bytes.length < end + mac.bytes) return "is cut off";
  return {
    cipher,
    mac,
    outer: bytes.subarray(0, end),
    iv: bytes.subarray(start, end),
    seal: bytes.subarray(end, end + mac.bytes),
    inner: bytes.subarray(end + mac.bytes),
  };
}

/** True if munged with this key would take it, leaving aside its age. */
export function isMadeWith(credential: Credential, key: Uint8Array): boolean {
  const { mac, outer, seal } = credential;
  const plain = decrypt(credential, key);
  if (plain === null) return false;
  const made = createHmac(mac.name, subkey(key, "2")).update(outer).update(plain).digest();
  return made.length === seal.length && timingSafeEqual(made, seal);
}

function decrypt({ cipher, mac, iv, seal, inner }: Credential, key: Uint8Array): Buffer | null {
  if (cipher === null) return inner;
  const drawn = createHmac(mac.name, subkey(key, "1")).update(seal).digest();
  if (drawn.length < cipher.keyBytes) return null;
  try {
    const opened = createDecipheriv(cipher.name, drawn.subarray(0, cipher.keyBytes), iv);
    return Buffer.concat([opened.update(inner), opened.final()]);
  } catch {
    // Another key leaves no valid padding.
    return null;
  }
}

const subkey = (key: Uint8Array, which: "1" | "2"): Buffer =>
  createHash("sha1").update(key).update(which).digest();
