/**
 * The revision of the definitions that a statement saw. Each worker of a distributed database sees its own: while a change is on
 * its way to them, the rows of one statement may be of two.
 */
export type SeenRevision = number | 'mixed';

/** Of the rows of one statement; undefined where there are none. */
export function revisionOf(revisions: readonly number[]): SeenRevision | undefined {
  const [first] = revisions;
  return revisions.every((revision) => revision === first) ? first : 'mixed';
}
