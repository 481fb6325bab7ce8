import type { Cursors } from '../../paging/cursors.ts';
import type { Database } from '../../postgres/database.ts';
import type { DefinitionCache } from '../segments/segments.ts';
import { Deriver } from './deriver.ts';
import { selectDatabaseName } from './feeds.sql.ts';
import { markOf } from './positions.ts';
import { Tail } from './tail.ts';

/** The dependencies of feeds, one per process. */
export interface FeedsContext {
  readonly db: Database;
  readonly cursors: Cursors;
  readonly deriver: Deriver;
  /** Wakes calls that wait for changes. */
  readonly tail: Tail;
  /** Identifies the database in cursors. */
  readonly mark: () => Promise<Buffer>;
  readonly limits: FeedLimits;
}

/** The most that may exist. */
export interface FeedLimits {
  readonly feeds: number;
  readonly feedsOfOneCaller: number;
  /** Segments followed by all feeds; one that two feeds follow counts twice. */
  readonly follows: number;
}

const usualLimits: FeedLimits = { feeds: 1_000, feedsOfOneCaller: 250, follows: 20_000 };

export function feedsContext(
  db: Database,
  cursors: Cursors,
  definitions: DefinitionCache,
  onError: (error: unknown, what: string) => void,
  limits = usualLimits,
): FeedsContext {
  const tail = new Tail({ db, onError });
  const deriver = new Deriver({ db, definitions, onError, onPublished: () => tail.wake() });
  let mark: Buffer | undefined;
  return {
    db,
    cursors,
    deriver,
    tail,
    limits,
    mark: async () => {
      mark ??= markOf(await selectDatabaseName(db));
      return mark;
    },
  };
}
