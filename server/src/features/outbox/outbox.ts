/** The public interface of the outbox: writers record events for feeds in the transaction that makes the change. */
export {
  type DefinitionDetails,
  type EventKind,
  erasureEvents,
  type FeedEvent,
  hasFeeds,
  overrideEvents,
  recordDefinition,
  recordErasure,
  selectFirstEvents,
  selectWaiting,
  takeDefinitions,
  takeEvents,
  type UserEventsBy,
  userEvents,
} from './outbox.sql.ts';
