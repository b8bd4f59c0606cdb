/**
 * The numbers of one node's credentials, and which of them count. Three things may go wrong between
 * making a new one and its use: the answer that carries it is lost, its agent is cut off for days,
 * or its agent cannot store it. In none of them may a node lose its voice, so an older one lives
 * until a newer one was shown — unless a person asked for the change, who may have a thief in mind.
 * Pure.
 */
import type { NodeKey } from "../../../schema/credential.ts";

/** Of a node without a row: the first is valid, and needs none. */
export const FIRST_KEY: NodeKey = { number: 0, floor: 0, at: 0, usedAt: null, deadline: null };

/** How long an older one lives after a person asked for a new one: agents report each 30 s. */
export const GRACE_MS = 3_600_000;

/** Once a day: what was copied from a disk or a log is worth nothing the day after. */
export const ROTATION_MS = 24 * 3_600_000;

/**
 * Whether the credential with number `shown` is accepted. A higher one than we know was made by us,
 * for its mac is right: the store was put back to an older backup.
 */
export function acceptsKey(key: NodeKey, shown: number, now: number): boolean {
  if (shown >= key.number) return true;
  if (shown < key.floor) return false;
  return key.deadline === null || now < key.deadline;
}

/** What becomes of the numbers when an accepted credential was shown; `null` = nothing new. */
export function useKey(key: NodeKey, shown: number, now: number): NodeKey | null {
  if (shown > key.number) {
    return { number: shown, floor: shown, at: now, usedAt: now, deadline: null };
  }
  if (shown < key.number) return shown > key.floor ? { ...key, floor: shown } : null;
  // The first needs no row, so that a fleet of thousands does not begin with a write for each.
  if (key.number === 0 || key.usedAt !== null) return null;
  return { ...key, floor: shown, usedAt: now, deadline: null };
}

/** One more. `graceMs` bounds the life of the older ones; `null` = until the new one was shown. */
export function rotateKey(key: NodeKey, now: number, graceMs: number | null): NodeKey {
  const deadline = graceMs === null ? null : now + graceMs;
  return { number: key.number + 1, floor: key.floor, at: now, usedAt: null, deadline };
}

/** One more for a machine that joins: nothing that was given before counts any longer. */
export function joinKey(key: NodeKey, now: number): NodeKey {
  const number = key.number + 1;
  return { number, floor: number, at: now, usedAt: null, deadline: null };
}

/** True while the newest was made and never shown: it goes with every reply until it is. */
export function isOffered(key: NodeKey): boolean {
  return key.number > 0 && key.usedAt === null;
}

/**
 * Whether a node's credential is due for its turn. Each node has its own instant of the period, by
 * its name, so that a fleet that was made at once is not rotated at once; the instants do not
 * depend on when this process began, so restarts put off nothing.
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
