import cluster from 'node:cluster';
import { readConfig } from './config.ts';
import { complain } from './process/refusals.ts';
import { serve } from './process/serve.ts';
import { supervise } from './process/supervise.ts';

try {
  const config = readConfig(process.env);
  await (config.workers > 1 && cluster.isPrimary ? supervise(config) : serve(config));
} catch (error) {
  complain(error);
  process.exit(1);
}
