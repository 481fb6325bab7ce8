import { externalIdFault } from '@kohort/contract';
import { quoted, type RowReader, readHeader, type Staged, widthFault } from './file-reader.ts';

/** What {@link userRows} stages, after the line. */
export const userColumns = 'line, external_id, has_name, name, patch';

const MAX_DEPTH = 64;
const MAX_NAME = 255;

/** What JSON can say but PostgreSQL cannot keep as it is. */
function storableFault(value: unknown, depth = 0): string | undefined {
  if (typeof value === 'string') {
    if (value.includes('\0')) return 'must not hold NUL';
    return value.isWellFormed() ? undefined : 'must not hold a lone surrogate';
  }
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : 'must be within the range of a double';
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth === MAX_DEPTH) return `must not nest deeper than ${MAX_DEPTH}`;
  for (const [key, child] of Object.entries(value)) {
    const fault =
      key === '__proto__' ? 'must not have a key __proto__' : (storableFault(key) ?? storableFault(child, depth + 1));
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function stage(externalId: string, name: string | null | undefined, patch: object): Staged {
  const fault = externalIdFault(externalId);
  if (fault !== undefined) return { fault: `external_id ${fault}` };
  if (typeof name === 'string') {
    if (name === '' || name.length > MAX_NAME) return { fault: `name must have 1 to ${MAX_NAME} characters` };
    const why = storableFault(name);
    if (why !== undefined) return { fault: `name ${why}` };
  }
  return { cells: [externalId, name === undefined ? 'f' : 't', name ?? null, JSON.stringify(patch)] };
}

/**
 * Reads the rows of a file of users. In a CSV every column but `external_id` and `name` is an attribute, its cells are strings,
 * and an empty cell leaves the attribute as it is. NDJSON has all of JSON's types, and null takes an attribute away.
 */
export function userRows(): RowReader {
  let columns: readonly string[] = [];
  let [idColumn, nameColumn] = [-1, -1];
  return {
    header(found) {
      const header = readHeader(found);
      if ('fault' in header) return header.fault;
      columns = header.names;
      [idColumn, nameColumn] = [columns.indexOf('external_id'), columns.indexOf('name')];
      if (idColumn === -1) return 'the first line must name the columns, external_id among them';
      return columns.includes('__proto__') ? 'has a column __proto__' : undefined;
    },
    record(cells) {
      const fault = widthFault(cells, columns.length);
      if (fault !== undefined) return { fault };
      const patch: Record<string, string> = {};
      for (const [i, column] of columns.entries()) {
        const cell = cells[i];
        if (i !== idColumn && i !== nameColumn && cell) patch[column] = cell;
      }
      return stage(cells[idColumn] ?? '', cells[nameColumn] || undefined, patch);
    },
    object({ external_id, name, attributes = {}, ...rest }) {
      const [unknown] = Object.keys(rest);
      if (unknown !== undefined) return { fault: `${quoted(unknown)} is not a known field` };
      if (typeof external_id !== 'string') return { fault: 'external_id must be a string' };
      if (name !== undefined && name !== null && typeof name !== 'string')
        return { fault: 'name must be a string or null' };
      if (!isObject(attributes)) return { fault: 'attributes must be an object' };
      const fault = storableFault(attributes);
      return fault === undefined ? stage(external_id, name, attributes) : { fault: `attributes ${fault}` };
    },
  };
}
