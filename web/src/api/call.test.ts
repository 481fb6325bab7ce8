import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

vi.stubGlobal('document', { baseURI: 'https://kohort.example/base/ui/' });
const { addressOf, Away, beginSession, endpoint, listen, Refusal } = await import('./call.ts');
type Preview = typeof import('@kohort/contract').segments.previewSegment;

const preview = endpoint<Preview>('POST', '/api/segments/preview');
const answered = (status: number, body: object, headers: Record<string, string> = {}) =>
  Response.json(body, { status, headers });

/** The service's answers in order, and what it was asked. */
function service(...answers: readonly (Response | Error)[]) {
  const asked: { readonly address: string; readonly prefer: string | null }[] = [];
  const left = [...answers];
  vi.stubGlobal('fetch', async (address: string, init: RequestInit) => {
    asked.push({ address, prefer: new Headers(init.headers).get('prefer') });
    const next = left.shift();
    if (next instanceof Response) return next;
    throw next ?? new Error('asked too often');
  });
  return asked;
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});
afterAll(() => void vi.unstubAllGlobals());

describe('an address', () => {
  it('lies below the prefix of the page, with everything in it encoded', () => {
    expect(
      addressOf('/api/users/{user}', { params: { user: 'ext:a/b ?' }, query: { a: '', b: undefined, c: '&' } }),
    ).toBe('/base/api/users/ext%3Aa%2Fb%20%3F?c=%26');
  });
});

describe('a refusal', () => {
  it('is told with its request and when to come again, and a session that is over is announced', async () => {
    const heard: string[] = [];
    const stop = listen((event) => heard.push(event));
    const problem = { detail: 'No.', code: 'unauthenticated', errors: [{ path: '/body', message: 'x' }, 'odd'] };
    service(answered(401, problem, { 'x-request-id': 'r1', 'retry-after': '7' }));
    await expect(preview({ body: {} })).rejects.toMatchObject({
      message: 'No.',
      status: 401,
      requestId: 'r1',
      retryAfter: 7,
      errors: [{ path: '/body', message: 'x' }],
    });
    expect(heard).toEqual(['back', 'signed-out']);
    stop();
  });

  it('of a request from before the session began does not end it', async () => {
    const heard: string[] = [];
    const stop = listen((event) => heard.push(event));
    service(answered(401, { code: 'unauthenticated' }));
    const late = preview({ body: {} });
    beginSession();
    await expect(late).rejects.toMatchObject({ status: 401 });
    expect(heard).toEqual(['back']);
    stop();
  });

  it.each([new TypeError('fetch failed'), answered(502, {})])(
    'of a service that is away is another error',
    async (answer) => {
      service(answer);
      await expect(preview({ body: {} })).rejects.toBeInstanceOf(Away);
    },
  );
});

describe('a question too large for a call', () => {
  const tooLarge = () =>
    answered(503, { code: 'overloaded', errors: [{ path: '/headers/prefer', message: 'x' }] }, { 'retry-after': '1' });

  it('is asked again as a job, whose result is the answer', async () => {
    const asked = service(
      tooLarge(),
      answered(202, { job: '7' }),
      answered(200, { state: 'running' }),
      answered(200, { state: 'done', result: { count: 3 } }),
    );
    const answer = preview({ body: {} });
    await vi.runAllTimersAsync();
    expect(await answer).toEqual({ count: 3 });
    expect(asked.map(({ address, prefer }) => [address, prefer])).toEqual([
      ['/base/api/segments/preview', null],
      ['/base/api/segments/preview', 'respond-async'],
      ['/base/api/jobs/7', null],
      ['/base/api/jobs/7', null],
    ]);
  });

  it('says why its job failed', async () => {
    service(
      tooLarge(),
      answered(202, { job: '7' }),
      answered(200, { state: 'failed', errors: [{ line: null, message: 'too long' }] }),
    );
    await expect(preview({ body: {} })).rejects.toThrow(
      new Refusal('too long', {
        status: 0,
        code: 'job_failed',
        errors: [],
        requestId: undefined,
        retryAfter: undefined,
      }),
    );
  });

  it('is not repeated once its answer is no longer wanted', async () => {
    const abort = new AbortController();
    const asked = service(tooLarge(), answered(202, { job: '7' }), answered(200, { state: 'running' }));
    const answer = preview({ body: {}, signal: abort.signal });
    const isGone = expect(answer).rejects.toThrow(/abort/i);
    await vi.waitFor(() => expect(asked.length).toBe(3));
    abort.abort();
    await vi.runAllTimersAsync();
    await isGone;
    expect(asked.length).toBe(3);
  });
});
