/** A queue of one: the writer's, whose driver must never have two transactions open. Pure. */

/** Runs works one after another; a failed one does not stop the next. */
export function serial(): <T>(work: () => Promise<T>) => Promise<T> {
  let tail: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = tail.then(work);
    tail = result.catch(() => undefined);
    return result;
  };
}
