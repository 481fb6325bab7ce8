import type { Endpoint } from '@kohort/contract';
import type { World } from './world.ts';

/** One call that is as large as the limits allow, or larger. */
export interface Input {
  readonly operation: string;
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Blob | undefined;
}

const mebibyteBytes = 1024 * 1024;
const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
/** As much of a text as fits into a body. */
const fill = (piece: (i: number) => string, bytes = mebibyteBytes - 4_096): string => {
  const pieces: string[] = [];
  for (let length = 0, i = 0; length < bytes; i++) {
    const next = piece(i);
    pieces.push(next);
    length += next.length + 1;
  }
  return pieces.join();
};

/** Bodies that no call accepts. */
const invalidBodies: readonly (readonly [string, string])[] = [
  ['unknown fields, 1 MiB of them', `{${fill((i) => `"f${i.toString(36)}":1`)}}`],
  ['4,900 unknown fields', `{${times(4_900, (i) => `"f${i}":1`).join()}}`],
  [
    'many objects of many fields',
    `{"a":[${times(6, (n) => `{${times(4_000, (i) => `"${n}x${i}":1`).join()}}`).join()}]}`,
  ],
  ['lists of 1,000 numbers, 1 MiB of them', `{"a":[${fill(() => `[${'1,'.repeat(999)}1]`)}]}`],
  ['small objects in lists, 1 MiB of them', `{"a":[${times(120, () => `[${'{"a":1},'.repeat(999)}{}]`).join()}]}`],
  ['a list of half a million entries', `{"a":[${'1,'.repeat(500_000)}1]}`],
  ['nesting half a million deep', `${'['.repeat(500_000)}${']'.repeat(500_000)}`],
  ['one text of 1 MiB', `{"slug":"${'x'.repeat(mebibyteBytes - 100)}"}`],
  ['escapes, 1 MiB of them', `{"name":"${'\\u0041'.repeat(174_000)}"}`],
  ['no JSON, 1 MiB of it', '{"a":'.repeat(200_000)],
];

const longPath = 'ext:'.padEnd(15_000, '%61');
const queries: readonly (readonly [string, string])[] = [
  ['a query of 7,500 parameters of one name', `?${'a&'.repeat(7_500)}`],
  ['a query of 3,000 parameters', `?${times(2_800, (i) => `p${i}`).join('&')}`],
];
const headerSets: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['1,000 ranges in Accept', { accept: times(900, (i) => `a/b${i};q=0.1`).join() }],
  ['cookies of 14 KiB', { cookie: times(2_000, (i) => `c${i}=`).join(';') }],
  ['hops of 14 KiB', { 'x-forwarded-for': '1,'.repeat(7_000) }],
];

function condition(world: World): object {
  return { $and: times(80, () => ({ lists: { $in: times(Math.min(world.users, 1_000), (k) => [k]) } })) };
}

/** The largest bodies that calls accept, by operation. */
function validBodies(world: World): Readonly<Record<string, readonly (readonly [string, unknown])[]>> {
  const ranges = { $or: times(990, (i) => ({ numbers: { $gt: 9_973 + i } })) };
  const patterns = { $or: times(300, (i) => ({ 'company.id': { $regex: `^(a|b)*c{1,9}${i}$`, $options: 'i' } })) };
  const longPaths = { $and: times(970, () => ({ [['a', ...times(15, String)].join('.')]: { $in: [null, [1]] } })) };
  const conditions = [
    ['80 lists of 1,000 lists', condition(world)],
    ['990 ranges', ranges],
    // The pattern is too large for PostgreSQL, so each user is decided in process.
    ['990 ranges and a pattern', { $or: [{ 'company.id': { $regex: '^(a|b){100}c$' } }, ...ranges.$or] }],
    ['970 long paths', longPaths],
    ['300 patterns', patterns],
    ['1 MiB of operands', { n: { $in: times(1_000, (i) => `${i}`.padStart(1_000, 'x')) } }],
  ] as const;
  const previews = conditions.map(([what, one]) => [what, { condition: one }] as const);
  const users = times(1_000, (i) => `ext:u${i % world.users}`);
  const attributes = Object.fromEntries(times(1_400, (i) => [`a${i}`, i]));
  const somePatterns = (n: number) => times(30, (i) => ({ 'company.id': { $regex: `^(a|b)*c{1,9}${n}x${i}$` } }));
  // The last one names a segment that does not exist, so that each attempt reads all of them and stores none.
  const applied = times(60, (n) => ({ slug: `Applied${n}`, version: null, condition: { $or: somePatterns(n) } }));
  return {
    previewSegment: previews,
    createSegment: conditions.map(([what, one], i) => [what, { slug: `New${i}`, condition: one }]),
    changeSegment: previews,
    resolve: [
      ['1,000 users', { users }],
      ['1,000 unknown users', { users: times(1_000, (i) => `ext:none${i}`) }],
      ['1,000 users and 1,000 segments', { users, segments: times(1_000, (i) => world.lists[i] ?? `No${i}`) }],
    ],
    changeSegments: [
      ['1,000 adds', { add: world.lists.slice(0, 1_000) }],
      ['1,000 unknown slugs', { add: times(1_000, (i) => `No${i}`) }],
      ['1,000 removes', { remove: world.lists.slice(0, 1_000) }],
    ],
    changeMembers: [
      ['1,000 adds', { add: users }],
      ['1,000 unknown users', { add: times(1_000, (i) => `${1_000_000 + i}`) }],
      ['1,000 removes', { remove: users }],
    ],
    applyDefinitions: [
      [
        '60 times 30 patterns',
        { segments: [...applied, { slug: 'Last', version: null, condition: { $inSegment: 'No' } }] },
      ],
      ['1,000 lists at a version', { segments: times(1_000, (i) => ({ slug: `No${i}`, version: 7 })) }],
    ],
    evaluateFlags: [['a context of 16 KiB', { context: { targetingKey: 'u0', ...attributes } }]],
    evaluateFlag: [['a context of 16 KiB', { context: { targetingKey: 'u0', ...attributes } }]],
    createFeed: [
      ['1,000 segments', { name: 'all', segments: world.lists.slice(0, 1_000) }],
      ['1,000 unknown segments', { name: 'none', segments: times(1_000, (i) => `No${i}`) }],
      ['50 tags', { name: 'tags', tags: times(50, (i) => `tag${i}`) }],
    ],
    changeFeed: [
      ['1,000 segments', { segments: ['FED', ...world.lists.slice(0, 999)] }],
      ['1,000 unknown segments', { segments: times(1_000, (i) => `No${i}`) }],
    ],
    createWebhook: [['a long url', { url: `http://127.0.0.1:9/${'x'.repeat(2_000)}`, feed: Number(world.fed.feed) }]],
    changeWebhook: [['a long url', { url: `http://127.0.0.1:9/${'x'.repeat(2_000)}` }]],
    createUser: [['attributes of 16 KiB', { attributes }]],
    changeUser: [['attributes of 16 KiB', { attributes }]],
  };
}

