import type { Contestant } from '../measure.ts';
import { takeTurns } from '../measure.ts';
import { compare, type Findings, medianOf, rate, ratePerCore } from '../ratio.ts';
import { plainRead, readLoad, type Stage } from '../stage.ts';

/** Which segments is a random user in: the service, the peer, and the limit of the runtime. */
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
  const ours = medianOf(rows, 'Kohort');
  const theirs = medianOf(rows, 'peer');
  return {
    rows,
    ratios: [
      ...compare('read: requests/s against the peer', [ours, theirs], rate, { atLeast: 1.4 }),
      ...compare('read: requests/s per busy core against the peer', [ours, theirs], ratePerCore, { atLeast: 3.5 }),
      ...compare('read: requests/s against bare node:http', [ours, medianOf(rows, 'bare node:http')], rate, {
        atLeast: 0.6,
      }),
    ],
    notes: [],
  };
}
