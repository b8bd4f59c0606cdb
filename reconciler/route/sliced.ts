/**
 * A long answer as a stream of slices, each made only when the connection has taken the one before:
 * memory holds one slice however long the answer or slow the reader. Between two the process sees
 * to everything else that waits, so that a report waits for one slice and not for the whole page.
 *
 * Adapter: the event loop's turn (`setImmediate`).
 */
const encoder = new TextEncoder();

/** Nothing is made before somebody reads, so the answer to a HEAD costs nothing. */
export function openSliced(
  slices: Iterable<string> | AsyncIterable<string>,
): ReadableStream<Uint8Array> {
  const iterator = iterate(slices);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        for (;;) {
          await nextTurn();
          const { value, done } = await iterator.next();
          if (done === true) return controller.close();
          if (value === "") continue;
          return controller.enqueue(encoder.encode(value));
        }
      },
      async cancel() {
        await iterator.return?.(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

async function* iterate(slices: Iterable<string> | AsyncIterable<string>): AsyncGenerator<string> {
  yield* slices;
}

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
