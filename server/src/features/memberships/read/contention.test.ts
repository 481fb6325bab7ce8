import { setTimeout as sleep } from 'node:timers/promises';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import type { Sql } from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectFold } from '../../../../test/fold.ts';
import { type Client, connect, tokenFor } from '../../../../test/kept-client.ts';
import { createRegister, type Register } from '../../../../test/linearizable-register.ts';
import { type Listening, listen, withTwo } from '../../../../test/listen.ts';
import type { Database } from '../../../postgres/database.ts';
import type { Statement } from '../../../postgres/statement.ts';

/**
 * Few users, each with one writer and many readers who never pause, on two instances. The memberships of a user count in
 * Gray code: each write changes one pair, and a list shows which of the last sixteen writes it saw.
 */
const DIGITS = ['DIGIT_0', 'DIGIT_1', 'DIGIT_2', 'DIGIT_3'];
const USERS = 2;
const READERS = 16;
const WAYS = ['list by id', 'list by ext:', 'resolve', 'why'] as const;
type Way = (typeof WAYS)[number];
type Tally = Record<Way, number>;

const PLAIN = { name: 'with lists only', percentage: null, statement: 'memberships-lists' };
const DYNAMIC = { name: 'with a dynamic segment', percentage: 0, statement: 'memberships-subjects' };

const codeOf = (version: number): number => (version % 16) ^ ((version % 16) >> 1);
const codeIn = (slugs: readonly string[]): number =>
  DIGITS.reduce((code, slug, digit) => code | (slugs.includes(slug) ? 1 << digit : 0), 0);
/** Which digit a version changed, and what to. */
function changeOf(version: number): { digit: number; isSet: boolean } {
  const digit = Math.log2(codeOf(version) ^ codeOf(version + 15));
  return { digit, isSet: ((codeOf(version) >> digit) & 1) === 1 };
}
const none = (): Tally => ({ 'list by id': 0, 'list by ext:': 0, resolve: 0, why: 0 });

let database: TestDatabase;
let people = 0;

beforeAll(async () => {
  database = await createDatabase();
  const instance = await listen(database.url);
  const client = await connect(instance);
  for (const slug of DIGITS) await client('POST', '/api/segments', { slug });
  client.close();
  await instance.stop();
});
afterAll(() => database.drop());

/**
 * Makes the window in which a build could go wrong wide enough to be hit: often a write takes a while to begin, or the answer
 * of a read, taken already, a while to come. On Citus it takes a write longer to be acknowledged once it can be seen, so the
 * answers of reads have to take longer, too. Counts the statements by name.
 */
function slowDown(db: Database, counts: Map<string, number>): void {
  const [query, rows, write] = [db.query.bind(db), db.rows.bind(db), db.write.bind(db)];
  const readLingerMs = db.isDistributed ? 200 : 30;
  const linger = (most: number) => (Math.random() < 0.5 ? undefined : sleep(Math.random() * most));
  const slowly = async <T>(statement: Sql | Statement, run: () => Promise<T>): Promise<T> => {
    const name = ('name' in statement && statement.name) || '';
    counts.set(name, (counts.get(name) ?? 0) + 1);
    if (name.startsWith('overrides-')) await linger(10);
    const found = await run();
    if (name.startsWith('memberships-')) await linger(readLingerMs);
    return found;
  };
  db.query = <Row extends object>(statement: Sql | Statement) => slowly(statement, () => query<Row>(statement));
  db.write = <Row extends object>(statement: Sql | Statement) => slowly(statement, () => write<Row>(statement));
  db.rows = <Row extends unknown[]>(statement: Sql | Statement) => slowly(statement, () => rows<Row>(statement));
}

interface Seen {
  readonly reads: Readonly<Tally>;
  readonly stale: Readonly<Tally>;
  /** Of each user. */
  readonly writes: readonly number[];
}

interface Contention {
  readonly percentage: number | null;
  /** Work, not time: on a busy machine there is as much to find as on an idle one. */
  readonly until: (seen: Seen) => boolean;
}

interface Contender {
  readonly id: string;
  readonly external: string;
  readonly register: Register;
}

interface Contest {
  readonly reads: Tally;
  readonly stale: Tally;
  readonly isOver: () => boolean;
}

type Clients = readonly [Client, Client];

