import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Service, startService } from '../../../test/service.ts';

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(() => service.stop());

const pathsOf = ({ body }: { body: { errors: { path: string }[] } }) => body.errors.map(({ path }) => path);

it.each<[string, string]>([
  ['{"tenant":12345678901234567}', '/body/attributes/tenant'],
  ['{"a":[{"b":-9007199254740993}]}', '/body/attributes/a/0/b'],
  ['{"":1}', '/body/attributes/'],
  ['{"a.b":1}', '/body/attributes/a.b'],
  ['{"$a":1}', '/body/attributes/$a'],
  ['{"a":{"b/c":[{"d.e":1}]}}', '/body/attributes/a/b~1c/0/d.e'],
])('attributes that no condition could ask for are refused: %s', async (attributes, path) => {
  await client.user({ external_id: `kept ${path}`, attributes: { n: 1 } });
  for (const answer of [
    await client.call('POST', '/api/users', `{"attributes":${attributes}}`),
    await client.call('PATCH', `/api/users/ext:${encodeURIComponent(`kept ${path}`)}`, `{"attributes":${attributes}}`),
  ]) {
    expect([answer.status, pathsOf(answer)]).toEqual([400, [path]]);
  }
  expect((await client.get(`/api/users/ext:${encodeURIComponent(`kept ${path}`)}`)).attributes).toEqual({ n: 1 });
});

it('integers that a double holds are kept as they are', async () => {
  const id = await client.user({ attributes: {} });
  const attributes = { safe: 9007199254740991, even: 9007199254740992, text: '12345678901234567' };
  expect((await client.call('PATCH', `/api/users/${id}`, { attributes })).body.attributes).toEqual(attributes);
});

it('operands of conditions are held to the same', async () => {
  const condition = '{"$or":[{"tenant":{"$in":[1,12345678901234567]}}]}';
  for (const answer of [
    await client.call('POST', '/api/segments', `{"slug":"inexact","condition":${condition}}`),
    await client.call('POST', '/api/segments/preview', `{"condition":${condition}}`),
  ]) {
    expect([answer.status, pathsOf(answer)]).toEqual([400, ['/body/condition/$or/0/tenant/$in/1']]);
  }
});

it('a patch removes a name that was there before names were checked', async () => {
  const id = await client.user({ attributes: { n: 1 } });
  const answer = await client.call('PATCH', `/api/users/${id}`, { attributes: { 'a.b': null, n: 2 } });
  expect([answer.status, answer.body.attributes]).toEqual([200, { n: 2 }]);
});
