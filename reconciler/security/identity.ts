/**
 * What identifies this fleet: the id that marks what it owns at a cloud, the secret from which node
 * credentials are derived, and the first admin's token. It lies beside an embedded database, so
 * losing that loses history and not ownership. Replicas of a database server share a row that the
 * first of them writes; a reader of it, or of the folder, can speak for every node.
 *
 * Adapter: files.
 */
import { createHmac } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

export type Identity = { fleetId: string; secret: string };

/** Writes a whole file, mode 0600; a crash leaves the old one or the new one. */
export function writeWhole(path: string, text: string): void {
  const partial = `${path}.new`;
  rmSync(partial, { force: true });
  const file = openSync(partial, "wx", 0o600);
  writeSync(file, text);
  fsyncSync(file);
  closeSync(file);
  renameSync(partial, path);
}

/** `random(bytes)` gives random bytes. The fleet id is short, because instance names contain it. */
export function openIdentity(state: string, random: (bytes: number) => Uint8Array): Identity {
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const own = readIdentity(state);
  if (own !== null) return own;
  const identity = newIdentity(random);
  writeIdentity(state, identity);
  return identity;
}

/**
 * The identity that all replicas of one database share. `first` stores the first value given. A
 * folder's own identity is offered first, so a fleet that moves to a server keeps its instances.
 */
export async function openSharedIdentity(
  state: string,
  random: (bytes: number) => Uint8Array,
  first: (key: string, value: string) => Promise<string>,
): Promise<Identity> {
  const offered = JSON.stringify(readIdentity(state) ?? newIdentity(random));
  return parseIdentity(await first("identity", offered), "meta.identity");
}

/** The identity beside an embedded database; `null` in a new folder. */
export function readIdentity(state: string): Identity | null {
  const path = join(state, "identity.json");
  return existsSync(path) ? parseIdentity(readFileSync(path, "utf8"), path) : null;
}

/** `where` names the document in the error. */
export function parseIdentity(text: string, where: string): Identity {
  const read: unknown = JSON.parse(text);
  if (typeof read === "object" && read !== null && "fleetId" in read && "secret" in read) {
    return { fleetId: String(read.fleetId), secret: String(read.secret) };
  }
  throw new Error(`${where}: expected fleetId and secret`);
}

export function writeIdentity(state: string, identity: Identity): void {
  writeWhole(join(state, "identity.json"), `${JSON.stringify(identity)}\n`);
}

function newIdentity(random: (bytes: number) => Uint8Array): Identity {
  const letters = "abcdefghijkmnpqrstuvwxyz";
  const fleetId = [...random(6)].map((byte) => letters[byte % letters.length]).join("");
  return { fleetId, secret: Buffer.from(random(32)).toString("base64url") };
}

/** The first admin's token and its path: made on first start, read later. */
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

/** The first admin's token, the same on every replica: derived from the shared secret. */
export function openSharedAdminToken(
  state: string,
  secret: string,
): { path: string; token: string; fresh: boolean } {
  const path = join(state, "admin.token");
  const token = `nva.${createHmac("sha256", secret).update("admin").digest("base64url")}`;
  const fresh = !existsSync(path) || readFileSync(path, "utf8").trim() !== token;
  if (fresh) writeWhole(path, `${token}\n`);
  return { path, token, fresh };
}
