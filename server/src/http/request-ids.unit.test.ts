import { expect, it } from 'vitest';
import { newRequestId } from './request-ids.ts';

it('are different, and have the form of a UUID', () => {
  const ids = Array.from({ length: 20_000 }, newRequestId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.filter((id) => !/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id))).toEqual(
    [],
  );
});

it('begin anew, so that no id says which came long after it', () => {
  const heads = new Set(Array.from({ length: 20_000 }, () => newRequestId().slice(0, -2)));
  expect(heads.size).toBeGreaterThanOrEqual(78);
});
