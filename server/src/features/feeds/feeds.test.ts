import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Service, startService } from '../../../test/service.ts';

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

const call = async (method: string, path: string, body?: unknown) => {
  const answer = await service.call(method, path, { token: service.admin, ...(body !== undefined && { body }) });
  expect([method, path, answer.status, answer.text]).toEqual([method, path, expect.any(Number), answer.text]);
  return answer;
};

async function follow(segments: readonly string[]) {
  const { status, body } = await call('POST', '/api/feeds', { name: 'test', segments });
  expect(status).toBe(201);
  return body as { id: number; cursor: string };
}

/** The changes after a cursor, once there are so many. */
async function changes(feed: number, after: string, count: number) {
  return vi.waitFor(async () => {
    const { status, body } = await call('GET', `/api/feeds/${feed}/changes?after=${after}`);
    expect(status).toBe(200);
    expect(body.changes).toHaveLength(count);
    return body;
  }, 5_000);
}

async function snapshot(feed: number) {
  const { text } = await call('GET', `/api/feeds/${feed}/snapshot`);
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  return { members: lines.slice(0, -1), cursor: lines.at(-1).cursor };
}

describe('a feed of a list', () => {
  it('begins with who is in, and tells who enters and leaves', async () => {
    await call('POST', '/api/segments', { slug: 'LIST' });
    await call('POST', '/api/users/ext:ann/segments', { slug: 'LIST' });
    const { id, cursor } = await follow(['LIST']);
    const before = await snapshot(id);
    expect(before.members).toEqual([{ slug: 'LIST', user_id: expect.any(Number), external_id: 'ann' }]);
    await call('POST', '/api/users/ext:bob/segments', { slug: 'LIST' });
    await call('DELETE', '/api/users/ext:ann/segments/LIST');
    const { changes: told, cursor: next } = await changes(id, cursor, 2);
    const common = { at: expect.any(String), slug: 'LIST', user_id: expect.any(Number), actor: 'user:1' };
    expect(told).toEqual([
      { id: expect.any(String), ...common, type: 'entered', external_id: 'bob', cause: 'add' },
      { id: expect.any(String), ...common, type: 'left', external_id: 'ann', cause: 'remove' },
    ]);
    expect((await call('GET', `/api/feeds/${id}/changes?after=${next}`)).body).toEqual({ changes: [], cursor: next });
    expect((await call('GET', `/api/feeds/${id}/changes?after=${before.cursor}`)).body.changes).toEqual(told);
    expect((await snapshot(id)).members).toEqual([{ slug: 'LIST', user_id: told[0].user_id, external_id: 'bob' }]);
  });

  it('tells a user who is erased as gone, under their external id', async () => {
    await call('POST', '/api/segments', { slug: 'ERASED' });
    await call('POST', '/api/users/ext:eve/segments', { slug: 'ERASED' });
    const { id, cursor } = await follow(['ERASED']);
    await call('DELETE', '/api/users/ext:eve');
    const { changes: told } = await changes(id, cursor, 1);
    expect(told).toMatchObject([{ type: 'left', external_id: 'eve', cause: 'erasure', actor: 'user:1' }]);
  });
});
