import { type Body, type ofrep as contract, externalIdFault, maxAttributesBytes, Problem } from '@kohort/contract';
import type { Json, JsonObject } from '../../segmentation/conditions/json.ts';

/** The subject of an evaluation. */
export interface EvaluationContext {
  /** The external id. */
  readonly targetingKey: string;
  /** The other members of the context. */
  readonly attributes: JsonObject;
}

function invalidContext(detail: string): Problem {
  return new Problem('invalid_context', detail, { errors: [{ path: '/body/context', message: detail }] });
}

function readTargetingKey(value: Json | undefined): string {
  if (value === undefined || value === null || value === '') {
    throw new Problem(
      'targeting_key_missing',
      'The context has no targetingKey, which is the external id of the user.',
    );
  }
  if (typeof value !== 'string') throw invalidContext('The targetingKey must be a text.');
  const fault = externalIdFault(value);
  if (fault) throw invalidContext(`The targetingKey ${fault}.`);
  return value;
}

function refuseTooLarge(attributes: JsonObject): void {
  // Most contexts consist of the key alone.
  if (Object.keys(attributes).length === 0) return;
  if (Buffer.byteLength(JSON.stringify(attributes)) <= maxAttributesBytes) return;
  throw invalidContext(`The context must not have more than ${maxAttributesBytes} bytes, measured as compact JSON.`);
}

/** @throws Problem 400 with the matching code of OFREP. */
export function readContext({ context = {} }: Body<typeof contract.evaluateFlag>): EvaluationContext {
  // It was parsed from JSON; the schema does not cover the other members.
  const { targetingKey, ...attributes } = context as JsonObject;
  const read = { targetingKey: readTargetingKey(targetingKey), attributes };
  refuseTooLarge(attributes);
  return read;
}
