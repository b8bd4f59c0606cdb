/**
 * A long answer as a stream of slices, each made only when the connection has taken the one before:
 * memory holds one slice however long the answer or slow the reader. Between two the process sees
 * to everything else that waits, so that a report waits for one slice and not for the whole page.
 *
 * Adapter: the event loop's turn (`setImmediate`).
 */
type Slice = string | Uint8Array;

/** Nothing is made before somebody reads, so the answer to a HEAD costs nothing. */
export function openSliced(slices: Iterable<Slice> | AsyncIterable<Slice>): ReadableStream {
  let open = true;
  return new ReadableStream({
    type: "direct",
    async pull(controller) {
      for await (const slice of slices) {
        await nextTurn();
        // The reader is gone; leaving the loop ends the maker of slices too.
        if (!open) return;
        await controller.write(slice);
        await controller.flush();
      }
      controller.close();
    },
    cancel() {
      open = false;
    },
  });
}

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
