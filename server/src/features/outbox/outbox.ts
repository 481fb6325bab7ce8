/** The door of the feature: what those who change something tell the feeds, in the transaction that changes it. */
export {
  type DefinitionDetails,
  type EventKind,
  erasureEvents,
  type FeedEvent,
  hasFeeds,
  overrideEvents,
  recordDefinition,
  recordErasure,
  selectWaiting,
  takeEvents,
  type UserEventsBy,
  userEvents,
} from './outbox.sql.ts';
