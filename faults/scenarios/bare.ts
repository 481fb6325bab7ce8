import { say } from '@kohort/testkit/processes.ts';
import { createRoot, obstacle, tryCommands } from '../bare.ts';
import { type Row, type Scenario, skipped } from '../report.ts';

// Not 26: it needs libatomic1, which a minimal Debian lacks. Users of 26 have installed that.
const VERSIONS = ['20.20.2', '22.23.3', '24.21.0'];
const NAME = 'The two commands of the README on a minimal Debian';

/** `npm ci && npm start` and `npm test`, where nothing but Node and npm is installed. */
export const bare: Scenario = async ({ quick }) => {
  const why = await obstacle();
  if (why !== undefined) return [skipped(NAME, why)];
  const root = await createRoot();
  const rows: Row[] = [];
  for (const version of quick ? VERSIONS.slice(0, 1) : VERSIONS) {
    say(`  Node ${version}`);
    const { code, output } = await tryCommands(root, version);
    const answer = /^ANSWER (.*)$/m.exec(output)?.[1] ?? '';
    const held = code === 0 && answer === '200 {"segments":["A"]}';
    rows.push({
      scenario: `${NAME}, Node ${version}`,
      times: 1,
      promised: 'both work, with nothing else installed',
      seen: held ? answer : `exit code ${code}: ${output.slice(-600)}`,
      held,
    });
  }
  return rows;
};
