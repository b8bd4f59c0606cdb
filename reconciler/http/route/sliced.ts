/**
 * A long answer as a stream of slices. Each is made only when the connection has taken the one
 * before, so memory holds one slice however slow the reader. Other work of the process runs between
 * two slices, so a report waits for one slice and not for the whole page.
 *
 * Adapter: timers.
 */
import { nextTurn } from "../../runtime/turn.ts";

type Slice = string | Uint8Array;

/** A client that has not read the whole body by then is disconnected. */
const READ_MS_MAX = 120_000;

/** The slices are lazy, so the answer to a HEAD costs nothing. */
export function openSliced(
  slices: Iterable<Slice> | AsyncIterable<Slice>,
  readMsMax = READ_MS_MAX,
): ReadableStream {
  let open = true;
  const over = Promise.withResolvers<void>();
  const end = (): void => {
    open = false;
    over.resolve();
  };
  return new ReadableStream({
    type: "direct",
    async pull(controller) {
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        end();
      }, readMsMax);
      try {
        for await (const slice of slices) {
          await nextTurn();
          // The reader is gone; leaving the loop also ends the generator.
          if (!open) break;
          await Promise.race([controller.write(slice), over.promise]);
          await Promise.race([controller.flush(), over.promise]);
        }
      } finally {
        clearTimeout(timer);
      }
      // A truncated body must not look complete.
      if (late) controller.close(new Error(`not read within ${readMsMax} ms`));
      else if (open) controller.close();
    },
    cancel: end,
  });
}
