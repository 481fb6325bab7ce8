import type { Tx } from '../../postgres/database.ts';
import { selectWriters } from './fill.sql.ts';

/**
 * The transactions that must end before a snapshot shows every write that was not recorded as an event. They are listed after
 * the snapshot was taken, so only the snapshot of a later turn shows their writes: `isOver` is false until then.
 */
export async function stillWriting(
  tx: Tx,
  writers: readonly string[] | null,
): Promise<{ readonly awaited: readonly string[]; readonly isOver: boolean }> {
  if (writers?.length === 0) return { awaited: writers, isOver: true };
  const writing = await selectWriters(tx);
  return { awaited: writers?.filter((one) => writing.includes(one)) ?? writing, isOver: false };
}
