import type { IncomingHttpHeaders } from 'node:http';
import { type Consistency, invalid } from '@kohort/contract';

/** What a caller asks for with the header `Consistency`. */
export function consistencyOf({ consistency }: IncomingHttpHeaders): Consistency {
  if (consistency === undefined) return 'usual';
  const asked = [consistency].flat().join(',').trim().toLowerCase();
  if (asked === 'strong' || asked === 'eventual') return asked;
  throw invalid('/headers/consistency', 'must be strong or eventual');
}
