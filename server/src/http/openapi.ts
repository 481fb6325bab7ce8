import { Accepted, type Endpoint, isOfrep, ofrep, type ProblemCode, problems, tags } from '@kohort/contract';

type Json = Record<string, unknown>;

const PROBLEM_SCHEMA = {
  type: 'object',
  description: 'Why a call was refused (RFC 9457). Branch on `code`.',
  required: ['type', 'title', 'status', 'detail', 'code', 'request_id', 'message'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'What is wrong, in a sentence.' },
    code: { type: 'string', enum: Object.keys(problems), description: 'A stable word for the kind of problem.' },
    request_id: { type: 'string', description: 'The `X-Request-Id` of the answer.' },
    errors: {
      type: 'array',
      description: 'Where a request is not valid.',
      items: {
        type: 'object',
        required: ['path', 'message'],
        properties: { path: { type: 'string' }, message: { type: 'string' } },
      },
    },
    message: { type: 'string', description: 'A copy of `detail`.' },
  },
} as const;

const INTRODUCTION = `Which segments is this user in?

**To try the calls on this page**

1. Open \`POST /auth/sign-in\` and execute it with the name and the password of an account. The service printed the
   password of the account \`admin\` when it first started, unless \`ADMIN_PASSWORD\` set it.
2. Press **Authorize** and paste the \`token\` of the answer.

The calls that need no token in evaluation mode say so. Programs use an API key (\`POST /api/keys\`) as their token.
More to read: [conditions](docs/conditions.md), [percentages](docs/percentage.md), [imports](docs/imports.md),
[idempotency](docs/idempotency.md).`;

function isTitled(value: object): value is { readonly title: string } {
  return 'title' in value && typeof value.title === 'string';
}

/** Collects named schemas by title, once each, and replaces their uses by references. */
function createComponents() {
  const schemas: Record<string, unknown> = { Problem: PROBLEM_SCHEMA };

  function lift(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(lift);
    if (typeof value !== 'object' || value === null) return value;
    if (!isTitled(value)) return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, lift(one)]));
    const { title, ...rest } = value;
    const schema = lift(rest);
    const known = schemas[title];
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(schema)) {
      throw new Error(`Two schemas of the contract have the title ${title}.`);
    }
    schemas[title] = schema;
    return { $ref: `#/components/schemas/${title}` };
  }
  return { schemas, lift };
}
type Lift = ReturnType<typeof createComponents>['lift'];

function parametersIn(
  place: 'path' | 'query' | 'header',
  schema: Endpoint['params'],
  examples: Readonly<Record<string, unknown>> = {},
): Json[] {
  if (!schema) return [];
  const required = new Set<string>(schema.required ?? []);
  return Object.entries(schema.properties).map(([name, property]) => {
    const { description, ...rest } = property as { readonly description?: string };
    return {
      name,
      in: place,
      required: place === 'path' || required.has(name),
      ...(description !== undefined && { description }),
      schema: rest,
      ...(examples[name] !== undefined && { example: examples[name] }),
    };
  });
}

const consistencyParameter: Json = {
  name: 'consistency',
  in: 'header',
  required: false,
  description:
    '`strong`: the answer includes every write that was acknowledged anywhere before. `eventual`: a replica may answer, where there is one, and writes of the last five seconds may be missing. Without the header, writes that this instance acknowledged are included.',
  schema: { type: 'string', enum: ['strong', 'eventual'] },
};

/** Problems that any call of this kind can return besides its own. */
function commonProblems(endpoint: Endpoint): ProblemCode[] {
  return [
    // This also applies to calls without a query or body, because unexpected ones are refused.
    ...(['malformed', 'invalid'] as const),
    'unauthenticated',
    ...(endpoint.access === 'public' ? [] : (['forbidden'] as const)),
    ...(endpoint.method === 'GET' ? [] : (['media_type'] as const)),
    ...(endpoint.method === 'GET' || endpoint.uploads ? [] : (['too_large'] as const)),
    'internal',
    'unavailable',
    ...(endpoint.method === 'GET' ? [] : (['outcome_unknown'] as const)),
  ];
}

