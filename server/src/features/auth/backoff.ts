/** Failed sign-ins in a row before an account is blocked for a while. */
export const freeFailures = 5;
const maxBlockSeconds = 15 * 60;

/** Seconds that an account is blocked for after each failure beyond the free ones. The last one applies to all further failures. */
export const blocks: readonly number[] = (() => {
  const seconds: number[] = [];
  for (let block = 1; block < maxBlockSeconds; block *= 2) seconds.push(block);
  return [...seconds, maxBlockSeconds];
})();

/** Seconds after which an account's failures are forgotten: far longer than the longest block, so waiting gains nothing. */
export const accountMemorySeconds = 24 * 60 * 60;

/** Failures allowed per address and window. */
export const addressLimit = 30;
export const addressWindowSeconds = 15 * 60;

/** Sign-ups allowed per address and window. */
export const signUpLimit = 60;
export const signUpWindowSeconds = 60;
