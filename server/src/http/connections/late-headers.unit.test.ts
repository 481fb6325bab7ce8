import { Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lateRequest } from '../problems.ts';
import { boundHeaders } from './late-headers.ts';
import type { Connection, Sweep } from './tracker.ts';

const headersMs = 10_000;
/** Fractions would be rounded where times are added and subtracted, and the limit is exact. */
const wholeMs = () => Math.floor(performance.now());
let socket: Socket;
let connection: Connection;
let sweep: Sweep;
let report: (error: Error, socket: Socket) => void;
let answered: Error[];

beforeEach(() => {
  socket = new Socket().on('error', () => undefined);
  connection = {
    socket,
    calls: 0,
    waiting: undefined,
    last: undefined,
    quietSince: 0,
    quietBytes: undefined,
    arriving: undefined,
    readSince: Number.NEGATIVE_INFINITY,
    headersSince: undefined,
    unread: 0,
    unreadSince: 0,
  };
  answered = [];
  const tracker = {
    connections: new Map([[socket, connection]]),
    onSweep: (one: Sweep) => {
      sweep = one;
    },
  };
  report = boundHeaders(tracker, headersMs, (error) => void answered.push(error));
});
afterEach(() => void socket.destroy());

it('the time of headers stands still while nothing is read', () => {
  socket.pause();
  report(lateRequest(), socket);
  const now = wholeMs();
  for (const ms of [headersMs, 5 * headersMs, 10 * headersMs]) sweep(connection, now + ms);
  socket.resume();
  sweep(connection, now + 11 * headersMs);
  expect(socket.writable).toBe(true);
  sweep(connection, now + 11 * headersMs + 1);
  expect(socket.writable).toBe(false);
  expect(answered).toEqual([]);
});

it('it begins when reading goes on, also for headers that node reports only then', () => {
  const now = wholeMs();
  connection.readSince = now - headersMs / 2;
  report(lateRequest(), socket);
  sweep(connection, now + headersMs / 2);
  expect(socket.writable).toBe(true);
  sweep(connection, now + headersMs / 2 + 1);
  expect(socket.writable).toBe(false);
});

it('headers of a connection that is read are late when node says so, and other faults are no matter of time', () => {
  report(lateRequest(), socket);
  socket.pause();
  report(new Error('broken'), socket);
  expect(answered.map(({ message }) => message)).toEqual(['too slow', 'broken']);
});
