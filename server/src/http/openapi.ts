import { type Endpoint, type ProblemCode, problems } from '@kohort/contract';

type Json = Record<string, unknown>;

const PROBLEM_SCHEMA = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code', 'request_id', 'message'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    code: { type: 'string', enum: Object.keys(problems) },
    request_id: { type: 'string' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['path', 'message'],
        properties: { path: { type: 'string' }, message: { type: 'string' } },
      },
    },
    message: { type: 'string', description: 'A copy of `detail`.' },
  },
} as const;

function parametersIn(place: 'path' | 'query' | 'header', schema: Endpoint['params']): Json[] {
  if (!schema) return [];
  const required = new Set<string>(schema.required ?? []);
  return Object.entries(schema.properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || required.has(name),
    schema: property,
  }));
}

/** What any call of this kind can meet besides its own problems. */
function commonProblems(endpoint: Endpoint): ProblemCode[] {
  return [
    // Also where nothing is taken: a query or a body that is there all the same is refused.
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

function contentOf(media: readonly string[]): Json {
  return Object.fromEntries(media.map((type) => [type, { schema: { type: 'string' } }]));
}

function responsesOf(endpoint: Endpoint): Json {
  const { status, body, media } = endpoint.success;
  const codes = [...new Set([...commonProblems(endpoint), ...(endpoint.problems ?? [])])];
  const byStatus = Map.groupBy(codes, (code) => problems[code][0]);
  return {
    [status]: {
      description: 'Done',
      ...(body && { content: { 'application/json': { schema: body } } }),
      ...(media && { content: contentOf([media].flat()) }),
    },
    ...Object.fromEntries(
      [...byStatus]
        .sort(([a], [b]) => a - b)
        .map(([failure, ofStatus]) => [
          failure,
          {
            description: ofStatus.map((code) => `${code}: ${problems[code][1]}`).join('; '),
            content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
          },
        ]),
    ),
  };
}

function operationOf(endpoint: Endpoint): Json {
  return {
    operationId: endpoint.id,
    tags: [endpoint.tag],
    summary: endpoint.summary,
    description: `Access: ${endpoint.access}${endpoint.seed ? '; no token needed in evaluation mode' : ''}.`,
    security: endpoint.access === 'public' ? [] : endpoint.seed ? [{ bearer: [] }, {}] : [{ bearer: [] }],
    parameters: [
      ...parametersIn('path', endpoint.params),
      ...parametersIn('query', endpoint.query),
      ...parametersIn('header', endpoint.headers),
    ],
    ...(endpoint.body && {
      requestBody: { required: true, content: { 'application/json': { schema: endpoint.body } } },
    }),
    ...(endpoint.uploads && { requestBody: { required: true, content: contentOf(endpoint.uploads) } }),
    responses: responsesOf(endpoint),
  };
}

/** The OpenAPI 3.1 document of the endpoints; their schemas are JSON Schema already and go in as they are. */
export function openApiOf(endpoints: readonly Endpoint[], version: string): Json {
  const paths: Record<string, Json> = {};
  for (const endpoint of endpoints) {
    paths[endpoint.path] = { ...paths[endpoint.path], [endpoint.method.toLowerCase()]: operationOf(endpoint) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Kohort',
      version,
      summary: 'Dynamic user segmentation on PostgreSQL',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: { Problem: PROBLEM_SCHEMA },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A session token from sign-in, or an API key.' },
      },
    },
  };
}
