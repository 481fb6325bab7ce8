import { invalid } from '@kohort/contract';
import type { JobKind } from '../../jobs/queue.ts';
import type { Tx } from '../../postgres/database.ts';
import type { DefinitionCache } from '../segments/segments.ts';
import { freshDefinitions, unknownSegment } from '../segments/segments.ts';
import type { Format } from './file-reader.ts';
import { type MemberImportOptions, memberImport } from './member-import.ts';
import { memberRows } from './member-rows.ts';
import { isPast } from './members.sql.ts';
import { placesForUploads, type Receiving, receive } from './receive.ts';
import { type ImportWork, importKind } from './run.ts';
import { memberUndo, userUndo } from './undo.ts';
import { type UserImportOptions, userImport } from './user-import.ts';
import { userRows } from './user-rows.ts';

export { keepSwept } from './sweep.ts';
export { queueUndo } from './undo.ts';

export interface FileInput {
  readonly format: Format;
  /** Ignore unknown columns or fields. */
  readonly ignoreUnknown: boolean;
  readonly source: AsyncIterable<Buffer>;
  readonly actor: string;
  /** Runs in the transaction that queues the job. */
  readonly onReceived: (tx: Tx, job: number) => Promise<void>;
}

export interface ImportsContext extends Receiving {
  readonly definitions: DefinitionCache;
}

export function importsContext(context: Omit<ImportsContext, 'places'>): ImportsContext {
  return { ...context, places: placesForUploads() };
}

/** The job kinds of imports. Imports of users run one at a time, since their transactions are larger. */
export function importKinds(context: ImportWork): Readonly<Record<string, JobKind>> {
  return {
    segment_import: importKind(context, memberImport, 2),
    user_import: importKind(context, userImport, 1),
    segment_import_undo: importKind(context, memberUndo, 1),
    user_import_undo: importKind(context, userUndo, 1),
  };
}

/** Resolves with the job's number when the whole file has been received. */
export async function importMembers(
  context: ImportsContext,
  slug: string,
  options: MemberImportOptions,
  { ignoreUnknown, ...file }: FileInput,
): Promise<number> {
  const { mode, expires_at, confirm } = options;
  if (expires_at !== null && mode === 'remove') {
    throw invalid('/query/expires_at', 'has no effect with mode remove');
  }
  if (expires_at !== null && (await isPast(context.db, expires_at))) {
    throw invalid('/query/expires_at', 'must be in the future');
  }
  const segmentId = (await freshDefinitions(context.definitions)).bySlug.get(slug)?.id;
  if (segmentId === undefined) throw unknownSegment(slug);
  return receive(context, {
    kind: 'segment_import',
    lane: `segment:${segmentId}`,
    segmentId,
    options,
    ...file,
    reader: memberRows({ ignoreUnknown }),
    emptyFault:
      mode === 'replace' && confirm !== 'empty'
        ? 'the file has no rows, which would empty the segment; confirm=empty does so'
        : undefined,
  });
}

/** Resolves with the job's number when the whole file has been received. */
export function importUsers(
  context: ImportsContext,
  options: UserImportOptions,
  { ignoreUnknown, ...file }: FileInput,
): Promise<number> {
  return receive(context, {
    kind: 'user_import',
    lane: 'users',
    segmentId: null,
    options,
    ...file,
    reader: userRows({ ignoreUnknown }),
  });
}
