import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { demand, signIn } from '@kohort/testkit/http.ts';
import { databaseEnv } from '@kohort/testkit/pooler.ts';
import { isInstalled } from '@kohort/testkit/processes.ts';
import { ADMIN_PASSWORD, launch, type Running } from '@kohort/testkit/service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe.runIf(await isInstalled('python3'))('the client for Python', () => {
  let database: TestDatabase;
  let service: Running;
  beforeAll(async () => {
    database = await createDatabase();
    service = await launch({ MODE: 'evaluation', ...databaseEnv(database.url), ADMIN_PASSWORD });
  });
  afterAll(async () => {
    await service?.stop();
    await database?.drop();
  });

  it('passes its tests against a service', async () => {
    const token = await signIn(service.url, 'admin', ADMIN_PASSWORD);
    await demand(service.url, 'POST', '/api/segments', { token, body: { slug: 'PYTHON' } });
    const { stderr } = await promisify(execFile)('python3', ['-B', '-m', 'unittest', '-v'], {
      cwd: join(import.meta.dirname, '../clients/python'),
      env: { PATH: process.env.PATH, KOHORT_URL: service.url, KOHORT_TOKEN: token },
    });
    expect(stderr).toMatch(/^OK$/m);
  });
});
