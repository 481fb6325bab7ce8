import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Service, startService } from '../../test/service.ts';

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

/** Abbreviations and units of other than the base size, as `promtool check metrics` knows them. */
const UNITS =
  /_(?:ms|us|ns|s|secs?|milliseconds|microseconds|nanoseconds|minutes|hours|days|weeks|kb|mb|gb|kilobytes|megabytes|gigabytes|percent)(?:_|$)/;

/** The rules of `promtool check metrics`. */
function complaintOf({ name, type, help }: { name: string; type: string; help: string }): string | undefined {
  if (help.trim() === '') return 'no help text';
  if (type === 'counter' && !name.endsWith('_total')) return 'counter metrics should have "_total" suffix';
  if (type !== 'counter' && name.endsWith('_total')) return 'non-counter metrics should not have "_total" suffix';
  if (type !== 'histogram' && /_bucket$/.test(name)) return 'non-histogram metrics should not have "_bucket" suffix';
  if (!['histogram', 'summary'].includes(type) && /_(?:count|sum)$/.test(name)) return 'a suffix of histograms';
  if (/_(?:counter|gauge|histogram|summary|untyped)(?:_|$)/.test(name)) return 'name includes the type';
  if (/[A-Z]|:/.test(name)) return 'name is not in snake_case';
  if (UNITS.test(name)) return 'not a base unit';
  return undefined;
}

it('every metric keeps the rules of Prometheus for names', async () => {
  const { text } = await service.call('GET', '/metrics');
  const helps = new Map([...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name = '', help = '']) => [name, help]));
  const metrics = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => ({
    name,
    type,
    help: helps.get(name) ?? '',
  }));
  expect(metrics.length).toBeGreaterThan(30);
  expect(metrics.map((one) => [one.name, complaintOf(one)]).filter(([, complaint]) => complaint)).toEqual([]);
});

it.each([
  ['a gauge named as a counter', { name: 'x_total', type: 'gauge', help: 'x' }],
  ['a counter named as a gauge', { name: 'x', type: 'counter', help: 'x' }],
  ['milliseconds', { name: 'x_ms', type: 'gauge', help: 'x' }],
  ['no help', { name: 'x', type: 'gauge', help: '' }],
])('which would notice %s', (_, metric) => {
  expect(complaintOf(metric)).toBeDefined();
});
