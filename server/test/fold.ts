import { foldViolations } from '@kohort/testkit/fold.ts';
import { raw } from 'sql-template-tag';
import { expect } from 'vitest';
import type { Db } from '../src/postgres/database.ts';

export async function expectFold(db: Db): Promise<void> {
  expect(await foldViolations((text) => db.query(raw(text)))).toEqual([]);
}
