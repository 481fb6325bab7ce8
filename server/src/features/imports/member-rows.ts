import { externalIdFault, maxUserId, parseId, parseTime } from '@kohort/contract';
import { accidentOf } from './accidents.ts';
import type { RowReader, Staged } from './file-reader.ts';
import { readHeader, widthFault } from './header.ts';
import { quoted } from './json-line.ts';

const columns = ['user_id', 'external_id', 'expires_at'];
/** The columns that {@link memberRows} stages after the line. */
export const memberColumns = 'line, user_id, external_id, expires_at';

const ID = `an id from 1 to ${maxUserId}`;

/** An external id takes precedence: it means the same user in every installation. */
function stage(id: string, externalId: string, expiresAt: string): Staged {
  let time: string | null = null;
  if (expiresAt !== '') {
    const date = parseTime(expiresAt);
    if (!date) return { fault: `expires_at ${quoted(expiresAt)} is not an RFC 3339 time with an offset` };
    time = date.toISOString();
  }
  if (externalId !== '') {
    const fault = externalIdFault(externalId);
    if (fault !== undefined) return { fault: `external_id ${fault}` };
    return { cells: [null, externalId, time], warning: accidentOf(externalId) };
  }
  if (id === '') return { fault: 'names no user' };
  return parseId(id) === undefined ? { fault: `user_id ${quoted(id)} is not ${ID}` } : { cells: [id, null, time] };
}

export interface RowOptions {
  /** Ignore unknown columns or fields. */
  readonly ignoreUnknown: boolean;
}

/** Reads the rows of a file of members. */
export function memberRows({ ignoreUnknown }: RowOptions): RowReader {
  let width = 0;
  let [id, externalId, expiresAt] = [-1, -1, -1];
  return {
    header(names) {
      const known = ignoreUnknown ? names.map((name) => (columns.includes(name.toLowerCase()) ? name : '')) : names;
      const header = readHeader(known, columns);
      if ('fault' in header) return header.fault;
      const unknown = header.columns.find(({ name }) => !columns.includes(name) && !ignoreUnknown);
      if (unknown?.name === '') return 'has a column without a name';
      if (unknown !== undefined) {
        return `the first line must name the columns, among ${columns.join(', ')}; ${quoted(unknown.name)} is none of them; columns=ignore passes over such columns`;
      }
      const placeOf = (name: string) => header.columns.find((column) => column.name === name)?.at ?? -1;
      [id, externalId, expiresAt] = [placeOf('user_id'), placeOf('external_id'), placeOf('expires_at')];
      if (id === -1 && externalId === -1) return 'the first line must name a column user_id or external_id';
      width = ignoreUnknown ? names.length : header.width;
      return undefined;
    },
    record(cells) {
      const fault = widthFault(cells, width);
      if (fault !== undefined) return { fault };
      return stage(cells[id] ?? '', cells[externalId] ?? '', cells[expiresAt] ?? '');
    },
    object(value) {
      const unknown = ignoreUnknown ? undefined : Object.keys(value).find((name) => !columns.includes(name));
      if (unknown !== undefined) return { fault: `${quoted(unknown)} is not a known field` };
      const { user_id = null, external_id = null, expires_at = null } = value;
      if (user_id !== null && !(Number.isSafeInteger(user_id) && Number(user_id) >= 1)) {
        return { fault: `user_id must be ${ID}, as a number` };
      }
      if (external_id !== null && typeof external_id !== 'string') return { fault: 'external_id must be a string' };
      if (external_id === '') return { fault: 'external_id must not be empty' };
      if (expires_at !== null && typeof expires_at !== 'string') return { fault: 'expires_at must be a string' };
      if (expires_at === '') return { fault: 'expires_at "" is not an RFC 3339 time with an offset' };
      return stage(user_id === null ? '' : String(user_id), external_id ?? '', expires_at ?? '');
    },
  };
}
