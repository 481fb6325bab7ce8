import { externalIdFault, isObject } from '@kohort/contract';
import { accidentOf } from './accidents.ts';
import { type Cell, columnOf } from './columns.ts';
import type { RowReader, Staged } from './file-reader.ts';
import { readHeader, widthFault } from './header.ts';
import { attributesFault, quoted, shortened, textFault } from './json-line.ts';
import type { RowOptions } from './member-rows.ts';

/** The columns that {@link userRows} stages after the line. */
export const userColumns = 'line, external_id, has_name, name, patch';

const fields = ['external_id', 'name'];
const maxNameChars = 255;
/** Twice the limit of a user, since a row may also remove attributes. */
const maxPatchChars = 32 * 1024;

function stage(externalId: string, name: string | null | undefined, patch: object): Staged {
  const fault = externalIdFault(externalId);
  if (fault !== undefined) return { fault: `external_id ${fault}` };
  if (typeof name === 'string') {
    if (name === '' || name.length > maxNameChars) return { fault: `name must have 1 to ${maxNameChars} characters` };
    const why = textFault(name);
    if (why !== undefined) return { fault: `name ${why}` };
  }
  const text = JSON.stringify(patch);
  if (text.length > maxPatchChars) return { fault: 'attributes must come to less than 32 KiB of JSON in one row' };
  return {
    cells: [externalId, name === undefined ? 'f' : 't', name ?? null, text],
    warning: accidentOf(externalId),
  };
}

interface AttributeColumn {
  readonly at: number;
  readonly name: string;
  readonly read: (cell: string) => Cell;
}

/**
 * Reads the rows of a file of users. In a CSV every column but `external_id` and `name` is an attribute: text, unless its name
 * ends with a type; an empty cell leaves the attribute unchanged. NDJSON has all of JSON's types, and null removes an attribute.
 */
export function userRows({ ignoreUnknown }: RowOptions): RowReader {
  let width = 0;
  let attributes: readonly AttributeColumn[] = [];
  let [idColumn, nameColumn] = [-1, -1];
  return {
    header(names) {
      const header = readHeader(names, fields);
      if ('fault' in header) return header.fault;
      const placeOf = (field: string) => header.columns.find(({ name }) => name === field)?.at ?? -1;
      [idColumn, nameColumn] = [placeOf('external_id'), placeOf('name')];
      if (idColumn === -1) return 'the first line must name the columns, external_id among them';
      const found = attributeColumns(
        header.columns.filter(({ name }) => !fields.includes(name)),
        ignoreUnknown,
      );
      if (typeof found === 'string') return found;
      attributes = found;
      width = ignoreUnknown ? names.length : header.width;
      return undefined;
    },
    record(cells) {
      const fault = widthFault(cells, width);
      if (fault !== undefined) return { fault };
      const patch: Record<string, unknown> = {};
      for (const { at, name, read } of attributes) {
        // A short row has no cells for the last columns.
        if (at >= cells.length) break;
        const cell = cells[at];
        if (cell === undefined || cell === '') continue;
        const value = read(cell);
        if ('fault' in value) return { fault: `${shortened(name)} ${value.fault}` };
        patch[name] = value.value;
      }
      return stage(cells[idColumn] ?? '', cells[nameColumn] || undefined, patch);
    },
    object({ external_id, name, attributes: patch = {}, ...rest }, text) {
      const [unknown] = ignoreUnknown ? [] : Object.keys(rest);
      if (unknown !== undefined) return { fault: `${quoted(unknown)} is not a known field` };
      if (typeof external_id !== 'string') return { fault: 'external_id must be a string' };
      if (name !== undefined && name !== null && typeof name !== 'string') {
        return { fault: 'name must be a string or null' };
      }
      if (!isObject(patch)) return { fault: 'attributes must be an object' };
      const fault = attributesFault(patch, text);
      return fault === undefined ? stage(external_id, name, patch) : { fault: `attributes ${fault}` };
    },
  };
}

function attributeColumns(
  columns: readonly { name: string; at: number }[],
  ignoreUnknown: boolean,
): AttributeColumn[] | string {
  const found: AttributeColumn[] = [];
  const seen = new Set<string>();
  for (const { name: written, at } of columns) {
    const column = columnOf(written);
    if ('fault' in column) {
      if (ignoreUnknown) continue;
      return column.fault;
    }
    if (seen.has(column.name)) return `names the attribute ${quoted(column.name)} twice`;
    seen.add(column.name);
    found.push({ at, ...column });
  }
  return found;
}
