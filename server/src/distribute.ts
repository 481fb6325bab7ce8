import { runCommand } from './postgres/citus/command.ts';
import { distribute } from './postgres/citus/distribute.ts';

await runCommand('distribute', distribute);
