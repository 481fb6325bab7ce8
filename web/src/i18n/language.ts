import { createContext, useContext } from 'react';
import type { en } from './en.ts';
import { fill, type Message, type Values } from './messages.ts';

export const languages = { en: 'English', ru: 'Русский' } as const;
export type Language = keyof typeof languages;
export type Messages = { readonly [Key in keyof typeof en]: Message };
export type Key = keyof typeof en;

type NoValues = Record<never, never>;
/** The text of a key, with the values that its English form names. */
export type Text = <K extends Key>(
  key: K,
  ...values: NoValues extends Values<(typeof en)[K]> ? [] : [Values<(typeof en)[K]>]
) => string;

export interface Speech {
  readonly language: Language;
  readonly text: Text;
  /** For keys that are composed at run time; the compiler has checked that they exist. */
  readonly plain: (key: Key) => string;
  /** Likewise for keys that come from outside; undefined if there is no such key. */
  readonly find: (key: string) => string | undefined;
  readonly number: (value: number) => string;
  readonly percent: (value: number) => string;
  /** A number of bytes, in the unit that suits it. */
  readonly size: (bytes: number) => string;
  readonly duration: (seconds: number) => string;
  readonly date: (time: string | number | Date) => string;
  readonly moment: (time: string | number | Date) => string;
  readonly list: (items: readonly string[], type?: 'conjunction' | 'disjunction') => string;
  readonly ago: (time: string | number | Date) => string;
}

function isKey(messages: Messages, key: string): key is Key {
  return Object.hasOwn(messages, key);
}

const units: readonly (readonly ['year' | 'month' | 'day' | 'hour' | 'minute', number])[] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
];

export function speechOf(language: Language, messages: Messages): Speech {
  const numbers = new Intl.NumberFormat(language, { maximumFractionDigits: 3 });
  const dates = new Intl.DateTimeFormat(language, { dateStyle: 'medium' });
  const moments = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' });
  const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto' });
  return {
    language,
    text: (key, ...[values]) => fill(messages[key], values ?? {}, language),
    plain: (key) => fill(messages[key], {}, language),
    find: (key) => (isKey(messages, key) ? fill(messages[key], {}, language) : undefined),
    number: (value) => numbers.format(value),
    // A no-break space before the sign, by the typographic rules of both languages.
    percent: (value) => `${numbers.format(value)}\u00a0%`,
    size: (bytes) => sizeWords(bytes, language),
    duration: (seconds) => {
      const [unit, length] = units.find(([, size]) => seconds >= size) ?? ['second', 1];
      const format = { style: 'unit', unit, unitDisplay: 'long', maximumFractionDigits: 0 } as const;
      return new Intl.NumberFormat(language, format).format(seconds / length);
    },
    date: (time) => dates.format(new Date(time)),
    moment: (time) => moments.format(new Date(time)),
    list: (items, type = 'conjunction') => new Intl.ListFormat(language, { type }).format(items),
    ago: (time) => {
      const seconds = (new Date(time).getTime() - Date.now()) / 1000;
      const [unit, length] = units.find(([, size]) => Math.abs(seconds) >= size) ?? ['second', 1];
      return relative.format(Math.round(seconds / length), unit);
    },
  };
}

const sizeUnits = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;

function sizeWords(bytes: number, language: Language): string {
  const place = Math.min(sizeUnits.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(bytes, 1)) / 3)));
  const format = {
    style: 'unit',
    unit: sizeUnits[place] ?? 'byte',
    unitDisplay: 'short',
    maximumFractionDigits: 1,
  } as const;
  return new Intl.NumberFormat(language, format).format(bytes / 1000 ** place);
}

const chosenKey = 'kohort.language';

export function isLanguage(value: unknown): value is Language {
  return typeof value === 'string' && Object.hasOwn(languages, value);
}

/** The language chosen before, else that of the browser. */
export function preferredLanguage(): Language {
  const chosen = localStorage.getItem(chosenKey);
  if (isLanguage(chosen)) return chosen;
  return navigator.languages.map((tag) => tag.slice(0, 2)).find(isLanguage) ?? 'en';
}

export function rememberLanguage(language: Language): void {
  localStorage.setItem(chosenKey, language);
}

/** Loads a language, which is a separate chunk. */
export async function loadSpeech(language: Language): Promise<Speech> {
  const messages: Messages = language === 'ru' ? (await import('./ru.ts')).ru : (await import('./en.ts')).en;
  return speechOf(language, messages);
}

export const SpeechContext = createContext<Speech | undefined>(undefined);
export const LanguageContext = createContext<(language: Language) => void>(() => {});

export function useSpeech(): Speech {
  const speech = useContext(SpeechContext);
  if (!speech) throw new Error('no language was loaded');
  return speech;
}
