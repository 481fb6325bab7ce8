import { inject } from 'vitest';
import { leadThroughPooler } from './pooler.ts';

const poolerPort = inject('poolerPort');
if (poolerPort) leadThroughPooler({ postgres: Number(new URL(inject('postgresUrl')).port), pooler: poolerPort });
