import type { Tracker } from './tracker.ts';

/**
 * Ends connections whose client has read none of its waiting bytes for `withinMs`. Otherwise a client that does not read could
 * occupy the source of its answer, such as a database connection, indefinitely.
 */
export function boundSlowReaders(tracker: Tracker, withinMs: number): void {
  tracker.onSweep((connection, now) => {
    const { writableLength } = connection.socket;
    if (writableLength === 0 || writableLength !== connection.unread) {
      connection.unread = writableLength;
      connection.unreadSince = now;
    } else if (now - connection.unreadSince > withinMs) {
      connection.socket.destroy();
    }
  });
}
