import { invalid } from '@kohort/contract';
import type { JobKind } from '../../jobs/queue.ts';
import type { Database, Tx } from '../../postgres/database.ts';
import type { DefinitionCache } from '../segments/segments.ts';
import { unknownSegment } from '../segments/segments.ts';
import type { Format } from './file-reader.ts';
import { createMemberImport, type MemberImportOptions } from './member-import.ts';
import { memberRows } from './member-rows.ts';
import { isPast } from './members.sql.ts';
import { createReceiver } from './receive.ts';
import { importKind } from './run.ts';
import { createMemberUndo, createUserUndo } from './undo.ts';
import { createUserImport, type UserImportOptions } from './user-import.ts';
import { userRows } from './user-rows.ts';

export { keepSwept } from './sweep.ts';
export { queueUndo } from './undo.ts';

export interface FileInput {
  readonly format: Format;
  /** Pass over columns, or fields, that are not known. */
  readonly ignoreUnknown: boolean;
  readonly source: AsyncIterable<Buffer>;
  readonly actor: string;
  /** Part of the transaction by which the job is there to stay. */
  readonly onReceived: (tx: Tx, job: number) => Promise<void>;
}

export interface Imports {
  /** Resolves with the job's number when the whole file has come in. */
  members(slug: string, options: MemberImportOptions, file: FileInput): Promise<number>;
  users(options: UserImportOptions, file: FileInput): Promise<number>;
}

/** The kinds of jobs that imports are. Imports of users are the larger transactions: one at a time. */
export function importKinds(db: Database, definitions: DefinitionCache): Readonly<Record<string, JobKind>> {
  return {
    segment_import: importKind(db, createMemberImport({ db, definitions }), 2),
    user_import: importKind(db, createUserImport({ db }), 1),
    segment_import_undo: importKind(db, createMemberUndo({ db }), 1),
    user_import_undo: importKind(db, createUserUndo({ db }), 1),
  };
}

export function createImports({
  db,
  definitions,
  owner,
  onQueued,
}: {
  db: Database;
  definitions: DefinitionCache;
  /** Of this process, in the queue. */
  owner: string;
  onQueued: () => void;
}): Imports {
  const receiver = createReceiver({ db, owner, onQueued });

  return {
    async members(slug, options, { ignoreUnknown, ...file }) {
      const { mode, expires_at, confirm } = options;
      if (expires_at !== null && mode === 'remove') {
        throw invalid('/query/expires_at', 'is of no use with mode remove');
      }
      if (expires_at !== null && (await isPast(db, expires_at))) {
        throw invalid('/query/expires_at', 'must be in the future');
      }
      const segmentId = (await definitions.fresh()).bySlug.get(slug)?.id;
      if (segmentId === undefined) throw unknownSegment(slug);
      return receiver.receive({
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
    },

    users(options, { ignoreUnknown, ...file }) {
      return receiver.receive({
        kind: 'user_import',
        lane: 'users',
        segmentId: null,
        options,
        ...file,
        reader: userRows({ ignoreUnknown }),
      });
    },
  };
}
