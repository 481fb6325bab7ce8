/** What a transaction was planned on has changed before it could be locked. None of it has happened; plan again and retry. */
export class StaleRead extends Error {
  override readonly name = 'StaleRead';
}
