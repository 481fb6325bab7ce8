/** A text with `{names}` in it, or one for each plural category of the language, chosen by `{count}`. */
export type Message = string | Readonly<Partial<Record<Intl.LDMLPluralRule, string>> & { other: string }>;

type Names<Text> = Text extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never;
type Texts<M> = M extends string ? M : M extends { other: infer Other } ? Other : never;
type Value<Name> = Name extends 'count' ? number : string | number;

/** What a message needs: a value for each name in it. */
export type Values<M> = { readonly [Name in Names<Texts<M>> | (M extends string ? never : 'count')]: Value<Name> };

/** Puts the values into a message; numbers as the language writes them. */
export function fill(message: Message, values: Readonly<Record<string, string | number>>, language: string): string {
  const text = typeof message === 'string' ? message : pluralOf(message, Number(values.count), language);
  return text.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name] ?? '';
    return typeof value === 'number' ? numberFormat(language).format(value) : value;
  });
}

function pluralOf(message: Exclude<Message, string>, count: number, language: string): string {
  return message[pluralRules(language).select(count)] ?? message.other;
}

function remembered<T>(make: (language: string) => T): (language: string) => T {
  const made = new Map<string, T>();
  return (language) => {
    const found = made.get(language) ?? make(language);
    made.set(language, found);
    return found;
  };
}

const pluralRules = remembered((language) => new Intl.PluralRules(language));
const numberFormat = remembered((language) => new Intl.NumberFormat(language, { maximumFractionDigits: 3 }));
