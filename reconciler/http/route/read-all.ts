/**
 * Reads a whole request body, within a size and a time.
 *
 * Adapter: timers.
 */

/** First buffer of a body of undeclared length; it doubles as needed. */
const FIRST_BYTES = 4 * 1_024;

export type ReadBody =
  | { kind: "bytes"; bytes: Uint8Array<ArrayBuffer> }
  | { kind: "large" | "late" | "displaced" | "broken" };

/** A body whose place is needed by another one. */
export type Displaced = Promise<"displaced">;

/**
 * Reads a body into one buffer: sent a byte at a time it must not cost a hundred times its size.
 * `late`: it did not arrive within `deadlineMs`; `displaced`: the promise was resolved before.
 */
export async function readAll(
  request: Request,
  bytesMax: number,
  deadlineMs: number,
  displaced: Displaced | null = null,
): Promise<ReadBody> {
  const reader = request.body?.getReader();
  if (reader === undefined) return { kind: "bytes", bytes: new Uint8Array(0) };
  const late = Promise.withResolvers<"late">();
  const timer = setTimeout(() => late.resolve("late"), deadlineMs);
  const ends = displaced === null ? late.promise : Promise.race([late.promise, displaced]);
  let buffer = new Uint8Array(Math.min(bytesMax, FIRST_BYTES));
  let length = 0;
  try {
    for (;;) {
      const next = await Promise.race([reader.read(), ends]);
      if (next === "late" || next === "displaced") return giveUp(reader, next);
      if (next.done) return { kind: "bytes", bytes: buffer.subarray(0, length) };
      const { value } = next;
      const needed = length + value.length;
      if (needed > bytesMax) return giveUp(reader, "large");
      if (needed > buffer.length) {
        const larger = new Uint8Array(Math.min(bytesMax, 2 * needed));
        larger.set(buffer.subarray(0, length));
        buffer = larger;
      }
      buffer.set(value, length);
      length = needed;
    }
  } catch {
    return { kind: "broken" };
  } finally {
    clearTimeout(timer);
  }
}

type Reader = { cancel(): Promise<void> };

function giveUp<K extends "large" | "late" | "displaced">(reader: Reader, kind: K) {
  void reader.cancel().catch(() => undefined);
  return { kind };
}
