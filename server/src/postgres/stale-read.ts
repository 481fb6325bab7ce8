/** The data that a transaction was planned on changed before it was locked. Nothing was written; plan again and retry. */
export class StaleRead extends Error {
  override readonly name = 'StaleRead';
}
