import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { patientConnections } from '../../../../test/config.ts';
import { plainList } from '../../../../test/definitions.ts';
import { startService } from '../../../../test/service.ts';
import { Database } from '../../../postgres/database.ts';
import { compileDefinition, definitionsOf } from '../../../segmentation/definition.ts';
import { decidedSets, draftId } from './decided-users.ts';

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

/** Keeps the processor for this long. */
function work(milliseconds: number): void {
  for (const until = performance.now() + milliseconds; performance.now() < until; );
}

/** The most that is counted in one turn of the event loop while `during` is under way. */
async function mostInOneTurn(during: (count: () => void) => Promise<void>): Promise<number> {
  let [inTurn, most, isOver] = [0, 0, false];
  const nextTurn = () => {
    inTurn = 0;
    if (!isOver) setImmediate(nextTurn);
  };
  nextTurn();
  await during(() => {
    inTurn += 1;
    most = Math.max(most, inTurn);
  });
  isOver = true;
  return most;
}

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
