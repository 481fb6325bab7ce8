import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acceptForMs, acceptWaiting, quickTurnsForMs, slowTurnsMs, turnsForMs } from './accept-waiting.ts';

/** Makes connections while this thread is halted, and says what became of each. */
const visitors = `
  const { connect } = require('node:net');
  const { parentPort, workerData: { port, made } } = require('node:worker_threads');
  const count = () => {
    Atomics.add(made, 0, 1);
    Atomics.notify(made, 0);
  };
  parentPort.on('message', (visits) => {
    for (let i = 0; i < visits; i++) {
      const socket = connect(port, '127.0.0.1', count);
      let end = 'closed';
      socket.on('error', (error) => {
        end = error.code;
        if (end === 'ECONNREFUSED') count();
      });
      socket.on('data', () => (end = 'answered'));
      socket.on('close', () => parentPort.postMessage(end));
    }
  });
`;
const madeWithinMs = 10_000;

let server: Server;
let accepted: number;
let worker: Worker;
let made: Int32Array;
let visits: number;
let ends: string[];
let now: number;

beforeEach(async () => {
  accepted = 0;
  server = createServer((socket) => {
    accepted++;
    socket.end('answer');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || !address) throw new Error('no address');
  made = new Int32Array(new SharedArrayBuffer(4));
  worker = new Worker(visitors, { eval: true, workerData: { port: address.port, made } });
  await once(worker, 'online');
  visits = 0;
  ends = [];
  worker.on('message', (end: string) => ends.push(end));
  now = 0;
});
afterEach(async () => {
  server.close();
  await worker.terminate();
});

/** Returns when the system has made so many connections, none of which can have been accepted meanwhile. */
function visit(count: number): void {
  worker.postMessage(count);
  visits += count;
  for (let seen = Atomics.load(made, 0); seen < visits; seen = Atomics.load(made, 0))
    if (Atomics.wait(made, 0, seen, madeWithinMs) === 'timed-out') throw new Error(`${seen} of ${visits} came`);
}

/** Closes the port as soon as it may be. `inTurn` runs in each turn until then. */
async function closeThePort(inTurn: (turn: number) => void): Promise<void> {
  let closed = false;
  const run = (turn: number) => {
    if (closed) return;
    inTurn(turn);
    setImmediate(run, turn + 1);
  };
  setImmediate(run, 1);
  await acceptWaiting(
    {
      get accepted() {
        return accepted;
      },
    },
    () => now,
  );
  closed = true;
  server.close();
  while (ends.length < visits) await once(worker, 'message');
}

const turnMs = 10;
/** Two of which are slow. */
const slowTurnMs = 100;
const halts = [slowTurnsMs + 1, quickTurnsForMs + 1, turnsForMs + 1];

describe('a port that is to be closed', () => {
  it('is closed after two quick turns', async () => {
    let turns = 0;
    await closeThePort((turn) => {
      turns = turn;
    });
    expect(turns).toBe(2);
  });

  it('is not closed while connections wait', async () => {
    await closeThePort((turn) => {
      if (turn === 1) visit(40);
    });
    expect(ends).toEqual(Array(40).fill('answered'));
  });

  describe.each([1, 2])('where the process is halted in turn %i of two', (haltedIn) => {
    it.each(halts)('is closed after those who came in %i ms', async (haltMs) => {
      await closeThePort((turn) => {
        if (turn !== haltedIn) return;
        visit(40);
        now += haltMs;
      });
      expect(ends).toEqual(Array(40).fill('answered'));
    });

    // When slow turns count, and shortly before no more are accepted.
    it.each(
      [quickTurnsForMs + 2 * slowTurnMs, turnsForMs - 2 * slowTurnMs].flatMap((after) =>
        halts.map((halt) => [after, halt]),
      ),
    )('is closed, after %i ms of slow turns, after those who came in %i ms', async (afterMs, haltMs) => {
      // Two turns begin with an odd one, and accept two connections. One more waits until then, and none is left for the halted ones.
      const haltedFrom = afterMs / slowTurnMs + 1;
      const expected = haltedFrom - 1 - 1 + 40;
      await closeThePort((turn) => {
        const isHalted = turn === haltedFrom + haltedIn - 1;
        if (turn >= haltedFrom + 2) return;
        now += slowTurnMs;
        if (turn < haltedFrom - 2 && turn % 2 === 1) visit(turn === 1 ? 3 : 2);
        if (!isHalted) return;
        visit(40);
        now += haltMs;
      });
      expect(ends).toEqual(Array(expected).fill('answered'));
    });

    it('is not closed by slow turns after that', async () => {
      await closeThePort((turn) => {
        if (turn === haltedIn) now += 5 * quickTurnsForMs;
        else if (turn < 20) now += turnMs;
        else if (turn === 20) visit(40);
      });
      expect(ends).toEqual(Array(40).fill('answered'));
    });
  });

  it.each([
    ['of 10 ms', 10, quickTurnsForMs],
    ['of which two are almost too long', slowTurnsMs / 2 - 1, quickTurnsForMs],
    ['of which two are too long', slowTurnsMs / 2, acceptForMs],
    ['of two seconds', 2_000, acceptForMs],
  ])('is closed in time among turns %s', async (_, eachMs, closedAfterMs) => {
    await closeThePort(() => {
      now += eachMs;
    });
    expect(now).toBeGreaterThanOrEqual(closedAfterMs);
    expect(now).toBeLessThanOrEqual(closedAfterMs + 4 * eachMs);
  });

  it('is closed in time although connections are made in each turn', async () => {
    await closeThePort(() => {
      visit(1);
      now += turnMs;
    });
    expect(now).toBeGreaterThanOrEqual(turnsForMs);
    expect(now).toBeLessThanOrEqual(turnsForMs + 4 * turnMs);
  });
});
