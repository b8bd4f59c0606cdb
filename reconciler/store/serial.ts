/** Runs one task at a time: the store's driver must never have two transactions open. Pure. */

/** Runs each `work` after the one before; a failed one does not stop the next. */
export function serial(): <T>(work: () => Promise<T>) => Promise<T> {
  let tail: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = tail.then(work);
    tail = result.catch(() => undefined);
    return result;
  };
}
