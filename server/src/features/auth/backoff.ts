/** Failed sign-ins in a row that an account may have before it is blocked for a while. */
export const freeFailures = 5;
const MAX_BLOCK = 15 * 60;

/** Seconds of block after each failure beyond the free ones, doubling; the last one holds for all that follow. */
export const blocks: readonly number[] = (() => {
  const seconds: number[] = [];
  for (let block = 1; block < MAX_BLOCK; block *= 2) seconds.push(block);
  return [...seconds, MAX_BLOCK];
})();

/** Seconds after which failures of an account are forgotten: far more than the longest block, so waiting buys nothing. */
export const accountMemory = 24 * 60 * 60;

/** Failures an address may have within its window. */
export const addressLimit = 30;
export const addressWindow = 15 * 60;

/** Sign-ups an address may ask for within their window. */
export const signUpLimit = 60;
export const signUpWindow = 60;
