/** The public interface of the feature, for other features. */

export { momentSql, selectMoment } from './moment.sql.ts';
export { readStanding } from './read/explain.sql.ts';
export { type Asker, modesOf, type SeenUser, type StateOfUser } from './read/explain.ts';
export { answerTooLarge, largeEntries, maxAnswerBytes } from './read/large-answers.ts';
export { isIn, type MemberSql, memberSql, noMembers, ownOverride } from './read/member-rule.sql.ts';
export { countOf, countOfMembers, eachLetIn, eachMember, type Member } from './read/members-of-segment.ts';
export { inOneMoment } from './read/one-moment.ts';
export type { PairOf, SeenPair } from './read/pair.ts';
export type { ConsistentReader, ReadContext, Reader } from './read/with-definitions.ts';
export { stands } from './stands.sql.ts';
export { completeHistory, sweepExpired, sweepSome } from './write/expiry.ts';
export {
  addPlanned,
  type BulkChange,
  type Changed,
  removeExpiredOfSegment,
  removeLapsed,
  removePlanned,
  removeUnplanned,
  updatePlanned,
} from './write/planned.sql.ts';
export { followExpiries, isOutrun } from './write/planned-order.sql.ts';
export { previewPlanned } from './write/preview-planned.sql.ts';
export { purgeSmallSegment } from './write/purge.ts';
export { keepChangesAway } from './write/turns-on-workers.sql.ts';
