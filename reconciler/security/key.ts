/**
 * The rotation numbers of one node's credentials, and which are valid. The answer with a new one
 * may be lost, or its agent may be offline for days or unable to store it; the node must not be
 * locked out by that. So an older one stays valid until a newer one is used, unless a person
 * ordered the rotation, perhaps because of a theft. Pure.
 */
import type { NodeKey } from "../../schema/credential.ts";

/** Of a node without a row. */
export const FIRST_KEY: NodeKey = { number: 0, floor: 0, at: 0, usedAt: null, deadline: null };

/** How long older ones stay valid after a person's rotation; agents report every 30 s. */
export const GRACE_MS = 3_600_000;

/** A credential that was copied from a disk or a log is worthless a day later. */
export const ROTATION_MS = 24 * 3_600_000;

/**
 * Whether the credential with number `shown` is accepted. A number above the stored one has a valid
 * mac, so this fleet issued it before its store was restored from an older backup.
 */
export function acceptsKey(key: NodeKey, shown: number, now: number): boolean {
  if (shown >= key.number) return true;
  if (shown < key.floor) return false;
  return key.deadline === null || now < key.deadline;
}

/** The numbers after an accepted credential was used; `null` = unchanged. */
export function useKey(key: NodeKey, shown: number, now: number): NodeKey | null {
  if (shown > key.number) {
    return { number: shown, floor: shown, at: now, usedAt: now, deadline: null };
  }
  if (shown < key.number) return shown > key.floor ? { ...key, floor: shown } : null;
  // Rotation 0 needs no row, so a fleet of thousands does not begin with a write for each node.
  if (key.number === 0 || key.usedAt !== null) return null;
  return { ...key, floor: shown, usedAt: now, deadline: null };
}

/** The next number. Older ones end after `graceMs`; `null` = when the new one is used. */
export function rotateKey(key: NodeKey, now: number, graceMs: number | null): NodeKey {
  const deadline = graceMs === null ? null : now + graceMs;
  return { number: key.number + 1, floor: key.floor, at: now, usedAt: null, deadline };
}

/** The next number for a machine that joins, which ends all older ones at once. */
export function joinKey(key: NodeKey, now: number): NodeKey {
  const number = key.number + 1;
  return { number, floor: number, at: now, usedAt: null, deadline: null };
}

/** Whether the newest is unused; it is then sent with every reply. */
export function isOffered(key: NodeKey): boolean {
  return key.number > 0 && key.usedAt === null;
}

/**
 * Whether a node's credential is due for rotation. Each node has its own instant of the period, by
 * its name, so that nodes made at once are not rotated at once. The instants do not depend on the
 * process's start, so restarts delay nothing.
 */
export function isDue(node: string, sinceMs: number, now: number, periodMs: number): boolean {
  const offset = spread(node) % periodMs;
  return Math.floor((now - offset) / periodMs) > Math.floor((sinceMs - offset) / periodMs);
}

/** FNV-1a, 32 bit (RFC 9923): cheap, and even enough to spread names over a day. */
function spread(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  }
  return hash;
}
