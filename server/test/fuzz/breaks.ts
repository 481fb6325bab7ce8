import { isObject } from '@kohort/contract';
import type fc from 'fast-check';
import type { Operation, Parameter, Schema } from './document.ts';
import { accepts } from './document.ts';
import { rightRule, wrongRule } from './rules.ts';

/** A request before it is written out. */
export interface Draft {
  path: Record<string, string>;
  /** Written as they stand: already percent-encoded. */
  query: [name: string, value: string][];
  headers: Record<string, string>;
  body: unknown;
  /** Instead of `body`. */
  raw?: string | Buffer;
  credential:
    | 'fitting'
    | 'none'
    | 'garbage'
    | 'member'
    | 'viewer'
    | 'editor'
    | 'viewer key'
    | 'tagged key'
    | 'browser key';
}

/** What was done to a draft, and which statuses are right then; undefined: any that is documented. */
export interface Broken {
  readonly what: string;
  readonly statuses?: readonly number[];
}

/** Takes one of some. */
export type Pick = <T>(items: readonly T[]) => T;
/** Undefined: this cannot be done to this request. */
export type Break = (operation: Operation, draft: Draft, pick: Pick, draw: fc.GeneratorValue) => Broken | undefined;

const REFUSED = [400];
const deep = (levels: number) => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`);

const ODD: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1, 0.5, 0.0001, 101, 1e21, 2 ** 53, -(2 ** 53), 1e308, 3_153_600_001],
  ...[
    '',
    ' ',
    'a',
    '0',
    '1',
    '-1',
    'true',
    'null',
    '__proto__',
    'constructor',
    "'; DROP TABLE users; --",
    '%00',
    '\u202e',
    '👩‍👩‍👧',
  ],
  ...[
    '\ufeff',
    '=1+1',
    '$gt',
    '../../etc/passwd',
    '2026-02-30T00:00:00Z',
    '2026-01-01T00:00:60Z',
    'infinity',
    'now',
    '-',
    '.',
    'é',
  ],
  ...['x'.repeat(129), 'x'.repeat(256), 'x'.repeat(2001), 'x'.repeat(300_000), '\n', '\u007f', '\u0085', '2026-11-23'],
  ...[[], {}, [[]], { a: {} }, [null], deep(30), { $where: '1' }, { $and: [] }, { slug: 1 }, { length: 3 }],
];

/** Every place in a value, as the object or list that holds it and the key. */
function placesOf(value: unknown, found: [holder: Record<string, unknown>, key: string][] = []): typeof found {
  if (typeof value === 'object' && value !== null) {
    for (const key of Object.keys(value)) {
      found.push([value as Record<string, unknown>, key]);
      placesOf((value as Record<string, unknown>)[key], found);
    }
  }
  return found;
}

/** A change somewhere in the body; right is what the schema says of the outcome. */
const somewhere =
  (what: string, change: (place: [Record<string, unknown>, string], pick: Pick) => void, always = false): Break =>
  ({ body: schema }, draft, pick) => {
    const places = placesOf(draft.body);
    if (!schema || places.length === 0) return undefined;
    change(pick(places), pick);
    return always || !accepts(schema, draft.body) ? { what, statuses: REFUSED } : { what: `${what}, still valid` };
  };

const whole =
  (what: string, change: (text: string) => string | Buffer, statuses = REFUSED): Break =>
  ({ body }, draft) => {
    if (!body) return undefined;
    // Some calls take no body at all for one without fields.
    const text = JSON.stringify(draft.body ?? {});
    const changed = change(text);
    if (changed === 'null' && accepts(body, null)) return undefined;
    draft.raw = changed;
    return { what, statuses };
  };

/** The fields of a segment's rule, where the body has them. */
const withRule =
  (what: string, rule: fc.Arbitrary<object>, statuses: readonly number[]): Break =>
  ({ body: schema, path }, draft, _, draw) => {
    if (!schema?.properties?.ramp || !isObject(draft.body)) return undefined;
    Object.assign(
      draft.body,
      draw(() => rule),
    );
    // The segment in the path may be none, which may be said first.
    return { what, statuses: path.includes('{slug}') ? [...statuses, 404] : statuses };
  };

const inQuery =
  (what: string, value: (parameter: Parameter, pick: Pick) => string | undefined): Break =>
  ({ parameters }, draft, pick) => {
    const ours = parameters.filter((one) => one.in === 'query');
    if (ours.length === 0) return undefined;
    const parameter = pick(ours);
    const text = value(parameter, pick);
    if (text === undefined) return undefined;
    draft.query = [...draft.query.filter(([name]) => name !== parameter.name), [parameter.name, text]];
    // An empty value may count as none; the document says where.
    const isRight = text === '' && parameter.schema['x-empty-is-absent'];
    return { what: `${what} ${parameter.name}=${text.slice(0, 40)}`, ...(!isRight && { statuses: REFUSED }) };
  };

function oddParameter({ name, schema }: Parameter, pick: Pick): string | undefined {
  if (schema.type === 'integer') {
    const odd = ['-1', '1001', 'abc', '1e2', '1.5', '%2B5', '%205', '', '0x10', '%D9%A3', '010'];
    return pick(schema.minimum === 0 ? odd : ['0', ...odd]);
  }
  if (schema.format === 'date-time')
    return pick([
      'now',
      'infinity',
      '2026-11-23',
      '2026-13-01T00:00:00Z',
      '2026-02-30T00:00:00Z',
      '',
      '1',
      '2026-01-01T00:00:60Z',
    ]);
  if (schema.enum) return pick(['', 'TRUE', 'yes', '1', 'null']);
  if (name === 'cursor' || name === 'after') return pick(['garbage', 'AAAA', 'x'.repeat(2049), '', '%F0%9F%98%80']);
  if (schema.pattern !== undefined) return pick(['', '-', '%20', 'x'.repeat(256), '%C3%A9']);
  return schema.maxLength === undefined ? undefined : 'x'.repeat(schema.maxLength + 1);
}

const ODD_PATHS: Readonly<Record<string, readonly string[]>> = {
  user: [
    '0',
    '01',
    '-1',
    '1.0',
    '+1',
    '1e3',
    '0x10',
    '9007199254740992',
    'abc',
    'ext:',
    'ext:%00',
    'ext:%FF',
    'ext:%0A',
    '%20',
    '%D9%A3',
    `ext:${'x'.repeat(256)}`,
    'EXT:a',
    '%2e%2e%2f',
  ],
  slug: ['-', '.x', '_x', 'a%20b', '%C3%A9', '%00', 'a%00', '%FF', 'x'.repeat(256), 'a%2Fb', 'a,b', '%27'],
  flag: ['%00', 'a%00', '%FF', 'x'.repeat(1001)],
  stream: ['x'.repeat(1025), '%FF', 'a%20b'],
  id: ['0', '01', '-1', '1.0', '1e3', '0x1', 'abc', '99999999999999999', '%00', '%FF', '%201'],
  report: ['x'.repeat(513), '%FF'],
};

const RANK = { public: -1, session: 0, self: 1, browser: 1, member: 0, viewer: 1, editor: 2, admin: 3 };

export const BREAKS: readonly Break[] = [
  // Of the body.
  somewhere('another value', ([holder, key], pick) => {
    holder[key] = structuredClone(pick(ODD));
  }),
  somewhere('dropped', ([holder, key]) => {
    if (Array.isArray(holder)) holder.splice(Number(key), 1);
    else delete holder[key];
  }),
  somewhere(
    'NUL',
    ([holder, key]) => {
      holder[key] = 'a\0b';
    },
    true,
  ),
  somewhere(
    'a lone surrogate',
    ([holder, key], pick) => {
      holder[key] = pick(['\ud800', 'a\udfffb']);
    },
    true,
  ),
  somewhere(
    'a list too long',
    ([holder, key]) => {
      holder[key] = Array(1001).fill('x');
    },
    true,
  ),
  somewhere(
    'nested too deep',
    ([holder, key]) => {
      holder[key] = deep(100);
    },
    true,
  ),
  ({ body: schema }, draft, pick) => {
    if (!isStrict(schema) || !isObject(draft.body)) return undefined;
    const name = pick(['unknown', 'Slug', 'id', 'expiresAt', 'role ', '', 'toString', '\ud800', 'a\0']);
    draft.body = { ...draft.body, [name]: 1 };
    return { what: 'an extra field', statuses: REFUSED };
  },
  ({ body: schema }, draft, pick) => {
    const required = schema?.required ?? [];
    if (required.length === 0 || !isObject(draft.body)) return undefined;
    const dropped = pick(required);
    draft.body = Object.fromEntries(Object.entries(draft.body).filter(([name]) => name !== dropped));
    return { what: 'a required field dropped', statuses: REFUSED };
  },
  whole('__proto__', (text) => text.replace(/^\{/, '{"__proto__":{"x":1},')),
  whole('constructor', (text) => text.replace(/^\{/, '{"constructor":{"prototype":{"x":1}},')),
  whole('broken off', (text) => text.slice(0, -1)),
  whole('two values', (text) => `${text}${text}`),
  whole('invalid UTF-8', (text) => Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0xff, 0xfe, 0x7d])])),
  whole('a number beyond a double', (text) => text.replace(/\}$/, text === '{}' ? '"x":1e999}' : ',"x":1e999}')),
  whole('another kind of value', () => '[1]'),
  whole('null', () => 'null'),
  whole('huge', (text) => text.replace(/\}$/, `${' '.repeat(1024 * 1024)}}`), [413]),
  ({ body, uploads, method }, draft, pick) => {
    if (method === 'GET' || (!body && uploads.length === 0 && draft.raw !== undefined)) return undefined;
    draft.headers['content-type'] = pick([
      'text/plain',
      'application/xml',
      'application/json; charset=utf-16',
      'x',
      'multipart/form-data; boundary=x',
    ]);
    draft.raw = 'x';
    return { what: 'another media type', statuses: [415] };
  },
  ({ method, body, uploads }, draft, pick) => {
    if (method === 'GET') return undefined;
    if (!body && uploads.length === 0) draft.raw = '{}';
    draft.headers['content-encoding'] = pick(['gzip', 'br', 'x']);
    draft.headers['content-type'] ??= 'application/json';
    return { what: 'an encoding', statuses: [415] };
  },
  ({ method, body, uploads }, draft) => {
    if (method === 'GET' || body || uploads.length > 0) return undefined;
    draft.headers['content-type'] = 'application/json';
    draft.raw = '{"x":1}';
    return { what: 'a body where none is taken', statuses: REFUSED };
  },
  withRule('a right rule', rightRule, [200, 201, 202, 409, 422]),
  withRule('a wrong rule', wrongRule, REFUSED),
  // Of the query.
  inQuery('odd', oddParameter),
  inQuery('NUL in', () => 'a%00'),
  inQuery('invalid UTF-8 in', () => '%FF'),
  (_, draft, pick) => {
    draft.query.push([pick(['unknown', 'Limit', '__proto__', 'constructor', 'limit%5B%5D', '']), '1']);
    return { what: 'an unknown parameter', statuses: REFUSED };
  },
  (_, draft) => {
    const [first] = draft.query;
    if (!first) return undefined;
    draft.query.push(first);
    return { what: 'a parameter twice', statuses: REFUSED };
  },
  // Of the path.
  (_, draft, pick) => {
    const names = Object.keys(draft.path);
    if (names.length === 0) return undefined;
    const name = pick(names);
    const odd = pick(ODD_PATHS[name] ?? ['%00']);
    draft.path[name] = odd;
    return { what: `${name} ${odd.slice(0, 40)}`, statuses: REFUSED };
  },
  // Of the headers.
  ({ parameters }, draft, pick) => {
    if (!parameters.some(({ name }) => name === 'idempotency-key')) return undefined;
    draft.headers['idempotency-key'] = pick(['x'.repeat(256), 'é', 'a\tb', '']);
    return { what: 'a bad Idempotency-Key', statuses: REFUSED };
  },
  ({ parameters }, draft, pick) => {
    if (!parameters.some(({ name }) => name === 'if-match')) return undefined;
    draft.headers['if-match'] = pick(['1', 'x', '', '"1', '"1" "2"']);
    return { what: 'a bad If-Match', statuses: REFUSED };
  },
  // Of the credential; these come first, whatever else is wrong.
  ({ access }, draft) => {
    draft.credential = 'none';
    return { what: 'no token', ...(access !== 'public' && { statuses: [401] }) };
  },
  (_, draft) => {
    draft.credential = 'garbage';
    return { what: 'a bad token', statuses: [401] };
  },
  ({ access }, draft, pick) => {
    const below = (['member', 'viewer', 'editor'] as const).filter((role) => RANK[role] < RANK[access]);
    if (access === 'session') draft.credential = 'viewer key';
    else if (below.length > 0) draft.credential = pick(below);
    else return undefined;
    return { what: `as ${draft.credential}`, statuses: [403] };
  },
  ({ access }, draft) => {
    draft.credential = 'browser key';
    return { what: 'a browser key, from no web page', ...(access !== 'public' && { statuses: [403] }) };
  },
  (_, draft) => {
    draft.credential = 'tagged key';
    return { what: 'a key with tags' };
  },
];

function isStrict(schema: Schema | undefined): boolean {
  return schema?.additionalProperties === false;
}
