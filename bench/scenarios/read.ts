import type { Contestant } from '../measure.ts';
import { takeTurns } from '../measure.ts';
import { compare, databaseMicros, type Findings, micros, rate, reach, rowOf, serverMicros } from '../ratio.ts';
import { plainRead, readLoad, type Stage } from '../stage.ts';

/** The segments of a random user: the service, the peer, and the limit of the runtime. */
export async function read(stage: Stage): Promise<Findings> {
  const { peer, bare, database, options, postgres } = stage;
  const contestants: Contestant[] = [plainRead(stage, 'Kohort')];
  if (peer) {
    contestants.push({
      name: 'peer',
      target: () => peer,
      connection: { application: 'peer', database },
      load: readLoad(stage, peer, { tokens: undefined }),
    });
  }
  contestants.push({
    name: 'bare node:http',
    target: () => bare,
    connection: undefined,
    load: readLoad(stage, bare, { tokens: stage.tokens }),
  });
  const rows = await takeTurns('read', contestants, options, postgres);
  const ours = rowOf(rows, 'Kohort');
  const theirs = rowOf(rows, 'peer');
  const bareHttp = rowOf(rows, 'bare node:http');
  return {
    rows,
    ratios: [
      ...compare('read: processor time of the service against bare node:http', [ours, bareHttp], serverMicros, {
        atMost: 1.6,
      }),
      ...reach('read: µs of the database', ours, databaseMicros, { atMost: 10 }),
      ...compare('read: processor time, service + database, against the peer', [ours, theirs], micros, {}),
      ...compare('read: requests/s against the peer', [ours, theirs], rate, {}),
      ...compare('read: requests/s against bare node:http', [ours, bareHttp], rate, {}),
    ],
    notes: [],
  };
}
