import type { ChangeRow } from './feeds.sql.ts';

/**
 * A change as JSON, in the form that polls, streams and webhooks share. Definitions, of up to a megabyte each, are passed on as
 * PostgreSQL writes them: to read them and write them again would take long turns of the event loop.
 */
export function* changePieces(change: ChangeRow): Generator<string> {
  const { id, at, type, slug, user_id, external_id, cause, actor, before, after } = change;
  const shared = { id: String(id), at: at.toISOString(), type, slug, user_id, external_id, cause, actor };
  const json = JSON.stringify(shared);
  if (type !== 'segment') {
    yield json;
    return;
  }
  yield `${json.slice(0, -1)},"before":`;
  yield before ?? 'null';
  yield ',"after":';
  yield `${after ?? 'null'}}`;
}

export function changeJson(change: ChangeRow): string {
  return [...changePieces(change)].join('');
}

/** The answer of a poll. */
export function* pagePieces(changes: readonly ChangeRow[], cursor: string): Generator<string> {
  yield '{"changes":[';
  for (const [i, change] of changes.entries()) {
    if (i > 0) yield ',';
    yield* changePieces(change);
  }
  yield `],"cursor":${JSON.stringify(cursor)}}`;
}
