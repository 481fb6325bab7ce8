import { describe, expect, it } from 'vitest';
import { en } from '../../i18n/en.ts';
import { speechOf } from '../../i18n/language.ts';
import { ru } from '../../i18n/ru.ts';
import { ruleWords } from './words.ts';

const english = speechOf('en', en);
const russian = speechOf('ru', ru);
const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe('a rule in words', () => {
  it.each([
    [{}, 'People added by hand'],
    [{ condition: {} }, 'Everyone'],
    [
      { percentage: 30, condition: { country: 'NL', orders: { $gte: 3 } } },
      '30 % of users where country is NL and orders is at least 3',
    ],
    [
      { condition: { $or: [{ a: 1, b: 2 }, { c: { $exists: false } }] } },
      'Everyone where (a is 1 and b is 2) or c is absent',
    ],
    [{ condition: { $nor: [{ a: 1 }] } }, 'Everyone where none of a is 1'],
    [{ condition: { email: { $regex: '@example\\.com$' } } }, 'Everyone where email ends with @example.com'],
    [{ condition: { $notInSegment: 'STAFF' } }, 'Everyone where not in segment STAFF'],
    [{ layer: { slug: 'CHECKOUT', from: 0, to: 12.5 } }, 'Those at 0 % to 12.5 % of the layer CHECKOUT'],
    [{ percentage: 5, bucket_by: 'company.id' }, '5 % of users, by company.id'],
  ] as const)('%j', (rule, words) => {
    expect(plain(ruleWords(rule, english))).toBe(words);
  });

  it('speaks Russian', () => {
    const rule = { percentage: 30, condition: { country: { $in: ['NL', 'BE'] } } };
    expect(plain(ruleWords(rule, russian))).toBe('30 % пользователей, у кого country одно из NL или BE');
  });

  it('shows text that looks like markup as the text it is', () => {
    expect(ruleWords({ condition: { '<b>': '<img src=x>' } }, english)).toBe('Everyone where <b> is <img src=x>');
  });
});
