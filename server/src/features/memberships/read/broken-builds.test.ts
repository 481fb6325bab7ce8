import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import type { Sql } from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, connect, tokenFor } from '../../../../test/kept-client.ts';
import {
  type Broken,
  broken,
  listenBroken,
  namesOfBroken,
  nextSharing,
  untilWritten,
} from '../../../../test/linearizable-builds.ts';
import { listen, withTwo } from '../../../../test/listen.ts';
import type { Database } from '../../../postgres/database.ts';
import type { Statement } from '../../../postgres/statement.ts';

/** For each way to get coalescing wrong an order of calls and statements in which it shows, whatever the machine does meanwhile. */
const WAYS = ['list by id', 'list by ext:', 'resolve', 'why'] as const;
type Way = (typeof WAYS)[number];
const SLUG = 'READ_AFTER_WRITE';
const PLAIN = { name: 'with lists only', percentage: null };
const DYNAMIC = { name: 'with a dynamic segment', percentage: 0 };

let database: TestDatabase;
let token: string;
let users = 0;
let isDistributed: boolean;

beforeAll(async () => {
  database = await createDatabase();
  const instance = await listen(database.url);
  token = await tokenFor(instance);
  const client = await connect(instance, token);
  await client('POST', '/api/segments', { slug: SLUG });
  client.close();
  isDistributed = instance.db.isDistributed;
  await instance.stop();
});
afterAll(() => database.drop());

const reading = /^memberships-(lists|subjects|states|pairs)/;
const writing = /^overrides-/;

/** Stops the next statement with such a name, before it is sent or with its answer, until it may go on. */
function stopNext(db: Database, name: RegExp, when: 'unsent' | 'answered') {
  const [stopped, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const [query, rows, write] = [db.query.bind(db), db.rows.bind(db), db.write.bind(db)];
  const passing = async <T>(statement: Sql | Statement, run: () => Promise<T>): Promise<T> => {
    if (!name.test(('name' in statement && statement.name) || '')) return run();
    Object.assign(db, { query, rows, write });
    const answer = when === 'answered' ? await run() : undefined;
    stopped.resolve();
    await released.promise;
    return answer ?? run();
  };
  db.query = <Row extends object>(statement: Sql | Statement) => passing(statement, () => query<Row>(statement));
  db.write = <Row extends object>(statement: Sql | Statement) => passing(statement, () => write<Row>(statement));
  db.rows = <Row extends unknown[]>(statement: Sql | Statement) => passing(statement, () => rows<Row>(statement));
  return { stopped: stopped.promise, goOn: released.resolve };
}

interface Stage {
  /** The instance that is read. */
  readonly reader: Database;
  readonly writer: Database;
  /** Reads the user on one of two connections. Returns whether they are in the segment. */
  readonly isIn: (connection: 0 | 1) => Promise<boolean>;
  readonly add: () => Promise<void>;
}

/** Each returns whether a read that was sent when the change had been acknowledged shows it. */
const orders: Record<Broken, (stage: Stage) => Promise<boolean>> = {
  async 'joins a statement in flight'({ reader, isIn, add }) {
    const { stopped, goOn } = stopNext(reader, reading, 'answered');
    const early = isIn(0);
    try {
      await Promise.race([stopped, early]);
      await add();
      const shared = nextSharing();
      const late = isIn(1);
      await Promise.race([shared, late]);
      goOn();
      return await late;
    } finally {
      goOn();
      await early;
    }
  },
  async 'remembers answers'({ isIn, add }) {
    await isIn(0);
    await add();
    return isIn(0);
  },
  async 'acknowledges before the commit'({ writer, isIn, add }) {
    const { stopped, goOn } = stopNext(writer, writing, 'unsent');
    let isAcknowledged = false;
    const added = add().then(() => {
      isAcknowledged = true;
    });
    let seen: boolean | undefined;
    try {
      await stopped;
      // An acknowledgement that does not wait for the statement is here before this answer, which takes a statement.
      await isIn(0);
      if (isAcknowledged) seen = await isIn(0);
    } finally {
      goOn();
      await added;
      // Or the acknowledgement of the next write would wait for this one.
      await untilWritten();
    }
    return seen ?? isIn(0);
  },
};

async function isIn(client: Client, way: Way, user: { id: number; external: string }): Promise<boolean> {
  if (way === 'why') return (await client('GET', `/api/users/${user.id}/segments/${SLUG}`)).member;
  const { segments } =
    way === 'resolve'
      ? (await client('POST', '/api/resolve', { users: [`${user.id}`] })).results[0]
      : await client('GET', `/api/users/${way === 'list by id' ? user.id : `ext:${user.external}`}/segments`);
  return segments.includes(SLUG);
}

/** Ways of reading in which a read missed what had been acknowledged. */
async function staleWays(how: Broken, start: typeof listen, percentage: number | null): Promise<Way[]> {
  return withTwo(start, database.url, async ([reader, writer]) => {
    const clients = [await connect(reader, token), await connect(reader, token)] as const;
    const changes = await connect(writer, token);
    await changes('PATCH', `/api/segments/${SLUG}`, { percentage });
    // With the new definition, or the first read would be repeated.
    await clients[0]('GET', '/api/users/1/segments');
    const stale: Way[] = [];
    for (const way of WAYS) {
      const external = `reader-${++users}`;
      const { id } = await changes('POST', '/api/users', { name: external, external_id: external });
      const seen = await orders[how]({
        reader: reader.db,
        writer: writer.db,
        isIn: (connection) => isIn(clients[connection], way, { id, external }),
        add: () => changes('POST', `/api/users/${id}/segments`, { slug: SLUG }),
      });
      if (!seen) stale.push(way);
    }
    for (const client of [...clients, changes]) client.close();
    return stale;
  });
}

describe.each(namesOfBroken)('a build that %s', (how) => {
  it.for([PLAIN, DYNAMIC])(
    'is found out in every way of reading, and the right one in none, $name',
    async ({ percentage }, { skip }) => {
      skip(
        how === 'acknowledges before the commit' && isDistributed,
        'on Citus a change is a transaction, whose statements cannot be stopped from here',
      );
      expect(await staleWays(how, await listenBroken(broken[how]), percentage)).toEqual(WAYS);
      expect(await staleWays(how, listen, percentage)).toEqual([]);
    },
  );
});
