/** Waits that end by the clock. The caller passes it. */

/** Resolves after `ms`. */
export function pause(
  clock: { after(ms: number, work: () => void): unknown },
  ms: number,
): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}

/**
 * What `work` answers, or what `late` gives if it has not after `ms`: then its answer, also a
 * rejection, is dropped. `late` may end the work.
 */
export async function inTime<A, B>(
  clock: { after(ms: number, work: () => void): () => void },
  ms: number,
  work: () => Promise<A>,
  late: () => B,
): Promise<A | B> {
  const { promise, resolve } = Promise.withResolvers<B>();
  const cancel = clock.after(ms, () => resolve(late()));
  try {
    return await Promise.race([work(), promise]);
  } finally {
    cancel();
  }
}
