import { hintFor } from './connect.ts';
import { main } from './exits.ts';
import { exportFile, exportUsage } from './export-command.ts';

const COMMAND = 'npm run -s export --';
await main(
  () => exportFile(process.argv.slice(2), COMMAND),
  exportUsage(COMMAND),
  (error) => hintFor(error, process.env),
);
