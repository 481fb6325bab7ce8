import Type from 'typebox';
import { nullable, strict } from './common.ts';
import { endpoint } from './endpoint.ts';
import type { Problem, ProblemCode } from './problem.ts';

// The OpenFeature Remote Evaluation Protocol, 0.3.0. Its answers keep its own names, in camel case where it has them so.

const FlagKey = Type.String({
  pattern: '^[^\\u0000-\\u001f\\u007f]{1,1000}$',
  description: 'The key of the flag: the slug of the segment.',
});
/** Providers may send more members, in the body and in the context. OFREP has its own codes for an invalid key. */
const EvaluationRequest = Type.Object(
  {
    context: Type.Optional(
      Type.Object(
        {
          targetingKey: Type.Optional(
            nullable(Type.String({ description: 'The external id of the user, never the numeric id.' })),
          ),
        },
        {
          additionalProperties: true,
          description:
            'For server credentials its other members override the stored attributes in this evaluation; at most 16 KiB.',
        },
      ),
    ),
  },
  { title: 'FlagEvaluationRequest', additionalProperties: true, description: 'The subject of an evaluation.' },
);

export const variants = ['member', 'not_member'] as const;
export const evaluationReasons = ['STATIC', 'SPLIT', 'TARGETING_MATCH', 'DEFAULT'] as const;

const Evaluation = strict(
  {
    key: FlagKey,
    value: Type.Boolean({ description: 'Whether the user is in the segment.' }),
    variant: Type.Enum([...variants]),
    reason: Type.Enum([...evaluationReasons], {
      description:
        '`STATIC`: a list or an override. `SPLIT`: a percentage, ramp or layer decided. `TARGETING_MATCH`: a condition let in. `DEFAULT`: anything else.',
    }),
    metadata: Type.Object({}, { description: 'Empty.' }),
  },
  { title: 'FlagEvaluation', description: 'One evaluated flag.' },
);

const EventStream = strict(
  {
    type: Type.Literal('sse'),
    endpoint: strict({
      origin: Type.Optional(Type.String({ description: 'That of `PUBLIC_URL`; absent where it is not set.' })),
      requestUri: Type.String({ description: 'Stays the same for an hour; needs no header.' }),
    }),
    inactivityDelaySec: Type.Integer({ description: 'Seconds after which an idle page may close the stream.' }),
  },
  { title: 'FlagEventStream' },
);

/** The form of every failure of OFREP. */
export const FlagError = strict(
  {
    key: Type.String({ description: 'The key of the flag; empty if there is none.' }),
    reason: Type.Literal('ERROR'),
    variant: Type.Literal(''),
    metadata: Type.Object({}, { description: 'Empty.' }),
    errorCode: Type.Enum(['PARSE_ERROR', 'TARGETING_KEY_MISSING', 'INVALID_CONTEXT', 'FLAG_NOT_FOUND', 'GENERAL']),
    errorDetails: Type.String({ description: 'The error, in a sentence.' }),
  },
  { title: 'FlagError', description: 'Why an evaluation was refused, in the form of OpenFeature.' },
);

export const evaluateFlag = endpoint({
  method: 'POST',
  path: '/ofrep/v1/evaluate/flags/{flag}',
  id: 'evaluateFlag',
  tag: 'ofrep',
  summary: 'Evaluate one flag: is the user in the segment?',
  description: 'An unknown user is evaluated from the context alone, and is not registered.',
  access: 'browser',
  taggedKeys: 'handled',
  params: strict({ flag: FlagKey }),
  body: EvaluationRequest,
  success: { status: 200, body: Evaluation },
  problems: ['segment_unknown', 'targeting_key_missing', 'invalid_context'],
  example: {
    params: { flag: 'AVITO_DISCOUNT_50' },
    body: { context: { targetingKey: 'shopper-4' } },
    answer: { key: 'AVITO_DISCOUNT_50', value: true, variant: 'member', reason: 'STATIC', metadata: {} },
  },
});

