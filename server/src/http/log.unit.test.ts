import { expect, it } from 'vitest';
import { loggable } from './log.ts';

it('names each address of a database that cannot be connected to', () => {
  const refused = ['::1', '127.0.0.1'].map((address) => new Error(`connect ECONNREFUSED ${address}:5432`));
  const error = Object.assign(new AggregateError(refused), { code: 'ECONNREFUSED' });
  expect(loggable(error)).toMatchObject({
    code: 'ECONNREFUSED',
    message: 'connect ECONNREFUSED ::1:5432; connect ECONNREFUSED 127.0.0.1:5432',
  });
});

it('leaves out what PostgreSQL and the framework quote', () => {
  const quoting = [
    { severity: 'ERROR', code: '22P02' },
    { severity: undefined, code: 'FST_ERR_BAD_URL' },
  ];
  for (const fields of quoting) {
    const logged = loggable(Object.assign(new Error('a "secret" of a user'), fields));
    expect(logged).toMatchObject({ code: fields.code });
    expect(JSON.stringify(logged)).not.toContain('secret');
  }
});
