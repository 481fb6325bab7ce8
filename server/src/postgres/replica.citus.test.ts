import { createDatabase } from '@kohort/testkit/database.ts';
import { expect, it, onTestFinished } from 'vitest';
import { startService } from '../../test/service.ts';

it('a replica is refused at the start, with a sentence', async () => {
  const database = await createDatabase();
  onTestFinished(() => database.drop());
  const another = new URL(database.url);
  another.searchParams.set('options', '-c geqo=off');
  const start = startService({ database: database.url, env: { READ_DATABASE_URL: another.href } });
  await expect(start).rejects.toThrow('READ_DATABASE_URL is for a database on one server.');
});
