import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Answering, type Receiver, startReceiver } from '../../../test/receiver.ts';
import { connectTo } from './post.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function receiver(answer?: Answering): Promise<Receiver> {
  const started = await startReceiver(answer);
  stops.push(() => started.stop());
  return started;
}

/** A TCP server with arbitrary responses. */
async function speaking(speak: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    socket.once('data', () => speak(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`;
}

const forever = new AbortController().signal;
const body = Buffer.from('{"n":1}');
function connect(url: string, addresses: readonly string[] = ['127.0.0.1'], bodyMs = 50) {
  const connection = connectTo({ url: new URL(url), addresses }, { bodyMs });
  stops.push(() => connection.close());
  return connection;
}

describe('a message', () => {
  it('arrives with its headers and the Host of the url', async () => {
    const { url, port, received } = await receiver();
    expect(await connect(url).post({ 'webhook-id': 'a' }, body, forever)).toEqual({
      status: 204,
      excerpt: '',
      retryAfter: undefined,
    });
    expect(received).toEqual([
      {
        text: '{"n":1}',
        body: { n: 1 },
        headers: expect.objectContaining({ 'webhook-id': 'a', 'content-length': '7', host: `127.0.0.1:${port}` }),
      },
    ]);
  });

  it('goes to the addresses that were checked, whatever the name resolves to', async () => {
    const { port, path, received } = await receiver();
    await connect(`http://public.example:${port}${path}`).post({}, body, forever);
    expect(received.map(({ headers }) => headers.host)).toEqual([`public.example:${port}`]);
    await expect(connect(`http://localhost:${port}/`, []).post({}, body, forever)).rejects.toThrow('no address');
    expect(received).toHaveLength(1);
  });

  it('goes to the second address when nothing listens at the first', async () => {
    const { port, path, received } = await receiver();
    await connect(`http://public.example:${port}${path}`, ['127.0.0.2', '127.0.0.1']).post({}, body, forever);
    expect(received).toHaveLength(1);
  });

  it('shares a connection with the next one, until it is closed', async () => {
    const { url, received, connections } = await receiver();
    const connection = connect(url);
    for (let i = 0; i < 5; i++) await connection.post({}, body, forever);
    expect([received.length, connections()]).toEqual([5, 1]);
  });

  it('is sent again when the receiver closed an open connection meanwhile', async () => {
    const { url, received, connections } = await receiver((response, _, socket) => {
      if (received.length === 2) socket.destroy();
      else response.writeHead(204).end();
    });
    const connection = connect(url);
    await connection.post({}, body, forever);
    expect(await connection.post({}, body, forever)).toMatchObject({ status: 204 });
    expect([received.length, connections()]).toEqual([3, 2]);
  });
});

describe('an answer', () => {
  it.each([301, 302, 303, 307, 308])('with status %i is not followed', async (status) => {
    const target = await receiver();
    const { url } = await receiver((response) => response.writeHead(status, { location: target.url }).end('moved'));
    expect(await connect(url).post({}, body, forever)).toMatchObject({ status, excerpt: 'moved' });
    expect(target.received).toEqual([]);
  });

  it('is truncated, and stripped of control characters', async () => {
    const { url } = await receiver((response) => response.writeHead(500).end(`\0a\r\n\tb ü${'x'.repeat(2_000)}`));
    const { excerpt } = await connect(url).post({}, body, forever);
    expect(excerpt).toMatch(/^a b üx+$/);
    expect(Buffer.byteLength(excerpt)).toBeLessThanOrEqual(1_024);
  });

  it('that never ends is cut off once its status is known', async () => {
    const huge = await receiver((response) => {
      response.writeHead(200);
      const chunk = Buffer.alloc(65_536, 'x');
      const more = () => {
        while (!response.destroyed && response.write(chunk));
        response.once('drain', more);
      };
      more();
    });
    const patient = 60_000;
    expect((await connect(huge.url, ['127.0.0.1'], patient).post({}, body, forever)).excerpt).toHaveLength(1_024);
    const slow = await receiver((response) => response.writeHead(200).write('begun'));
    expect(await connect(slow.url).post({}, body, forever)).toMatchObject({ status: 200, excerpt: 'begun' });
    const short = await speaking((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun'));
    expect(await connect(short, ['127.0.0.1'], patient).post({}, body, forever)).toMatchObject({
      status: 200,
      excerpt: 'begun',
    });
  });

  it('that switches the protocol is treated like any other', async () => {
    const url = await speaking((socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'));
    expect(await connect(url).post({}, body, forever)).toMatchObject({ status: 101 });
  });

  it('carries Retry-After', async () => {
    const { url } = await receiver((response) => response.writeHead(503, { 'retry-after': '7' }).end());
    expect((await connect(url).post({}, body, forever)).retryAfter).toBe('7');
  });
});

describe('a receiver', () => {
  it.each([
    ['that closes the connection', (socket: Socket) => socket.destroy()],
    ['that resets it', (socket: Socket) => socket.resetAndDestroy()],
    ['that speaks another protocol', (socket: Socket) => socket.end('220 smtp.example ESMTP\r\n')],
    ['that sends headers without end', (socket: Socket) => socket.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}`)],
  ])('%s is an error', async (_, speak) => {
    await expect(connect(await speaking(speak)).post({}, body, forever)).rejects.toThrow();
  });

  it('that does not listen is an error', async () => {
    // A port that was free a moment ago may be taken by another test; this one is never taken.
    await expect(connect('http://127.0.0.1:1/').post({}, body, forever)).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });

  it.each([
    ['that says nothing', () => undefined],
    ['that says nothing but 100', (socket: Socket) => socket.write('HTTP/1.1 100 Continue\r\n\r\n'.repeat(10))],
  ])('%s is left when the time is up', async (_, speak) => {
    const abort = new AbortController();
    const url = await speaking((socket) => {
      speak(socket);
      abort.abort(new Error('time is up'));
    });
    await expect(connect(url).post({}, body, abort.signal)).rejects.toThrow();
  });
});
