import fc from 'fast-check';
import type { Client } from 'pg';
import sql from 'sql-template-tag';
import { compileCondition } from '../../src/segmentation/conditions/evaluate.ts';
import { Evaluation } from '../../src/segmentation/conditions/evaluation.ts';
import type { Json, JsonObject } from '../../src/segmentation/conditions/json.ts';
import { parseStoredCondition } from '../../src/segmentation/conditions/parse.ts';
import { conditionSql, filterSql, type SqlContext } from '../../src/segmentation/conditions/sql/compile.ts';
import { attributes, type Choice, condition, EVERYTHING, SMALL } from './random.ts';
import { NOW } from './tables.ts';

/** What was compared: pairs of a condition and a user, and conditions that SQL left to the stream. */
export interface Compared {
  pairs: number;
  matches: number;
  streamed: number;
}

interface User {
  readonly attributes: JsonObject;
  /** A bit for each segment the user is in. */
  readonly segments: number;
}

/**
 * Draws random conditions and users and demands the same answers from `compileCondition` and, on a real PostgreSQL,
 * from `conditionSql`. Fails with the seed and the smallest counterexample.
 */
export async function assertAgreement(
  client: Client,
  runs: number,
  usersEach: number,
  seed?: number,
): Promise<Compared> {
  const compared: Compared = { pairs: 0, matches: 0, streamed: 0 };
  const cases = fc.oneof(...[EVERYTHING, SMALL].map((choice) => caseOf(choice, usersEach)));
  await fc.assert(
    fc.asyncProperty(cases, async ([stored, found]) => {
      const expected = inProcess(stored, found);
      const answers = await inSql(client, stored, found);
      if (answers === undefined) {
        compared.streamed += 1;
        return;
      }
      for (const [index, answer] of answers.entries()) {
        if (answer === expected[index]) continue;
        const wrong = JSON.stringify({ condition: stored, user: found[index], sql: answer, process: expected[index] });
        throw new Error(`the back ends disagree: ${wrong}`);
      }
      compared.pairs += answers.length;
      compared.matches += expected.filter(Boolean).length;
    }),
    { numRuns: runs, ...(seed === undefined ? {} : { seed }) },
  );
  return compared;
}

function caseOf(choice: Choice, usersEach: number): fc.Arbitrary<[JsonObject, User[]]> {
  const user = fc.record({ attributes: attributes(choice), segments: fc.nat(511) });
  const users = fc.array(user, { minLength: usersEach, maxLength: usersEach });
  return users.chain((found) => {
    const known = found.map((one) => one.attributes);
    return fc.tuple(condition(choice, known), fc.constant(found));
  });
}

function inProcess(stored: JsonObject, users: readonly User[]): readonly boolean[] {
  const evaluate = compileCondition(parsed(stored));
  return users.map((user) => {
    const inSegment = (segment: number) => (user.segments & (1 << segment)) !== 0;
    const answer = evaluate(user.attributes, new Evaluation(NOW, inSegment));
    // The arrays drawn are short; a digest of them has to give the same answers.
    if (evaluate(user.attributes, new Evaluation(NOW, inSegment, 0)) !== answer) {
      throw new Error(`digests disagree: ${JSON.stringify({ condition: stored, user: user.attributes })}`);
    }
    return answer;
  });
}

/** The answers of SQL for each user; undefined where the condition is left to the stream. */
export async function inSql(
  client: Client,
  stored: JsonObject,
  users: readonly User[],
): Promise<readonly Json[] | undefined> {
  const context: SqlContext = {
    attributes: sql`users.attributes`,
    inSegment: (segment) => sql`users.segments & (1 << ${segment}::int) <> 0`,
    now: NOW,
    mayUnfold: true,
  };
  const [expression, filter] = [conditionSql(parsed(stored), context), filterSql(parsed(stored), context)];
  if (expression === undefined || filter === undefined) {
    if (filter !== expression) throw new Error(`only one form can be said: ${JSON.stringify(stored)}`);
    return undefined;
  }
  const { text, values } = sql`
    SELECT array_agg(${expression} ORDER BY users.position) AS answers,
      array_agg(coalesce(${filter}, FALSE) ORDER BY users.position) AS filtered
    FROM unnest(
    ${users.map((user) => JSON.stringify(user.attributes))}::jsonb[], ${users.map((user) => user.segments)}::int[]
  ) WITH ORDINALITY AS users (attributes, segments, position)`;
  const { rows } = await client.query<{ answers: Json[]; filtered: Json[] }>(text, values);
  const { answers = [], filtered = [] } = rows[0] ?? {};
  if (JSON.stringify(filtered) !== JSON.stringify(answers)) {
    throw new Error(`as a filter it answers otherwise: ${JSON.stringify({ condition: stored, answers, filtered })}`);
  }
  return answers;
}

function parsed(stored: JsonObject) {
  const result = parseStoredCondition(stored);
  if (!result.ok) throw new Error(`a random condition is refused: ${JSON.stringify([stored, result.errors])}`);
  return result.condition;
}
