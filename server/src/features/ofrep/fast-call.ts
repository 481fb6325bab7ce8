import { ofrep as contract, externalIdFault, isObject, slugPattern } from '@kohort/contract';
import { admitAtOnce } from '../../http/access.ts';
import type { Recognise } from '../../http/caller.ts';
import type { FastCall } from '../../http/fast-path.ts';
import { fastifyPath } from '../../http/route.ts';
import type { Json } from '../../segmentation/conditions/json.ts';
import type { EvaluationContext } from './context.ts';
import { evaluateFlag, evaluatorOf, type FlagContext } from './evaluate.ts';

export interface FlagCallSettings {
  readonly flags: FlagContext;
  readonly known: Recognise;
  readonly seedIsOpen: boolean;
  readonly observerOf: (method: string, route: string) => (seconds: number) => void;
}

const { evaluateFlag: endpoint } = contract;

const ONE_FLAG = new RegExp(`^/ofrep/v1/evaluate/flags/(${slugPattern.slice(1, -1)})$`);
/** Printable ASCII without escapes: valid text with as many characters as bytes. */
const PLAIN = /^[ -[\]-~]+$/;
/** Forbidden keys, and integers that a double cannot represent. */
const NEEDS_A_LOOK = /__proto__|constructor|\d{16}/;

function isScalar(value: unknown): value is Json {
  return value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** The context of a body that contains nothing but a context of scalars. Other bodies are left to Fastify. */
export function plainContext(body: string): EvaluationContext | undefined {
  if (!PLAIN.test(body) || NEEDS_A_LOOK.test(body)) return undefined;
  const parsed = parse(body);
  if (!isObject(parsed) || Object.keys(parsed).length !== 1 || !isObject(parsed.context)) return undefined;
  const { targetingKey, ...attributes } = parsed.context;
  if (typeof targetingKey !== 'string' || externalIdFault(targetingKey) !== undefined) return undefined;
  const scalars: Record<string, Json> = {};
  for (const [name, value] of Object.entries(attributes)) {
    if (!isScalar(value)) return undefined;
    scalars[name] = value;
  }
  return { targetingKey, attributes: scalars };
}

/** `POST /ofrep/v1/evaluate/flags/{flag}` for the fast path. */
export function flagCallOf({ flags, known, seedIsOpen, observerOf }: FlagCallSettings): FastCall {
  return {
    method: 'POST',
    pattern: ONE_FLAG,
    headers: ['vary', 'Origin'],
    observe: observerOf('POST', fastifyPath(endpoint.path)),
    answer([, slug = ''], { headers }, body) {
      const caller = admitAtOnce(endpoint, headers, known, { user: undefined, seedIsOpen });
      const context = caller && plainContext(body);
      return context && evaluateFlag(flags, slug, context, evaluatorOf(caller)).then(JSON.stringify);
    },
  };
}
