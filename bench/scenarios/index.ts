import type { ScenarioName } from '../options.ts';
import type { Findings } from '../ratio.ts';
import type { Stage } from '../stage.ts';
import { add } from './add.ts';
import { bulk } from './bulk.ts';
import { client } from './client.ts';
import { mixed } from './mixed.ts';
import { ofrep } from './ofrep.ts';
import { overload } from './overload.ts';
import { read } from './read.ts';
import { replica } from './replica.ts';
import { resolve } from './resolve.ts';
import { rules } from './rules.ts';
import { sizes } from './sizes.ts';
import { timed } from './timed.ts';
import { workers } from './workers.ts';

/** In the order of the table. */
export const scenarios: Readonly<Record<ScenarioName, (stage: Stage) => Promise<Findings>>> = {
  read,
  rules,
  timed,
  resolve,
  ofrep,
  client,
  replica,
  add,
  mixed,
  workers,
  overload,
  bulk,
  sizes,
};