function files(world: World): readonly (readonly [string, string, string])[] {
  const csv = 'text/csv';
  const header = (columns: number) => ['external_id', ...times(columns, (i) => `c${i}`)].join();
  return [
    ['a header of 150,000 columns', csv, header(150_000)],
    ['20,000 rows', csv, ['external_id', ...times(20_000, (i) => `u${i % world.users}`)].join('\n')],
    ['a row of 1 MiB', csv, `external_id\n${'x'.repeat(mebibyteBytes)}`],
    ['half a million empty rows', csv, `external_id\n${'\n'.repeat(500_000)}`],
    ['half a million cells in quotes', csv, `external_id\n${'"",'.repeat(500_000)}`],
    [
      'a line of 1 MiB',
      'application/x-ndjson',
      `{"external_id":"a","attributes":{"a":"${'x'.repeat(mebibyteBytes)}"}}`,
    ],
    [
      'a line of 95,000 fields',
      'application/x-ndjson',
      `{"external_id":"a","attributes":{${invalidBodies[0]?.[1].slice(1)}}`,
    ],
    ['20,000 bad lines', 'application/x-ndjson', '{"external_id":1}\n'.repeat(20_000)],
  ];
}

function pathOf(endpoint: Endpoint, world: World): string {
  const { feed, webhook, delivery } = world.fed;
  const ids: Readonly<Record<string, string>> = { feeds: feed, webhooks: webhook };
  const id = ids[endpoint.tag] ?? '1';
  const known: Readonly<Record<string, string>> = {
    user: 'ext:u0',
    slug: world.lists[0] ?? 'A',
    id,
    delivery,
    report: 'x',
  };
  return endpoint.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => known[name] ?? 'x');
}

/** All inputs that are tried with one operation. */
export function inputsOf(endpoint: Endpoint, world: World): Input[] {
  const { method, id: operation } = endpoint;
  const path = pathOf(endpoint, world);
  const plain = { operation, method, path, headers: {}, body: undefined };
  const json = { ...plain, headers: { 'Content-Type': 'application/json' } };
  const bodies = endpoint.body ? (validBodies(world)[operation] ?? []) : [];
  return [
    ...(endpoint.query && 'limit' in endpoint.query.properties
      ? [{ ...plain, what: 'a page of 1,000', path: `${path}?limit=1000` }]
      : [{ ...plain, what: 'as it is' }]),
    ...(method === 'GET' ? queries.map(([what, query]) => ({ ...plain, what, path: path + query })) : []),
    ...(method === 'GET' ? headerSets.map(([what, headers]) => ({ ...plain, what, headers })) : []),
    ...(endpoint.path.includes('{user}')
      ? [{ ...plain, what: 'a path of 15 KiB', path: path.replace('ext:u0', longPath) }]
      : []),
    ...bodies.map(([what, body]) => ({ ...json, what, body: JSON.stringify(body) })),
    ...(endpoint.body ? invalidBodies.map(([what, body]) => ({ ...json, what, body })) : []),
    ...(endpoint.uploads
      ? files(world).map(([what, type, body]) => ({ ...plain, what, headers: { 'Content-Type': type }, body }))
      : []),
  ];
}

/** Inputs that fail alike for every call are tried with some calls only. */
export function isWorthTrying({ operation, what, method }: Input): boolean {
  const isSame = method === 'GET' ? /query|ranges|cookies|hops/.test(what) : /MiB|fields|million|JSON/.test(what);
  return !isSame || ['createSegment', 'listSegments', 'importUsers', 'previewSegment'].includes(operation);
}
