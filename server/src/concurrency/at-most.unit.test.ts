import { setTimeout } from 'node:timers/promises';
import { Problem } from '@kohort/contract';
import { describe, expect, it } from 'vitest';
import { AtMost } from './at-most.ts';

const options = { refusal: 'Too many.', retryAfterSeconds: 1 };

describe('places', () => {
  it('run so many at once, in order, and refuse beyond the queue with 503', async () => {
    const places = new AtMost({ ...options, atOnce: 2, waiting: 3 });
    let running = 0;
    let most = 0;
    const order: number[] = [];
    const work = (n: number) =>
      places.run(async () => {
        most = Math.max(most, ++running);
        await setTimeout(5);
        order.push(n);
        running--;
      });
    const all = await Promise.allSettled([0, 1, 2, 3, 4, 5].map(work));
    expect(most).toBe(2);
    expect(order).toEqual([0, 1, 2, 3, 4]);
    const refused = all[5]?.status === 'rejected' ? all[5].reason : undefined;
    expect(refused).toBeInstanceOf(Problem);
    expect(refused).toMatchObject({ code: 'overloaded', status: 503, headers: { 'retry-after': '1' } });
  });

  it('are given back by work that fails', async () => {
    const places = new AtMost({ ...options, atOnce: 1, waiting: 1 });
    await expect(
      places.run(async () => {
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(await places.run(async () => 'yes')).toBe('yes');
  });

  it('are shared out among callers', () => {
    const places = new AtMost({ ...options, atOnce: 8, factor: 1 });
    const leave = Array.from({ length: 4 }, () => places.enter('greedy'));
    expect(() => places.enter('greedy')).toThrow('Too many.');
    places.enter('other');
    leave[0]?.();
    leave[0]?.();
    places.enter('greedy');
    expect(() => places.enter('greedy')).toThrow('Too many.');
  });
});
