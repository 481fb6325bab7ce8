import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTime } from './time.ts';

describe('a time is RFC 3339 with an offset, years 1970–9999', () => {
  it.each([
    ['2026-11-23T08:00:00Z', '2026-11-23T08:00:00.000Z'],
    ['2026-11-23t08:00:00z', '2026-11-23T08:00:00.000Z'],
    ['2026-11-23T08:00:00.5Z', '2026-11-23T08:00:00.500Z'],
    ['2026-11-23T08:00:00.1239Z', '2026-11-23T08:00:00.123Z'],
    ['2026-11-23T08:00:00.123456789012Z', '2026-11-23T08:00:00.123Z'],
    ['2026-11-23T08:00:00+03:00', '2026-11-23T05:00:00.000Z'],
    ['2026-11-23T08:00:00-03:30', '2026-11-23T11:30:00.000Z'],
    ['2026-11-23T08:00:00+23:59', '2026-11-22T08:01:00.000Z'],
    ['2026-11-23T08:00:00-23:59', '2026-11-24T07:59:00.000Z'],
    ['2026-11-23T08:00:00-00:00', '2026-11-23T08:00:00.000Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000Z'],
    ['2000-02-29T00:00:00Z', '2000-02-29T00:00:00.000Z'],
    ['1970-01-01T00:00:00Z', '1970-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('takes %s', (text, instant) => {
    expect(parseTime(text)?.toISOString()).toBe(instant);
  });

  it.each([
    'infinity',
    '-infinity',
    'now',
    'today',
    'tomorrow',
    'epoch',
    '',
    '2026-11-23',
    '2026-11-23T08:00Z',
    '2026-11-23T08:00:00',
    '2026-11-23 08:00:00Z',
    ' 2026-11-23T08:00:00Z',
    '2026-11-23T08:00:00Z ',
    '2026-11-23T08:00:00Z\n',
    '2026-11-23T08:00:60Z',
    '2026-06-30T23:59:60Z',
    '2026-11-23T08:60:00Z',
    '2026-11-23T24:00:00Z',
    '2026-02-30T00:00:00Z',
    '2026-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2100-02-29T00:00:00Z',
    '2026-04-31T00:00:00Z',
    '2026-01-32T00:00:00Z',
    '2026-00-10T00:00:00Z',
    '2026-13-10T00:00:00Z',
    '2026-11-00T00:00:00Z',
    '1969-12-31T23:59:59Z',
    '1969-12-31T23:30:00-01:00',
    '1970-01-01T00:00:00+01:00',
    '0000-01-01T00:00:00Z',
    '0070-01-01T00:00:00Z',
    '0099-01-01T00:00:00Z',
    '9999-12-31T23:59:59-01:00',
    '10000-01-01T00:00:00Z',
    '+010000-01-01T00:00:00Z',
    '-2026-11-23T08:00:00Z',
    '2026-11-23T08:00:00+24:00',
    '2026-11-23T08:00:00+03:60',
    '2026-11-23T08:00:00+0300',
    '2026-11-23T08:00:00+03',
    '2026-11-23T08:00:00 UTC',
    '2026-11-23T08:00:00Europe/Berlin',
    '2026-11-23T08:00:00.Z',
    '2026-11-23T08:00:00,5Z',
    '2026-W48-1T08:00:00Z',
    '20261123T080000Z',
    '1795420800',
    '٢٠٢٦-١١-٢٣T٠٨:٠٠:٠٠Z',
  ])('refuses %j', (text) => {
    expect(parseTime(text)).toBeUndefined();
  });

  it('reads back whatever is answered', () => {
    const times = fc.date({
      min: new Date('1970-01-01T00:00:00Z'),
      max: new Date('9999-12-31T23:59:59.999Z'),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(times, (time) => {
        expect(parseTime(time.toISOString())).toEqual(time);
      }),
    );
  });

  it('means the same instant with any offset', () => {
    const times = fc.date({ min: new Date('1980-01-01'), max: new Date('9990-01-01'), noInvalidDate: true });
    const offsets = fc.integer({ min: -(23 * 60 + 59), max: 23 * 60 + 59 });
    fc.assert(
      fc.property(times, offsets, (time, offset) => {
        const local = new Date(time.getTime() + offset * 60_000).toISOString().slice(0, -1);
        const [hours, minutes] = [Math.trunc(Math.abs(offset) / 60), Math.abs(offset) % 60];
        const zone = `${offset < 0 ? '-' : '+'}${String(hours).padStart(2, '0')}:${String(minutes).padStart(2, '0')}`;
        expect(parseTime(`${local}${zone}`)).toEqual(time);
      }),
    );
  });
});