async function createContenders(instance: Listening, token: string, percentage: number | null): Promise<Contender[]> {
  const setup = await connect(instance, token);
  // The digit that every other write changes.
  await setup('PATCH', '/api/segments/DIGIT_0', { percentage });
  const contenders = await Promise.all(
    Array.from({ length: USERS }, async () => {
      const external = `contended-${++people}`;
      const client = await connect(instance, token);
      const { id } = await client('POST', '/api/users', { name: external, external_id: external });
      client.close();
      return { id: `${id}`, external: `ext:${external}`, register: createRegister() };
    }),
  );
  setup.close();
  return contenders;
}

async function write({ id, external, register }: Contender, clients: Clients, { isOver }: Contest): Promise<void> {
  while (!isOver()) {
    const version = register.begin();
    const { digit, isSet } = changeOf(version);
    const client = clients[version % 2 === 0 ? 0 : 1];
    const path = `/api/users/${version % 3 === 0 ? external : id}`;
    await (isSet
      ? client('POST', `${path}/segments`, { slug: DIGITS[digit] })
      : client('DELETE', `${path}/${DIGITS[digit]}`));
    register.acknowledge();
  }
}

/** What the answer says of a version: whether it may be the one that was seen. */
async function ask(way: Way, { id, external }: Contender, client: Client, latest: number) {
  if (way === 'why') {
    // The digit of the write acknowledged last: the one under way leaves it as it is.
    const { digit } = changeOf(latest + 15);
    // By chance: what is asked after a write has to be able to join what was asked before it.
    const user = Math.random() < 0.5 ? id : external;
    const { member } = await client('GET', `/api/users/${user}/segments/${DIGITS[digit]}`);
    return (version: number) => ((codeOf(version) >> digit) & 1) === (member ? 1 : 0);
  }
  if (way === 'resolve') {
    const { results } = await client('POST', '/api/resolve', { users: [id, external] });
    const [one, other] = results.map(({ segments }: { segments: string[] }) => codeIn(segments));
    return (version: number) => codeOf(version) === one && codeOf(version) === other;
  }
  const { segments } = await client('GET', `/api/users/${way === 'list by id' ? id : external}/segments`);
  return (version: number) => codeOf(version) === codeIn(segments);
}

async function read(user: Contender, clients: Clients, first: number, contest: Contest): Promise<void> {
  for (let turn = first; !contest.isOver(); turn++) {
    const way = WAYS[turn % WAYS.length] ?? 'why';
    // At random: readers that alternate fall into step and hardly meet.
    const client = clients[Math.random() < 0.5 ? 0 : 1];
    const judge = user.register.read();
    const mayBe = await ask(way, user, client, user.register.latest());
    contest.reads[way]++;
    if (!judge(mayBe)) contest.stale[way]++;
  }
}

async function contend(instances: readonly [Listening, Listening], { percentage, until }: Contention) {
  const token = await tokenFor(instances[0]);
  const counts = new Map<string, number>();
  const users = await createContenders(instances[0], token, percentage);
  for (const { db } of instances) slowDown(db, counts);
  const [reads, stale] = [none(), none()];
  const writesOf = () => users.map(({ register }) => register.latest());
  const contest: Contest = { reads, stale, isOver: () => until({ reads, stale, writes: writesOf() }) };
  const all: Client[] = [];
  const both = async (): Promise<Clients> => {
    const pair = [await connect(instances[0], token), await connect(instances[1], token)] as const;
    all.push(...pair);
    return pair;
  };
  await Promise.all(
    users.flatMap((user) => [
      both().then((clients) => write(user, clients, contest)),
      ...Array.from({ length: READERS }, (_, i) => both().then((clients) => read(user, clients, i, contest))),
    ]),
  );
  for (const client of all) client.close();
  return { reads, stale, counts, writes: writesOf() };
}

describe('under contention', () => {
  it.each([PLAIN, DYNAMIC])('no read shows less than was acknowledged before it, $name', async (kind) => {
    await withTwo(listen, database.url, async (instances) => {
      const { stale, counts } = await contend(instances, {
        ...kind,
        until: ({ reads, writes }) => Math.min(...writes) >= 20 && Math.min(...Object.values(reads)) >= 80,
      });
      expect(stale).toEqual(none());
      // That the statement in question is the one that was tried.
      const [lists = 0, subjects = 0] = [PLAIN, DYNAMIC].map(
        ({ statement }) => (counts.get(statement) ?? 0) + (counts.get(`${statement}-workers`) ?? 0),
      );
      expect(lists > subjects).toBe(kind === PLAIN);
      await expectFold(instances[0].db);
    });
  });
});
