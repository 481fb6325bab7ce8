import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, dataFolder, eventually, familyOf, launch, type Running } from './process.ts';

let data: Awaited<ReturnType<typeof dataFolder>>;
let service: Running;
beforeAll(async () => {
  data = await dataFolder();
  service = await launch({ DATA_DIR: data.folder, WORKERS: '2' });
});
afterAll(async () => {
  await service.kill('SIGTERM');
  await data.remove();
});

const workers = async () => (await familyOf(service.pid)).filter((pid) => pid !== service.pid);
const WITHIN = 20_000;

describe('WORKERS=2', () => {
  it('serves one port with two processes, and says once what there is to say', async () => {
    await eventually(async () => (await workers()).length === 2, WITHIN);
    expect(service.stdout().match(/listens on/g)).toHaveLength(1);
    expect(service.stdout().match(/The account "admin" was created/g)).toHaveLength(1);
  });

  it('shows through each what was acknowledged by any', async () => {
    await call(service.url, 'POST', '/api/segments', { body: '{"slug":"S"}' });
    for (let n = 0; n < 20; n++) {
      await call(service.url, 'POST', '/api/users/1/segments', {
        body: '{"slug":"S"}',
        headers: { connection: 'close' },
      });
      const read = await call(service.url, 'GET', '/api/users/1/segments', { headers: { connection: 'close' } });
      expect(read.text).toBe('{"segments":["S"]}');
      await call(service.url, 'DELETE', '/api/users/1/S', { headers: { connection: 'close' } });
    }
  });

  it('sums the metrics of all', async () => {
    const { text } = await call(service.url, 'GET', '/metrics');
    const line = /^kohort_http_request_duration_seconds_count\{[^}]*method="GET"[^}]*users[^}]*\} (\d+)$/m.exec(text);
    expect(Number(line?.[1])).toBe(20);
  });

  it('replaces a worker that was killed', async () => {
    const [victim = 0] = await workers();
    process.kill(victim, 'SIGKILL');
    await eventually(async () => {
      const now = await workers();
      return now.length === 2 && !now.includes(victim);
    }, WITHIN);
    await eventually(async () => (await call(service.url, 'GET', '/readyz')).status === 200, WITHIN);
  });
});

it('WORKERS=2 stops gracefully, all of it, with exit code 0', async () => {
  const folder = await dataFolder();
  const other = await launch({ DATA_DIR: folder.folder, WORKERS: '2' });
  expect(await other.kill('SIGTERM')).toMatchObject({ code: 0 });
  await expect(call(other.url, 'GET', '/healthz')).rejects.toThrow();
  await folder.remove();
});
