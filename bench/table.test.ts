import { expect, it } from 'vitest';
import { formatCount, formatDecimal, renderTable } from './table.ts';

it('lines columns up, figures to the right', () => {
  const table = renderTable({
    columns: ['Who', 'Requests/s'],
    rows: [
      ['us', '12,345'],
      ['the peer', '999'],
    ],
  });
  expect(table.split('\n')).toEqual([
    '| Who      | Requests/s |',
    '|----------|-----------:|',
    '| us       |     12,345 |',
    '| the peer |        999 |',
  ]);
});

it('leaves words that begin with a figure to the left', () => {
  const [, rule] = renderTable({
    columns: ['Who', 'ms'],
    rows: [
      ['10 users', '–'],
      ['20 users', '1.25'],
    ],
  }).split('\n');
  expect(rule).toBe('|----------|-----:|');
});

it('holds with no rows', () => {
  expect(renderTable({ columns: ['A'], rows: [] })).toBe('| A   |\n|-----|');
});

it('writes as many figures as mean something', () => {
  expect(formatCount(1_234_567.8)).toBe('1,234,568');
  expect([0.1234, 12.34, 1234.5, undefined, Number.NaN].map(formatDecimal)).toEqual([
    '0.12',
    '12.3',
    '1,235',
    '–',
    '–',
  ]);
});
