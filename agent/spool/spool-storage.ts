/**
 * Defines the spool's storage: numbered segments that only grow and are deleted whole. An
 * in-memory storage serves simulations, and replaces the disk when that refuses writes.
 */

export type WriteAnswer = { ok: true } | { ok: false; message: string };

export type SpoolStorage = {
  /** Numbers of existing segments, ascending. */
  list(): number[];
  /** All bytes of a segment; empty if it cannot be read. */
  load(segment: number): Uint8Array;
  /** A part of a segment; shorter or empty if it cannot be read. */
  read(segment: number, at: number, bytes: number): Uint8Array;
  /**
   * Appends to a segment, which it creates if needed. With `durable` the bytes survive a power cut.
   * After a failure the segment may end in a part of the bytes.
   */
  append(segment: number, bytes: Uint8Array, durable: boolean): WriteAnswer;
  remove(segment: number): void;
  close(): void;
};

/** Segments in memory: nothing survives the process. */
export function createMemoryStorage(): SpoolStorage {
  const segments = new Map<number, { bytes: Uint8Array; length: number }>();
  return {
    list: () => [...segments.keys()].sort((a, b) => a - b),
    load: (segment) => {
      const held = segments.get(segment);
      return held ? held.bytes.slice(0, held.length) : new Uint8Array(0);
    },
    read: (segment, at, bytes) => {
      const held = segments.get(segment);
      return held ? held.bytes.slice(at, Math.min(at + bytes, held.length)) : new Uint8Array(0);
    },
    append: (segment, bytes) => {
      const held = segments.get(segment) ?? { bytes: new Uint8Array(4_096), length: 0 };
      const length = held.length + bytes.length;
      if (length > held.bytes.length) {
        const grown = new Uint8Array(Math.max(length, held.bytes.length * 2));
        grown.set(held.bytes.subarray(0, held.length));
        held.bytes = grown;
      }
      held.bytes.set(bytes, held.length);
      held.length = length;
      segments.set(segment, held);
      return { ok: true };
    },
    remove: (segment) => void segments.delete(segment),
    close: () => {},
  };
}
