import { hintFor } from './connect.ts';
import { main } from './exits.ts';
import { importFile, importUsage } from './import-command.ts';

const COMMAND = 'npm run import --';
await main(
  () => importFile(process.argv.slice(2), COMMAND),
  importUsage(COMMAND),
  (error) => hintFor(error, process.env),
);
