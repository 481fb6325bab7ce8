import { createServer } from 'node:http';
import { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { inPortions } from './broken-requests.ts';
import { connectionsPerTurn, Tracker } from './tracker.ts';

const crowd = 5 * connectionsPerTurn;

/** How many more there are after each turn of the event loop, until all are there. */
async function portionsOf(count: () => number): Promise<number[]> {
  const portions: number[] = [];
  for (let before = count(); before < crowd; before = count()) {
    await setImmediate();
    portions.push(count() - before);
  }
  return portions;
}

it('broken requests are answered some at a time, and each connection is read again once it is answered', async () => {
  const answered: Socket[] = [];
  const answer = inPortions((_error, socket) => void answered.push(socket));
  const sockets = Array.from({ length: crowd }, () => new Socket());
  for (const socket of sockets) answer(new Error('broken'), socket);
  expect(answered).toEqual(sockets.slice(0, connectionsPerTurn));
  expect(sockets.filter((socket) => socket.isPaused())).toEqual(sockets.slice(connectionsPerTurn));
  const portions = await portionsOf(() => answered.length);
  expect(Math.max(...portions)).toBeLessThanOrEqual(connectionsPerTurn);
  expect(answered).toEqual(sockets);
  expect(sockets.some((socket) => socket.isPaused())).toBe(false);

  await setImmediate();
  const later = new Socket();
  answer(new Error('broken'), later);
  expect(answered.at(-1)).toBe(later);
});

it('a sweep looks at some connections at a time, and at each once', async () => {
  const tracker = new Tracker();
  const server = createServer();
  tracker.follow(server);
  const swept = new Map<Socket, number>();
  tracker.onSweep(({ socket }) => {
    swept.set(socket, (swept.get(socket) ?? 0) + 1);
    tracker.stop();
  });
  for (let i = 0; i < crowd; i++) server.emit('connection', new Socket());
  tracker.sweepEvery(1);
  const portions = await portionsOf(() => swept.size);
  expect(Math.max(...portions)).toBeLessThanOrEqual(connectionsPerTurn);
  expect(new Set(swept.values())).toEqual(new Set([1]));
});
