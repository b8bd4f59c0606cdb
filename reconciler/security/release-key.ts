/**
 * The Ed25519 key that signs the releases and orders of this control plane. A signature proves that
 * the control plane chose these files, not who wrote them. A machine takes the public half from the
 * installer, or compares its fingerprint with the one that a person gives it. Made on first start.
 *
 * A rotation keeps old keys in `release-key.previous.pem` (PEM blocks, newest first). Each vouches
 * for the new one, so agents that know an old one follow; others must be enrolled again.
 *
 * Adapter: files.
 */
import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type ShownKey, vouchText } from "../../schema/order.ts";
import { writeWhole } from "./identity.ts";

export type ReleaseKey = {
  /** Public half: SPKI, base64, one line. */
  publicBase64: string;
  publicPem: string;
  /** `sha256:` and the hex SHA-256 of the SPKI's bytes; what `--key-fingerprint` takes. */
  fingerprint: string;
  /** What agents receive: this key, and older ones that vouch for it. */
  shown: ShownKey;
  /** 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array<ArrayBuffer>;
};

/** Bytes of a seed, and the header of PKCS #8 before it (RFC 8410 §7). */
const SEED_BYTES = 32;
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

/**
 * Reads the key at `path` (PKCS #8, PEM), or creates it from `seed()` (32 bytes), mode 0600.
 * Replicas of a database give the same seed, so they sign with the same key. Throws an error that
 * names the file if it holds anything else.
 */
export function openReleaseKey(
  path: string,
  seed: () => Uint8Array,
): { key: ReleaseKey; fresh: boolean } {
  const fresh = !existsSync(path);
  if (fresh) writeWhole(path, pemOf(seed()));
  const key = readKey(readFileSync(path, "utf8"), path);
  const shown = { key: key.publicBase64, vouched: vouchesFor(key, previousPath(path)) };
  return { key: { ...key, shown }, fresh };
}

export const PREVIOUS_KEYS = "release-key.previous.pem";
const previousPath = (path: string): string => join(dirname(path), PREVIOUS_KEYS);
/** An agent reads no more of them than this. */
const VOUCHES_MAX = 4;

/** Throws if an older key cannot be read. */
function vouchesFor(key: SigningKey, path: string): NonNullable<ShownKey["vouched"]> {
  if (!existsSync(path)) return [];
  const pems = readFileSync(path, "utf8");
  const blocks = pems.match(/-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----/g) ?? [];
  if (blocks.length === 0) throw new Error(`${path}: expected private keys in PEM form`);
  const text = Buffer.from(vouchText(key.fingerprint));
  return blocks.slice(0, VOUCHES_MAX).map((pem) => {
    const old = readKey(`${pem}\n`, path);
    return { by: old.publicBase64, value: Buffer.from(old.sign(text)).toString("base64") };
  });
}

type SigningKey = Omit<ReleaseKey, "shown">;

function pemOf(seed: Uint8Array): string {
  if (seed.length !== SEED_BYTES) throw new Error(`a seed has ${SEED_BYTES} bytes`);
  const der = Buffer.concat([PKCS8_HEAD, seed]).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`;
}

function readKey(pem: string, path: string): SigningKey {
  let secret: ReturnType<typeof createPrivateKey>;
  try {
    secret = createPrivateKey(pem);
  } catch {
    // The parser's message may repeat the file.
    throw new Error(`${path}: expected a private key in PEM form`);
  }
  if (secret.asymmetricKeyType !== "ed25519") {
    throw new Error(`${path}: expected an Ed25519 key, found ${secret.asymmetricKeyType}`);
  }
  const spki = createPublicKey(secret).export({ type: "spki", format: "der" });
  const publicBase64 = spki.toString("base64");
  return {
    publicBase64,
    publicPem: `-----BEGIN PUBLIC KEY-----\n${publicBase64}\n-----END PUBLIC KEY-----\n`,
    fingerprint: `sha256:${createHash("sha256").update(spki).digest("hex")}`,
    sign: (bytes) => new Uint8Array(sign(null, bytes, secret)),
  };
}
