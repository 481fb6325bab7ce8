import type { Json } from './json.ts';

/** An instant that attributes are compared with: fixed, or so far from the moment of the read; in milliseconds. */
export type Instant =
  | { readonly kind: 'fixed'; readonly ms: number }
  | { readonly kind: 'relative'; readonly offsetMs: number };

/** No clock of use writes longer ones; a bound on the work that one text takes. */
const maxLength = 64;

const form =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2})))?$/;

const daysOf400Years = 146_097;
const dayMs = 86_400_000;

/**
 * The instant that a text names, in milliseconds since 1970: an RFC 3339 time with any offset (finer fractions are cut off), or
 * a date, its midnight in UTC. Undefined for any other text, such as one that names no day of the calendar. The SQL function
 * kohort_instant reads the same.
 */
export function parseInstant(text: string): number | undefined {
  const match = text.length > maxLength ? null : form.exec(text);
  if (match === null) return undefined;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  // Date.UTC takes the years 0 to 99 for 1900 to 1999, so it is asked 400 years later, when the calendar is the same.
  const later = Date.UTC(year + 400, month - 1, day);
  const date = new Date(later);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const midnight = later - daysOf400Years * dayMs;
  if (match[4] === undefined) return midnight;
  const [hour, minute, second] = [Number(match[4]), Number(match[5]), Number(match[6])];
  const [offsetHour, offsetMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  if (hour > 23 || minute > 59 || second > 59 || offsetHour > 23 || offsetMinute > 59) return undefined;
  const millisecond = Number((match[7] ?? '').slice(0, 3).padEnd(3, '0'));
  const offset = (offsetHour * 60 + offsetMinute) * 60_000 * (match[8] === '-' ? -1 : 1);
  return midnight + ((hour * 60 + minute) * 60 + second) * 1_000 + millisecond - offset;
}

/** The instant that an attribute is: such a text, or a number of milliseconds since 1970. */
export function instantOf(value: Json | undefined): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'string' ? parseInstant(value) : undefined;
}

const relativeForm = /^now(?:([+-])([0-9]{1,9})([smhdw]))?$/;
const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: dayMs, w: 7 * dayMs };
const maxOffsetMs = 4_000 * 366 * dayMs;

/** Reads an operand: a time or a date as attributes have them, or `now`, `now-7d`, `now+90m`. */
export function parseInstantOperand(text: string): Instant | undefined {
  const match = relativeForm.exec(text);
  if (match === null) {
    const ms = parseInstant(text);
    return ms === undefined ? undefined : { kind: 'fixed', ms };
  }
  const [, sign, count = '0', unit = 's'] = match;
  const offsetMs = Number(count) * (unitMs[unit] ?? 0);
  if (offsetMs > maxOffsetMs) return undefined;
  // Never -0: `now-0d` is `now`.
  return { kind: 'relative', offsetMs: sign === '-' && offsetMs > 0 ? -offsetMs : offsetMs };
}
