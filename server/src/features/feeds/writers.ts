import type { Tx } from '../../postgres/database.ts';
import { selectWriters } from './told.sql.ts';

/**
 * Those who have yet to end before a snapshot shows all that was not recorded. Whoever is writing is asked for after the
 * snapshot was taken, so only a later one shows what they did: undefined until then.
 */
export async function stillWriting(
  tx: Tx,
  writers: readonly string[] | null,
): Promise<{ readonly awaited: readonly string[]; readonly isOver: boolean }> {
  if (writers?.length === 0) return { awaited: writers, isOver: true };
  const writing = await selectWriters(tx);
  return { awaited: writers?.filter((one) => writing.includes(one)) ?? writing, isOver: false };
}
