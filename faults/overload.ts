import { join } from 'node:path';
import { startChild } from '@kohort/testkit/processes.ts';
import type { Flooded } from './flood.ts';
import type { Supervised } from './service.ts';

const FLOOD = join(import.meta.dirname, 'flood.ts');

export interface Place {
  readonly service: Supervised;
  readonly token: string;
  /** The first user's id, and how many there are. */
  readonly users: readonly [number, number];
}

/** The calls: reads, or additions and removals. */
export interface Kind {
  readonly name: 'reads' | 'writes';
  readonly slugs?: readonly string[];
}

export interface Offering {
  readonly sockets: number;
  readonly seconds: number;
  readonly warmUp: number;
  /** Requests a second that come due; without it each caller sends the next request when it has an answer. */
  readonly rate?: number;
}

export async function flood({ service, token, users }: Place, { slugs }: Kind, offering: Offering): Promise<Flooded> {
  const settings = { port: service.port, token, users, slugs, ...offering };
  const child = await startChild({ args: [FLOOD, JSON.stringify(settings)] });
  const { code, stdout, stderr } = await child.exit;
  if (code !== 0) throw new Error(`the flood ended with ${code}: ${stdout}${stderr}`);
  return JSON.parse(stdout) as Flooded;
}

export interface Capacity {
  /** The most answers in a second. */
  readonly rate: number;
  /** The number of concurrent callers at which that was reached. */
  readonly callers: number;
}

/** Answers a second to that many callers, who send requests without a pause. */
export async function rateOf(place: Place, kind: Kind, callers: number): Promise<number> {
  const { answered, seconds } = await flood(place, kind, { sockets: callers, warmUp: 1, seconds: 3 });
  return answered / seconds;
}

/** Adds callers until the rate of answers no longer grows. */
export async function measureCapacity(place: Place, kind: Kind, steps: readonly number[]): Promise<Capacity> {
  let best: Capacity = { rate: 0, callers: 0 };
  for (const callers of steps) {
    const rate = await rateOf(place, kind, callers);
    if (rate > best.rate) best = { rate, callers };
  }
  return best;
}
