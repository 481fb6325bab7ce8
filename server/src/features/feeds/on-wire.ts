import type { Answer, feeds as contract } from '@kohort/contract';
import type { ChangeRow } from './feeds.sql.ts';

export type WireChange = Answer<typeof contract.feedChanges>['changes'][number];
/** A definition as it was on the wire when it was recorded. */
export type WireDefinition = NonNullable<WireChange['before']>;

/** A change as every way of telling it has it. */
export function changeOnWire(change: ChangeRow): WireChange {
  const { id, at, type, slug, user_id, external_id, cause, actor, before, after } = change;
  return {
    id: String(id),
    at: at.toISOString(),
    type,
    slug,
    user_id,
    external_id,
    cause,
    actor,
    ...(type === 'segment' && { before, after }),
  };
}
