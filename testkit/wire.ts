import { connect, type Socket } from 'node:net';

/** What came over the socket, as it came. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

function parseOne(bytes: Buffer, isHead: boolean): { answer: RawAnswer; rest: Buffer } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [statusLine = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const status = Number(statusLine.split(' ')[1]);
  const length = isHead || status === 100 || status === 204 ? 0 : Number(headers['content-length'] ?? 0);
  const from = end + 4;
  if (bytes.length < from + length) return undefined;
  const text = bytes.subarray(from, from + length).toString('utf8');
  return { answer: { status, headers, text }, rest: bytes.subarray(from + length) };
}

/** A connection on which a test writes bytes of its own. */
export interface Wire {
  readonly socket: Socket;
  write(bytes: string | Buffer): void;
  /** The next answer; to a HEAD it has no body. Rejects if the connection ends without one. */
  next(isHead?: boolean): Promise<RawAnswer>;
  /** Resolves when the other side has ended the connection. */
  readonly ended: Promise<void>;
}

export async function open(port: number): Promise<Wire> {
  const socket = connect({ port, host: '127.0.0.1' });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  let held: Buffer = Buffer.alloc(0);
  let isOver = false;
  const waiting: (() => void)[] = [];
  const wake = () => {
    for (const one of waiting.splice(0)) one();
  };
  socket.on('data', (bytes: Buffer) => {
    held = Buffer.concat([held, bytes]);
    wake();
  });
  const ended = new Promise<void>((resolve) => {
    socket.once('close', () => {
      isOver = true;
      wake();
      resolve();
    });
  });
  socket.on('error', () => undefined);
  return {
    socket,
    ended,
    write: (bytes) => void socket.write(bytes),
    async next(isHead = false) {
      for (;;) {
        const found = parseOne(held, isHead);
        if (found) {
          held = found.rest;
          return found.answer;
        }
        if (isOver) throw new Error(`the connection ended after ${JSON.stringify(held.toString('latin1'))}`);
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}

/** Sends these bytes on a new connection and returns the first answer. */
export async function exchange(port: number, bytes: string | Buffer): Promise<RawAnswer> {
  const wire = await open(port);
  try {
    wire.write(bytes);
    return await wire.next(/^HEAD /.test(bytes.toString()));
  } finally {
    wire.socket.destroy();
  }
}
