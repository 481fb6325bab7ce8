import { externalIdFault, maxUserId, parseId, parseTime } from '@kohort/contract';
import { quoted, type RowReader, readHeader, type Staged, widthFault } from './file-reader.ts';

const COLUMNS = ['user_id', 'external_id', 'expires_at'];
/** What {@link memberRows} stages, after the line. */
export const memberColumns = 'line, user_id, external_id, expires_at';

const ID = `an id from 1 to ${maxUserId}`;

/** An external id decides where there is one: it means the same user in every installation. */
function stage(id: string, externalId: string, expiresAt: string): Staged {
  let time: string | null = null;
  if (expiresAt !== '') {
    const date = parseTime(expiresAt);
    if (!date) return { fault: `expires_at ${quoted(expiresAt)} is not an RFC 3339 time with an offset` };
    time = date.toISOString();
  }
  if (externalId !== '') {
    const fault = externalIdFault(externalId);
    return fault === undefined ? { cells: [null, externalId, time] } : { fault: `external_id ${fault}` };
  }
  if (id === '') return { fault: 'names no user' };
  return parseId(id) === undefined ? { fault: `user_id ${quoted(id)} is not ${ID}` } : { cells: [id, null, time] };
}

/** Reads the rows of a file of members. */
export function memberRows(): RowReader {
  let width = 0;
  let [id, externalId, expiresAt] = [-1, -1, -1];
  return {
    header(found) {
      const header = readHeader(found);
      if ('fault' in header) return header.fault;
      const { names } = header;
      const unknown = names.find((name) => !COLUMNS.includes(name));
      if (unknown !== undefined) {
        const hint = unknown.includes(';') || unknown.includes('\t') ? '; cells are separated by commas' : '';
        return `the first line must name the columns, among ${COLUMNS.join(', ')}; ${quoted(unknown)} is none of them${hint}`;
      }
      [id, externalId, expiresAt] = COLUMNS.map((name) => names.indexOf(name)) as [number, number, number];
      if (id === -1 && externalId === -1) return 'the first line must name a column user_id or external_id';
      width = names.length;
      return undefined;
    },
    record(cells) {
      const fault = widthFault(cells, width);
      if (fault !== undefined) return { fault };
      return stage(cells[id] ?? '', cells[externalId] ?? '', cells[expiresAt] ?? '');
    },
    object(value) {
      const unknown = Object.keys(value).find((name) => !COLUMNS.includes(name));
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
