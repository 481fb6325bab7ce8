interface Rule {
  readonly slug: string;
  readonly ramp?: object;
  readonly condition?: object;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** The kinds of conditions on dates. The operands depend on `i`; `at` takes milliseconds from now. */
const KINDS: readonly ((i: number, at: (ms: number) => string) => object)[] = [
  (i) => ({ last_order: { $after: `now-${1 + i}d` } }),
  (i, at) => ({ signed_up: { $before: at(-7 * i * DAY_MS).slice(0, 10) } }),
  (i, at) => ({ last_order: { $after: at(-3 * (1 + i) * DAY_MS).replace('Z', '+03:00'), $before: 'now-12h' } }),
  (i) => ({ renews_at: { $after: 'now', $before: `now+${1 + i}d` } }),
  (i, at) => ({ signed_up: { $after: 'now-26w' }, renews_at: { $before: at(3 * (1 + i) * DAY_MS) } }),
];

/** 50 segments with a ramp in progress, of hours to weeks, and 50 with conditions on absolute and relative dates. */
export function timedRules(now: number): readonly Rule[] {
  const at = (ms: number) => new Date(now + ms).toISOString();
  const fifty = Array.from({ length: 50 }, (_, i) => i);
  return [
    ...fifty.map((i) => ({
      slug: `RAMP_${i}`,
      ramp: { from: 2 * (1 + (i % 10)), to: 100, starts_at: at(-(1 + i) * HOUR_MS), ends_at: at((1 + i) * DAY_MS) },
    })),
    ...fifty.map((i) => ({ slug: `DATED_${i}`, condition: KINDS[i % KINDS.length]?.(i, at) ?? {} })),
  ];
}
