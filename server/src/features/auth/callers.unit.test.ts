import { describe, expect, it } from 'vitest';
import type { Caller } from '../../http/caller.ts';
import { Callers, type Known } from './callers.ts';

function known(userId: number, expiresAt = Number.POSITIVE_INFINITY): Known {
  const caller: Caller = { kind: 'session', role: 'viewer', userId, sessionId: `s${userId}`, actor: `user:${userId}` };
  return { caller, expiresAt };
}

/** A world of tokens `t<id>`, whose clock stands still until it is moved. */
function world(options: { capacity?: number } = {}) {
  let clock = 0;
  const reads: string[] = [];
  const good = new Map<string, Known>();
  let gate: Promise<void> | undefined;
  let away = false;
  const callers = new Callers({
    read: async (token) => {
      reads.push(token);
      const seen = good.get(token);
      await gate;
      if (away) throw new Error('away');
      return seen;
    },
    capacity: options.capacity ?? 10,
    maxAgeMs: 900,
    now: () => clock,
    elapsed: () => clock,
  });
  return {
    callers,
    good,
    reads,
    pass: (milliseconds: number) => {
      clock += milliseconds;
    },
    close: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      return () => {
        gate = undefined;
        resolve();
      };
    },
    lose: () => {
      away = true;
    },
  };
}

describe('the map of callers', () => {
  it('lets no caller join a read that began before what counts for them', async () => {
    const { callers, good, pass, close } = world();
    good.set('t1', known(1));
    const open = close();
    const early = callers.authenticate('t1');
    await Promise.resolve();
    good.delete('t1');
    pass(899);
    // Revoked less than that ago: it may or may not count yet.
    const soon = callers.authenticate('t1');
    pass(1);
    const late = callers.authenticate('t1');
    open();
    expect([(await early)?.userId, (await soon)?.userId, await late]).toEqual([1, 1, undefined]);
    expect(await callers.authenticate('t1')).toBeUndefined();
  });

  it('reads a token once, and again when what it knows is too old', async () => {
    const { callers, good, reads, pass } = world();
    good.set('t1', known(1));
    expect((await callers.authenticate('t1'))?.userId).toBe(1);
    pass(899);
    expect((await callers.authenticate('t1'))?.userId).toBe(1);
    expect(reads).toHaveLength(1);
    good.delete('t1');
    pass(1);
    expect(await callers.authenticate('t1')).toBeUndefined();
    expect(reads).toHaveLength(2);
    expect(callers.size).toBe(0);
  });

  it('shares one read among concurrent callers', async () => {
    const { callers, good, reads, pass } = world();
    good.set('t1', known(1));
    await Promise.all([1, 2, 3].map(() => callers.authenticate('t1')));
    pass(1000);
    await Promise.all([1, 2, 3].map(() => callers.authenticate('t1')));
    expect(reads).toHaveLength(2);
  });

  it('refuses at the moment of expiry, without reading', async () => {
    const { callers, good, reads, pass } = world();
    good.set('t1', known(1, 500));
    pass(499);
    expect(await callers.authenticate('t1')).toBeDefined();
    pass(1);
    expect(await callers.authenticate('t1')).toBeUndefined();
    expect(reads).toHaveLength(1);
  });

  it('is bounded, and garbage does not fill it', async () => {
    const { callers, good, reads } = world({ capacity: 3 });
    for (let i = 1; i <= 5; i++) {
      good.set(`t${i}`, known(i));
      await callers.authenticate(`t${i}`);
      await callers.authenticate(`garbage${i}`);
    }
    expect(callers.size).toBe(3);
    reads.length = 0;
    await callers.authenticate('t5');
    expect(reads).toEqual([]);
    await callers.authenticate('t1');
    expect(reads).toEqual(['t1']);
  });

  it('forgets at once, only those it is told to', async () => {
    const { callers, good, reads } = world();
    good.set('t1', known(1)).set('t2', known(2));
    await callers.authenticate('t1');
    await callers.authenticate('t2');
    good.delete('t1');
    callers.forget(({ caller }) => caller.userId === 1);
    reads.length = 0;
    expect(await callers.authenticate('t1')).toBeUndefined();
    expect(await callers.authenticate('t2')).toBeDefined();
    expect(reads).toEqual(['t1']);
  });

  it('knows a token in its usual credential for as long as its read is young, and not once it is forgotten', async () => {
    const { callers, good, pass } = world();
    good.set('t1', known(1)).set('t2', known(2, 500));
    expect(callers.known('Bearer t1')).toBeUndefined();
    await callers.authenticate('t1');
    await callers.authenticate('t2');
    expect(callers.known('Bearer t1')?.userId).toBe(1);
    expect(['t1', 'bearer t1', 'Bearer  t1', 'Bearer t1 '].map((credential) => callers.known(credential))).toEqual(
      Array(4).fill(undefined),
    );
    pass(500);
    expect(callers.known('Bearer t2'), 'expired').toBeUndefined();
    callers.forget(({ caller }) => caller.userId === 1);
    expect(callers.known('Bearer t1')).toBeUndefined();
    await callers.authenticate('t1');
    pass(900);
    expect(callers.known('Bearer t1'), 'too old').toBeUndefined();
  });

  it('does not let a read from before a revocation live on after it', async () => {
    const { callers, good, close } = world();
    good.set('t1', known(1));
    const open = close();
    const before = callers.authenticate('t1');
    good.delete('t1');
    callers.forget(({ caller }) => caller.userId === 1);
    const after = callers.authenticate('t1');
    open();
    expect(await before).toBeDefined();
    expect(await after).toBeUndefined();
    expect(await callers.authenticate('t1')).toBeUndefined();
  });

  it('fails when it cannot read, instead of answering from what it knew', async () => {
    const { callers, good, pass, lose } = world();
    good.set('t1', known(1));
    await callers.authenticate('t1');
    lose();
    expect(await callers.authenticate('t1')).toBeDefined();
    pass(900);
    await expect(callers.authenticate('t1')).rejects.toThrow('away');
    await expect(callers.authenticate('t2')).rejects.toThrow('away');
  });
});
