import { countUnfolded } from '@kohort/testkit/fold.ts';
import { type Contestant, takeTurns } from '../measure.ts';
import { compare, type Findings, micros, rate, rowOf } from '../ratio.ts';
import type { Stage } from '../stage.ts';

/** New memberships, one a call: the service's with a history row, the peer's without. */
export async function add(stage: Stage): Promise<Findings> {
  const { service, peer, database, tokens, options, postgres } = stage;
  const { connections } = options;
  const contestants: Contestant[] = [
    {
      name: 'Kohort',
      target: () => service,
      connection: { application: 'kohort', database },
      load: (seconds) => stage.add(service, { seconds, connections, tokens }),
    },
  ];
  if (peer) {
    contestants.push({
      name: 'peer',
      target: () => peer,
      connection: { application: 'peer', database },
      load: (seconds) => stage.add(peer, { seconds, connections, tokens: undefined }),
    });
  }
  const rows = await takeTurns('add', contestants, options, postgres);
  const pair = [rowOf(rows, 'Kohort'), rowOf(rows, 'peer')] as const;
  const unfolded = await postgres.connected(database, countUnfolded);
  return {
    rows,
    ratios: [
      ...compare('add with history against the peer’s add without: processor time, service + database', pair, micros, {
        atMost: 0.6,
      }),
      ...compare('add with history against the peer’s add without: requests/s', pair, rate, {}),
    ],
    notes: [
      `add: afterwards ${unfolded === 0 ? 'every membership is the fold of its history' : `${unfolded} memberships are NOT the fold of their history`}.`,
    ],
  };
}
