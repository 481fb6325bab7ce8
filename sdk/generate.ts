import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Endpoint, endpoints, problems } from '@kohort/contract';

/**
 * Generates `src/api.ts`, the types and the table of all calls, from the contract. With `--check` it fails if the committed file
 * differs. The published package knows the contract only through this file.
 */
interface Schema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

/** Input may be read-only, and may have undefined for omitted fields; output may be changed by callers. */
type Direction = 'given' | 'got';

const named = new Map<string, string>();

function commentOf(text: string | undefined): string {
  return text === undefined ? '' : `/** ${text.replaceAll('*/', '*\\/')} */\n`;
}

function memberOf(name: string, schema: Schema, isRequired: boolean, direction: Direction): string {
  const key = /^[A-Za-z_]\w*$/.test(name) ? name : `'${name}'`;
  const type = typeOf(schema, direction);
  // Where null is allowed, the description is on the other branch.
  const described = schema.description === undefined ? schema.anyOf?.find((one) => one.type !== 'null') : schema;
  const description = described?.title === undefined ? described?.description : undefined;
  if (direction === 'got') return `${commentOf(description)}${key}${isRequired ? '' : '?'}: ${type};\n`;
  return `${commentOf(description)}readonly ${key}${isRequired ? `: ${type}` : `?: ${type} | undefined`};\n`;
}

function objectOf(schema: Schema, direction: Direction): string {
  if (!schema.properties) {
    const [values = {}] = Object.values(schema.patternProperties ?? {});
    const record = `Record<string, ${typeOf(values, direction)}>`;
    return direction === 'given' ? `Readonly<${record}>` : record;
  }
  if (Object.keys(schema.properties).length === 0) return 'Record<string, never>';
  const required = new Set(schema.required);
  const members = Object.entries(schema.properties).map(([name, one]) =>
    memberOf(name, one, required.has(name), direction),
  );
  return `{\n${members.join('')}}`;
}

function typeOf(schema: Schema, direction: Direction): string {
  if (schema.title !== undefined) {
    const { title, ...rest } = schema;
    if (!named.has(title)) {
      named.set(title, '');
      named.set(title, `${commentOf(schema.description)}export interface ${title} ${objectOf(rest, 'got')}\n`);
    }
    return title;
  }
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(' | ');
  if (schema.anyOf) return schema.anyOf.map((one) => typeOf(one, direction)).join(' | ');
  switch (schema.type) {
    case 'string':
    case 'boolean':
    case 'null':
      return schema.type;
    case 'integer':
    case 'number':
      return 'number';
    case 'array':
      return `${direction === 'given' ? 'readonly ' : ''}(${typeOf(schema.items ?? {}, direction)})[]`;
    case 'object':
      return objectOf(schema, direction);
    default:
      return 'unknown';
  }
}

/** The parts of a request, as the client takes them. */
function inputOf({ params, query, body, uploads }: Endpoint): { type: string; isOptional: boolean } {
  const parts: [name: string, schema: Schema, isRequired: boolean][] = [];
  const add = (name: string, schema: Schema | undefined, mustHave = (schema?.required?.length ?? 0) > 0) => {
    if (schema) parts.push([name, schema, mustHave]);
  };
  add('params', params as Schema | undefined);
  add('query', query && Object.keys(query.properties).length > 0 ? (query as Schema) : undefined);
  add('body', body as Schema | undefined, true);
  const members = parts.map(([name, schema, isRequired]) => memberOf(name, schema, isRequired, 'given'));
  if (uploads) {
    members.push(
      `readonly upload: UploadBody;\nreadonly type: ${uploads.map((one) => JSON.stringify(one)).join(' | ')};\n`,
    );
  }
  return {
    type: members.length === 0 ? 'CallOptions' : `CallOptions & {\n${members.join('')}}`,
    isOptional: !uploads && !parts.some(([, , isRequired]) => isRequired),
  };
}

function answerOf({ success }: Endpoint): string {
  if (success.media !== undefined && success.body === null) return 'ReadableStream<Uint8Array>';
  return success.body === null ? 'void' : typeOf(success.body as Schema, 'got');
}

/** The field with the entries of a list that has pages. */
function entriesOf({ query, success }: Endpoint): string | undefined {
  const properties = (success.body as Schema | null)?.properties ?? {};
  if (!query || !('cursor' in query.properties) || !('next_cursor' in properties)) return undefined;
  return Object.keys(properties).find((name) => properties[name]?.type === 'array');
}

function methodOf(endpoint: Endpoint): string {
  const { type, isOptional } = inputOf(endpoint);
  const answer = answerOf(endpoint);
  const entries = entriesOf(endpoint);
  const comment = commentOf(`${endpoint.summary}. \`${endpoint.method} ${endpoint.path}\``);
  const input = `input${isOptional ? '?' : ''}: ${type}`;
  if (entries === undefined) return `${comment}${endpoint.id}(${input}): Promise<${answer}>;\n`;
  return `${comment}readonly ${endpoint.id}: Paged<[${input}], ${answer}, '${entries}'>;\n`;
}

/** Whether a second try can do no harm: it reads, sets a state, or bears a key that makes it one. */
function isRepeatable({ method, access }: Endpoint): boolean {
  const isRead = method === 'GET' || (method === 'POST' && ['viewer', 'self'].includes(access));
  return isRead || method === 'PUT' || method === 'DELETE';
}

function rowOf(endpoint: Endpoint): string {
  const { method, path, success, headers } = endpoint;
  const answers =
    success.media !== undefined && success.body === null ? 'stream' : success.body === null ? 'nothing' : 'json';
  const entries = entriesOf(endpoint);
  return `${endpoint.id}: ${JSON.stringify({
    id: endpoint.id,
    method,
    path,
    answers,
    ...(isRepeatable(endpoint) && { repeatable: true }),
    ...(headers && 'idempotency-key' in headers.properties && { creates: true }),
    ...(entries !== undefined && { entries }),
  })},\n`;
}

function moduleOf(all: readonly Endpoint[]): string {
  const groups = [...Map.groupBy(all, ({ tag }) => tag)];
  const methods = groups.map(([tag, ones]) => `readonly ${tag}: {\n${ones.map(methodOf).join('')}};\n`);
  const rows = groups.map(([tag, ones]) => `${tag}: {\n${ones.map(rowOf).join('')}},\n`);
  const codes = Object.keys(problems).map((code) => `| '${code}'`);
  return `// Written from the contract by \`npm run fix\`; changes belong there.
import type { CallOptions, CallShape, Paged, UploadBody } from './call.ts';

/** The stable word for each way a call can fail. */
export type ProblemCode = ${codes.join(' ')};

${[...named]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([, text]) => text)
  .join('\n')}
/** Every call of the service, grouped as the documentation groups them. */
export interface Api {
${methods.join('')}}

export const calls = {
${rows.join('')}} as const satisfies Readonly<Record<keyof Api, Readonly<Record<string, CallShape>>>>;
`;
}

function formatted(text: string): string {
  const biome = join(import.meta.dirname, '../node_modules/@biomejs/biome/bin/biome');
  return execFileSync(process.execPath, [biome, 'format', '--stdin-file-path=sdk/src/api.ts'], {
    input: text,
    encoding: 'utf8',
  });
}

const file = join(import.meta.dirname, 'src/api.ts');
const text = formatted(moduleOf(endpoints));
if (!process.argv.includes('--check')) await writeFile(file, text);
else if ((await readFile(file, 'utf8').catch(() => '')) !== text) {
  process.stderr.write('sdk/src/api.ts is not what the contract says: run npm run fix and commit it.\n');
  process.exitCode = 1;
}
