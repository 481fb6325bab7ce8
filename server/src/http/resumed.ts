/**
 * Continues after a first result that was taken already. Not a generator: one that has not begun takes no notice of `return`, so what
 * `rest` holds would be held for good if the reader left before the first read.
 */
export function resumed<T>(
  first: IteratorResult<T, void>,
  rest: AsyncGenerator<T, void, undefined>,
): AsyncIterableIterator<T, void, undefined> {
  let pending: IteratorResult<T, void> | undefined = first;
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next() {
      const next = pending ? Promise.resolve(pending) : rest.next();
      pending = undefined;
      return next;
    },
    return: () => rest.return(),
  };
}
