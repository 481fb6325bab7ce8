import { type FieldError, Problem } from '@kohort/contract';
import type { FastifyInstance } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Settings } from 'typebox/system';

const maxErrors = 20;
const maxPathLength = 300;
// A body may be wrong in thousands of places; only the first few are described.
Settings.Set({ maxErrors });
const PARTS: Readonly<Record<string, string>> = {
  body: '/body',
  querystring: '/query',
  params: '/path',
  headers: '/headers',
};

type SchemaError = ReturnType<ReturnType<typeof Compile>['Errors']>[number];

function describe(error: SchemaError, part: string): FieldError | undefined {
  // Each unknown field is reported with its own path; the summary that follows would repeat it.
  if (error.keyword === 'additionalProperties') return undefined;
  const path = `${part}${error.instancePath}`;
  if (error.keyword === 'boolean') return { path, message: 'is not a known field' };
  if (error.keyword === 'required' && 'requiredProperties' in error.params) {
    return { path, message: `must have ${[error.params.requiredProperties].flat().join(', ')}` };
  }
  if (error.keyword === 'enum' && 'allowedValues' in error.params) {
    return { path, message: `must be one of ${[error.params.allowedValues].flat().join(', ')}` };
  }
  if (error.keyword === 'format')
    return { path, message: 'must be an RFC 3339 time with an offset, years 1970 to 9999' };
  return { path, message: error.message };
}

function problemOf(errors: readonly SchemaError[], part: string): Problem {
  const fields = errors
    .flatMap((error) => describe(error, part) ?? [])
    .slice(0, maxErrors)
    // A path contains keys of the body, which may be as long as the body.
    .map(({ path, message }) => ({ path: path.slice(0, maxPathLength), message }));
  const detail = fields.slice(0, 3).map(({ path, message }) => `${path} ${message}`);
  return new Problem('invalid', `${detail.join('; ')}${fields.length > 3 ? '; …' : ''}`, { errors: fields });
}

/**
 * Query strings contain only text: it is converted to a number only where the schema wants one, and empty filters are dropped.
 * Bodies are never coerced.
 */
function readQuery(schema: TSchema, query: unknown): unknown {
  if (typeof query !== 'object' || query === null || !('properties' in schema)) return query;
  const properties = schema.properties as Record<string, { type?: string; 'x-empty-is-absent'?: boolean }>;
  return Object.fromEntries(
    Object.entries(query).flatMap(([name, value]) => {
      const property = properties[name];
      if (value === '' && property?.['x-empty-is-absent']) return [];
      const isNumber = property?.type === 'integer' && typeof value === 'string' && /^(?:0|[1-9]\d{0,15})$/.test(value);
      return [[name, isNumber ? Number(value) : value]];
    }),
  );
}

/** Validates with the same schemas that type the handlers. */
export function validateWithTypeBox(app: FastifyInstance): void {
  app.setValidatorCompiler<TSchema>(({ schema, httpPart }) => {
    const validator = Compile(schema);
    const part = PARTS[httpPart ?? ''] ?? '/';
    return (data: unknown) => {
      const value = httpPart === 'querystring' ? readQuery(schema, data) : data;
      return validator.Check(value) ? { value } : { error: problemOf(validator.Errors(value), part) };
    };
  });
  // Answers are typed by the same schemas and checked against them in tests; at run time they are only serialised.
  app.setSerializerCompiler(() => JSON.stringify);

  app.addHook('preValidation', (request, _reply, done) => {
    const url = request.raw.url ?? '';
    const query = url.indexOf('?');
    if (query !== -1 && !isReadable(url.slice(query + 1))) {
      return done(new Problem('malformed', 'The query string is not valid percent-encoded UTF-8 without NUL.'));
    }
    done();
  });
}

function isReadable(query: string): boolean {
  try {
    return !decodeURIComponent(query.replaceAll('+', ' ')).includes('\0');
  } catch {
    return false;
  }
}

/** A query string as a plain map. A repeated name becomes a list, which no schema accepts. */
export function parseQuery(text: string): Record<string, string | string[]> {
  const found: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of new URLSearchParams(text)) {
    const before = found[name];
    if (Array.isArray(before)) before.push(value);
    else found[name] = before === undefined ? value : [before, value];
  }
  return found;
}
