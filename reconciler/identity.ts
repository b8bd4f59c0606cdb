/**
 * What makes this fleet itself, kept beside the store and not in it: the id that marks what it owns
 * at a cloud, the secret from which node credentials are derived, and the first admin's token.
 * Losing the database loses history; losing this folder loses the claim.
 *
 * Adapter: files.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

export type Identity = { fleetId: string; secret: string };

/** Writes a whole file, mode 0600, so that a crash leaves the old one or the new one. */
function writeWhole(path: string, text: string): void {
  const partial = `${path}.new`;
  const file = openSync(partial, "w", 0o600);
  writeSync(file, text);
  fsyncSync(file);
  closeSync(file);
  renameSync(partial, path);
}

/**
 * `random(bytes)` gives random bytes. The fleet id is short because it is part of instance names.
 */
export function openIdentity(state: string, random: (bytes: number) => Uint8Array): Identity {
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const path = join(state, "identity.json");
  if (existsSync(path)) {
    const read: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof read === "object" && read !== null && "fleetId" in read && "secret" in read) {
      return { fleetId: String(read.fleetId), secret: String(read.secret) };
    }
    throw new Error(`${path}: expected fleetId and secret`);
  }
  const letters = "abcdefghijkmnpqrstuvwxyz";
  const fleetId = [...random(6)].map((byte) => letters[byte % letters.length]).join("");
  const identity = { fleetId, secret: Buffer.from(random(32)).toString("base64url") };
  writeWhole(path, `${JSON.stringify(identity)}\n`);
  return identity;
}

/** The first admin's token: made on first start, read on every later one. Returns its path too. */
export function openAdminToken(
  state: string,
  random: (bytes: number) => Uint8Array,
): { path: string; token: string; fresh: boolean } {
  const path = join(state, "admin.token");
  if (existsSync(path)) return { path, token: readFileSync(path, "utf8").trim(), fresh: false };
  const token = `nva.${Buffer.from(random(32)).toString("base64url")}`;
  writeWhole(path, `${token}\n`);
  return { path, token, fresh: true };
}
