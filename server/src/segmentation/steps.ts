/** A decision in steps, none of them long. Between two steps the caller may give others their turn. */
export type Steps<T> = Generator<void, T, void>;

/** Takes all steps at once. */
export function inOneGo<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
