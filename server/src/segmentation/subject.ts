import { isObject } from '@kohort/contract';
import { bucket } from './bucket.ts';
import type { Json, JsonObject } from './conditions/json.ts';
import type { Definition } from './definition.ts';
import type { Overrides } from './overrides.ts';

/** Everything about a user that decides what they are in. */
export interface Subject {
  /** What the bucket is computed of: the external id, else the decimal id. */
  readonly key: string;
  readonly attributes: JsonObject;
  readonly overrides: Overrides;
}

export function keyOf(user: { readonly id: number; readonly external_id: string | null }): string {
  return user.external_id ?? String(user.id);
}

/** The key that a user's bucket in a segment is computed of; undefined for a user who has none, and is out. */
function bucketKey({ bucketBy }: Definition, { key, attributes }: Omit<Subject, 'overrides'>): string | undefined {
  if (bucketBy === null) return key;
  let value: Json | undefined = attributes;
  for (const name of bucketBy) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  if (typeof value === 'string') return value;
  return typeof value === 'number' ? JSON.stringify(value) : undefined;
}

/** The bucket of a user in a segment; null where the segment takes no share, or the user has no key for it. */
export function bucketOf(definition: Definition, subject: Omit<Subject, 'overrides'>): number | null {
  const key = definition.share === null ? undefined : bucketKey(definition, subject);
  return definition.share === null || key === undefined ? null : bucket(definition.share.salt, key);
}