/** Streams of these types; the example has the first type. */
function streamsOf(media: readonly string[], example: unknown): Json {
  return Object.fromEntries(
    media.map((type, i) => [
      type,
      { schema: { type: 'string' }, ...(i === 0 && example !== undefined && { example }) },
    ]),
  );
}

function jsonOf(schema: unknown, example: unknown): Json {
  return { 'application/json': { schema, ...(example !== undefined && { example }) } };
}

function failureOf({ path }: Endpoint, lift: Lift): Json {
  return isOfrep(path)
    ? jsonOf(lift(ofrep.FlagError), undefined)
    : { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
}

function responsesOf(endpoint: Endpoint, lift: Lift): Json {
  const { status, body, media } = endpoint.success;
  const answer = endpoint.example?.answer;
  const codes = [...new Set([...commonProblems(endpoint), ...(endpoint.problems ?? [])])];
  const byStatus = Map.groupBy(codes, (code) => problems[code][0]);
  return {
    [status]: {
      description: 'Done',
      ...((body || media) && {
        content: {
          ...(body && jsonOf(lift(body), answer)),
          ...(media && streamsOf([media].flat(), body ? undefined : answer)),
        },
      }),
    },
    ...(endpoint.deferrable && {
      202: { description: 'A job will answer', content: jsonOf(lift(Accepted), { job: '1' }) },
    }),
    ...(endpoint.conditional && { 304: { description: 'Not modified' } }),
    ...Object.fromEntries(
      [...byStatus]
        .sort(([a], [b]) => a - b)
        .map(([failure, ofStatus]) => [
          failure,
          {
            description: ofStatus.map((code) => `${code}: ${problems[code][1]}`).join('; '),
            content: failureOf(endpoint, lift),
          },
        ]),
    ),
  };
}

function requestBodyOf({ body, uploads, example }: Endpoint, lift: Lift): Json | undefined {
  if (body) return { required: true, content: jsonOf(lift(body), example?.body) };
  if (uploads) return { required: true, content: streamsOf(uploads, example?.upload) };
  return undefined;
}

function operationOf(endpoint: Endpoint, lift: Lift): Json {
  const { params, query, headers, example } = endpoint;
  const access = `Access: ${endpoint.access}${endpoint.seed ? '; no token needed in evaluation mode' : ''}.`;
  const requestBody = requestBodyOf(endpoint, lift);
  return {
    operationId: endpoint.id,
    tags: [endpoint.tag],
    summary: endpoint.summary,
    description: endpoint.description === undefined ? access : `${access}\n\n${endpoint.description}`,
    security: endpoint.access === 'public' ? [] : endpoint.seed ? [{ bearer: [] }, {}] : [{ bearer: [] }],
    parameters: [
      ...parametersIn('path', params, example?.params),
      ...parametersIn('query', query, example?.query),
      ...parametersIn('header', headers, example?.headers),
      ...(endpoint.consistent ? [consistencyParameter] : []),
    ],
    ...(requestBody && { requestBody }),
    responses: responsesOf(endpoint, lift),
  };
}

/** The OpenAPI 3.1 document of the endpoints, whose schemas are already JSON Schema. */
export function openApiOf(endpoints: readonly Endpoint[], version: string): Json {
  const { schemas, lift } = createComponents();
  const paths: Record<string, Json> = {};
  for (const endpoint of endpoints) {
    paths[endpoint.path] = { ...paths[endpoint.path], [endpoint.method.toLowerCase()]: operationOf(endpoint, lift) };
  }
  const used = [...new Set([...Object.keys(tags), ...endpoints.map(({ tag }) => tag)])];
  return {
    openapi: '3.1.0',
    info: {
      title: 'Kohort',
      version,
      summary: 'Dynamic user segmentation on PostgreSQL',
      description: INTRODUCTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: used.map((name) => ({ name, ...(tags[name] !== undefined && { description: tags[name] }) })),
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1))),
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A session token from sign-in, or an API key.' },
      },
    },
  };
}
