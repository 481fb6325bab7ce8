import { createCluster } from '@kohort/testkit/cluster.ts';
import { countUnfolded } from '@kohort/testkit/fold.ts';
import { say } from '@kohort/testkit/processes.ts';
import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';
import { fuzz as fuzzService } from '../../server/test/fuzz/fuzz.ts';
import { sendTo } from '../../server/test/fuzz/http.ts';
import type { Scenario } from '../report.ts';
import { startService } from '../service.ts';

/** Requests for each operation; a quarter of them where passwords are hashed. CI sends 60. */
const fullRuns = 200;
const quickRuns = 40;

const ERROR_LEVEL = 50;

/** Whether a line of the service's output is an entry of its log at level error or above. */
function isError(line: string): boolean {
  return line.startsWith('{') && JSON.parse(line).level >= ERROR_LEVEL;
}

/** Sends requests drawn from the schemas of the service's OpenAPI document, some broken on purpose, over real sockets. */
export const fuzz: Scenario = async ({ quick, seed }) => {
  const cluster = await createCluster({});
  const service = await startService({ databaseUrl: cluster.url });
  const { send, close } = sendTo(service.port);
  const { requests, failures } = await fuzzService({
    send,
    adminPassword: ADMIN_PASSWORD,
    seed,
    runs: quick ? quickRuns : fullRuns,
    forgive: () => cluster.connected(async (client) => void (await client.query('DELETE FROM throttles'))),
  });
  close();
  for (const failure of failures) say(failure);
  const unfolded = await cluster.connected(countUnfolded);
  const logged = service.output().split('\n').filter(isError);
  for (const line of logged.slice(0, 10)) say(line);
  await service.stop();
  await cluster.stop();
  return [
    {
      scenario: 'Fuzzing: every operation of the document, drawn and broken',
      times: requests,
      promised:
        'no 5xx, only documented statuses, answers true to their schema, what is invalid refused; state is the fold',
      seen: [
        `${failures.length} operations with a fault ${failures.map((failure) => failure.slice(0, 200)).join(', ')}`.trim(),
        `${unfolded} pairs not the fold`,
        `${logged.length} lines in the error log`,
        `${service.restarts()} restarts`,
      ].join('; '),
      held: failures.length === 0 && unfolded === 0 && logged.length === 0 && service.restarts() === 0,
    },
  ];
};
