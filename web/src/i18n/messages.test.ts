import { problems } from '@kohort/contract';
import { describe, expect, it } from 'vitest';
import { en } from './en.ts';
import { fill, type Message } from './messages.ts';
import { ru } from './ru.ts';

const formsOf = (message: Message): readonly string[] =>
  typeof message === 'string' ? [message] : Object.values(message);
const namesIn = (text: string): readonly string[] =>
  [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '').sort();

describe('the two languages', () => {
  it('have the same keys', () => {
    expect(Object.keys(ru).sort()).toEqual(Object.keys(en).sort());
  });

  it.each(Object.entries(en) as [keyof typeof en, Message][])('name the same values: %s', (key, message) => {
    const names = new Set(formsOf(message).flatMap(namesIn));
    for (const form of formsOf(ru[key])) for (const name of namesIn(form)) expect(names).toContain(name);
    expect(formsOf(ru[key]).some((form) => form.trim() === '')).toBe(false);
  });

  it.each(Object.keys(problems))('have a sentence for the problem %s', (code) => {
    expect(ru).toHaveProperty([`problem.${code}`]);
  });

  it('have every plural form their language has', () => {
    const forms = (language: string) => new Set(new Intl.PluralRules(language).resolvedOptions().pluralCategories);
    for (const [language, messages] of [
      ['en', en],
      ['ru', ru],
    ] as const) {
      for (const message of Object.values<Message>(messages)) {
        if (typeof message !== 'string') expect(new Set(Object.keys(message))).toEqual(forms(language));
      }
    }
  });
});

describe('a message', () => {
  it('chooses the plural of its language', () => {
    const count = (count: number) => fill(ru['list.shown'], { count }, 'ru').replaceAll('\u00a0', ' ');
    expect([1, 2, 5, 21, 1234].map(count)).toEqual([
      '1 сегмент',
      '2 сегмента',
      '5 сегментов',
      '21 сегмент',
      '1 234 сегмента',
    ]);
    expect(fill(en['list.shown'], { count: 1 }, 'en')).toBe('1 segment');
  });

  it('takes values as they are, also those that look like a place', () => {
    expect(fill('{a}', { a: '{b} <b>' }, 'en')).toBe('{b} <b>');
  });
});
