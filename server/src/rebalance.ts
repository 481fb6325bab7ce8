import { runCommand } from './postgres/citus/command.ts';
import { rebalance } from './postgres/citus/rebalance.ts';

await runCommand('rebalance', rebalance);
