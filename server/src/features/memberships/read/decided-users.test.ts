import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { patientConnections } from '../../../../test/config.ts';
import { plainList } from '../../../../test/definitions.ts';
import { startService } from '../../../../test/service.ts';
import { mostInOneTurn, work } from '../../../../test/turns.ts';
import { Database } from '../../../postgres/database.ts';
import { compileDefinition } from '../../../segmentation/definition.ts';
import { definitionsOf } from '../../../segmentation/definitions.ts';
import { createDefinitionCache } from '../../segments/definitions.ts';
import { decidedSets, draftId } from './decided-users.ts';
import { segmentsContext, segmentsOf } from './segments-of-user.ts';

/** As many as are decided at a time, the admin included. */
const users = 1_000;
let database: TestDatabase;
let db: Database;

beforeAll(async () => {
  database = await createDatabase();
  await (await startService({ database: database.url })).stop();
  db = new Database({ ...patientConnections, maxConnections: 2, statementTimeout: 10_000, onError: () => undefined });
  await db.start(database.url);
  await db.write(sql`
    INSERT INTO users (attributes)
    SELECT jsonb_build_object('k', (SELECT jsonb_agg(1000000 + n) FROM generate_series(1, 1600) n))
    FROM generate_series(2, ${users})`);
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

/** Decides about all users by a condition that takes this long for each. */
async function decideAbout(milliseconds: number, onDecision: () => void = () => undefined): Promise<void> {
  const definition = {
    ...compileDefinition({ ...plainList, id: draftId, condition: { k: { $regex: '^(a|b){100}c$' } } }),
    evaluate: () => {
      onDecision();
      work(milliseconds);
      return true;
    },
  };
  let decided = 0;
  const moment = { now: Date.now(), until: Number.POSITIVE_INFINITY };
  for await (const batch of decidedSets(db, definitionsOf(1, []), [definition], moment)) decided += batch.length;
  expect(decided).toBe(users);
}

it('large attributes are parsed over several turns', async () => {
  const parse = JSON.parse;
  const most = await mostInOneTurn(async (count) => {
    const spy = vi.spyOn(JSON, 'parse').mockImplementation((text, reviver) => {
      count();
      // At least as long as on a slow machine: a fast one would parse half of them in a turn.
      work(0.05);
      return parse(text, reviver);
    });
    await decideAbout(0).finally(() => spy.mockRestore());
  });
  expect(most).toBeLessThan(users / 2);
});

it('users whose decision takes one long step each are decided over several turns', async () => {
  expect(await mostInOneTurn((count) => decideAbout(0.1, count))).toBeLessThan(users / 2);
});

it('a statement that brings users who take one step each is answered over several turns', async () => {
  const ids = await db.query<{ id: number }>(sql`SELECT u.id FROM users u`);
  const [{ revision } = { revision: -1 }] = await db.query<{ revision: number }>(
    sql`SELECT d.revision FROM definitions d`,
  );
  const most = await mostInOneTurn(async (count) => {
    const evaluate = () => {
      count();
      work(0.05);
      return true;
    };
    const definition = { ...compileDefinition({ ...plainList, id: 1, condition: { k: 1 } }), nodes: 0, evaluate };
    const cache = createDefinitionCache(db);
    cache.current = definitionsOf(revision, [definition]);
    const bodies = await segmentsOf(
      segmentsContext({ db, definitions: cache }),
      ids.map(({ id }) => ({ id })),
    );
    expect(new Set(bodies)).toEqual(new Set([`{"segments":["${plainList.slug}"]}`]));
  });
  expect(most).toBeLessThan(users / 2);
});
