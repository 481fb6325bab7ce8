import type { Tracker } from './tracker.ts';

/**
 * Ends connections whose client has read nothing of what waits for it for `withinMs`. A client that does not read would
 * otherwise keep what its answer is drawn from, a connection to the database for instance, for as long as it likes.
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
