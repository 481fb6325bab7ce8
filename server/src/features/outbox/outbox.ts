/** The door of the feature: what those who change something tell the feeds, in the transaction that changes it. */
export { type EventKind, type FeedEvent, overrideEvents, recordErasure, takeEvents } from './outbox.sql.ts';