export const evaluateFlags = endpoint({
  method: 'POST',
  path: '/ofrep/v1/evaluate/flags',
  id: 'evaluateFlags',
  tag: 'ofrep',
  summary: 'Evaluate all flags that the credential sees',
  description:
    'Returns an `ETag`. A request with that `If-None-Match` gets 304 without a body while nothing has changed.',
  access: 'browser',
  taggedKeys: 'handled',
  conditional: true,
  body: EvaluationRequest,
  success: {
    status: 200,
    body: strict(
      {
        flags: Type.Array(Evaluation),
        eventStreams: Type.Array(EventStream),
        metadata: Type.Object({}, { description: 'Empty.' }),
      },
      { title: 'FlagEvaluations' },
    ),
  },
  problems: ['targeting_key_missing', 'invalid_context', 'answer_too_large'],
  example: {
    body: { context: { targetingKey: 'shopper-4' } },
    answer: {
      flags: [
        { key: 'AVITO_DISCOUNT_50', value: true, variant: 'member', reason: 'STATIC', metadata: {} },
        { key: 'FREE_SHIPPING', value: true, variant: 'member', reason: 'SPLIT', metadata: {} },
      ],
      eventStreams: [{ type: 'sse', endpoint: { requestUri: '/ofrep/v1/events/c2lnbmVk' }, inactivityDelaySec: 120 }],
      metadata: {},
    },
  },
});

export const followFlags = endpoint({
  method: 'GET',
  path: '/ofrep/v1/events/{stream}',
  id: 'followFlags',
  tag: 'ofrep',
  summary: 'Server-sent events that announce when to evaluate again',
  description:
    'The address comes from `eventStreams` of the bulk evaluation and is its own credential. An event `{"type": "refetchEvaluation"}` follows each change of definitions or of that user. So does each moment at which time alone changes a flag: an expiry, a start, an end, a ramp, a relative date. Dates that only the context carries bring none.',
  access: 'public',
  params: strict({
    stream: Type.String({ pattern: '^[A-Za-z0-9_-]{1,1024}$', description: 'A signed text.' }),
  }),
  success: { status: 200, body: null, media: 'text/event-stream' },
  problems: ['stream_unknown', 'overloaded'],
  example: {
    params: { stream: 'c2lnbmVk' },
    answer: 'id: 6f2f1c1b7a10\n\n',
  },
});

const errorCodes: Partial<Record<ProblemCode, string>> = {
  malformed: 'PARSE_ERROR',
  media_type: 'PARSE_ERROR',
  invalid_context: 'INVALID_CONTEXT',
  targeting_key_missing: 'TARGETING_KEY_MISSING',
  segment_unknown: 'FLAG_NOT_FOUND',
};

function errorCodeOf({ code, errors }: Problem): string {
  if (code !== 'invalid') return errorCodes[code] ?? 'GENERAL';
  const path = errors?.[0]?.path ?? '';
  if (path === '/body') return 'PARSE_ERROR';
  return path.startsWith('/body/') ? 'INVALID_CONTEXT' : 'GENERAL';
}

const flagPath = /^\/ofrep\/v1\/evaluate\/flags\/([^/?#]+)/;

/** Whether a request target belongs to OFREP, whose errors have their own form. */
export function isOfrep(target: string): boolean {
  return target.startsWith('/ofrep/');
}

function flagOf(target: string): string {
  const [, key = ''] = flagPath.exec(target) ?? [];
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

/** A failure as OpenFeature's providers read it: they lose the code without `key`, and fail without the other members. */
export function ofrepErrorBody(problem: Problem, target: string) {
  return {
    key: flagOf(target),
    reason: 'ERROR',
    variant: '',
    metadata: {},
    errorCode: errorCodeOf(problem),
    errorDetails: problem.message,
  };
}
