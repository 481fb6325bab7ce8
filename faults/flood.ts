import { connect, type Socket } from 'node:net';

/**
 * Runs as a process of its own and keeps one request at a time on each of its connections. Without a rate, each connection sends the
 * next request as soon as it has an answer. With one, requests come due at that rate, and one that comes due while no connection is
 * free is not sent. A refused caller waits as long as `Retry-After` says. Settings are one JSON argument, findings one JSON line.
 */
interface Settings {
  readonly port: number;
  readonly token: string;
  readonly sockets: number;
  readonly seconds: number;
  /** Seconds before counting begins: that many callers take some time to connect. */
  readonly warmUp: number;
  readonly users: readonly [number, number];
  /** Slugs to add users to and remove them from; otherwise it reads. */
  readonly slugs?: readonly string[];
  /** Requests a second that come due. */
  readonly rate?: number;
}

export interface Flooded {
  readonly seconds: number;
  /** Requests that came due; without a rate, those that were sent. */
  readonly offered: number;
  readonly sent: number;
  readonly answered: number;
  readonly shed: number;
  readonly shedWithoutRetryAfter: number;
  readonly other: number;
  readonly broken: number;
  /** Milliseconds, of those that were answered. */
  readonly p50: number;
  readonly p99: number;
}

/** How many connect at once: the backlog of the listening socket is limited. */
const maxConnecting = 100;
const tickMs = 5;
const dayMs = 86_400_000;
const END = Buffer.from('\r\n\r\n');

const settings = JSON.parse(process.argv[2] ?? '{}') as Settings;
const times: number[] = [];
const counts = { offered: 0, sent: 0, answered: 0, shed: 0, shedWithoutRetryAfter: 0, other: 0, broken: 0 };
/** Connections that wait for a request to come due. */
const free: Line[] = [];
let turn = 0;
let over = false;

/** Every write changes something: all users are added with a unique expiry, then all are removed, and so on. */
function requestOf(): string {
  const [first, count] = settings.users;
  const round = Math.floor(turn / count);
  const user = first + (turn++ % count);
  const head = `Host: 127.0.0.1\r\nAuthorization: Bearer ${settings.token}\r\n`;
  const slug = settings.slugs?.[user % settings.slugs.length];
  if (slug === undefined) return `GET /api/users/${user}/segments HTTP/1.1\r\n${head}\r\n`;
  if (round % 2) return `DELETE /api/users/${user}/segments/${slug} HTTP/1.1\r\n${head}\r\n`;
  const body = JSON.stringify({ slug, expires_at: new Date(Date.now() + dayMs).toISOString() });
  return `POST /api/users/${user}/segments HTTP/1.1\r\n${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

interface Line {
  readonly socket: Socket;
  sentAt: number;
  rest: Buffer;
}

function ask(line: Line): void {
  if (line.socket.destroyed || over) return;
  line.sentAt = performance.now();
  counts.sent++;
  line.socket.write(requestOf());
}

function rest(line: Line): void {
  if (settings.rate === undefined) {
    counts.offered++;
    ask(line);
  } else free.push(line);
}

/** Offers the requests that have come due since the last tick. */
function offer(rate: number, since: number, offered: number): number {
  const due = Math.floor(((performance.now() - since) * rate) / 1000);
  for (let i = offered; i < due; i++) {
    const line = free.pop();
    if (line) ask(line);
  }
  counts.offered += due - offered;
  return due;
}

function take(line: Line, chunk: Buffer): void {
  line.rest = line.rest.length > 0 ? Buffer.concat([line.rest, chunk]) : chunk;
  const end = line.rest.indexOf(END);
  if (end === -1) return;
  const head = line.rest.toString('latin1', 0, end);
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
  if (line.rest.length < end + 4 + length) return;
  line.rest = line.rest.subarray(end + 4 + length);
  if (over) return;
  const status = head.slice(9, 12);
  const retryAfter = /\r\nretry-after: (\d+)/i.exec(head)?.[1];
  if (status === '200') {
    counts.answered++;
    times.push(performance.now() - line.sentAt);
  } else if (status === '503') {
    counts.shed++;
    if (retryAfter === undefined) counts.shedWithoutRetryAfter++;
  } else counts.other++;
  if (retryAfter === undefined) rest(line);
  else setTimeout(() => rest(line), Number(retryAfter) * 1000 * (0.5 + Math.random()));
}

async function call(): Promise<Line> {
  const socket = connect({ port: settings.port, host: '127.0.0.1' });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const line: Line = { socket, sentAt: 0, rest: Buffer.alloc(0) };
  socket.on('error', () => undefined);
  socket.on('close', () => {
    if (!over) counts.broken++;
  });
  socket.on('data', (data: Buffer) => take(line, data));
  return line;
}

const lines: Line[] = [];
while (lines.length < settings.sockets) {
  const some = Math.min(maxConnecting, settings.sockets - lines.length);
  lines.push(...(await Promise.all(Array.from({ length: some }, call))));
}
for (const line of lines) rest(line);
const { rate } = settings;
if (rate !== undefined) {
  const since = performance.now();
  let offered = 0;
  setInterval(() => {
    offered = offer(rate, since, offered);
  }, tickMs);
}
await new Promise((resolve) => setTimeout(resolve, settings.warmUp * 1000));
Object.assign(counts, { offered: 0, sent: 0, answered: 0, shed: 0, shedWithoutRetryAfter: 0, other: 0 });
times.length = 0;
const began = performance.now();
await new Promise((resolve) => setTimeout(resolve, settings.seconds * 1000));
over = true;
times.sort((a, b) => a - b);
const at = (q: number) => Math.round((times[Math.floor(q * (times.length - 1))] ?? 0) * 10) / 10;
const found: Flooded = { seconds: (performance.now() - began) / 1000, ...counts, p50: at(0.5), p99: at(0.99) };
process.stdout.write(`${JSON.stringify(found)}\n`);
process.exit(0);
