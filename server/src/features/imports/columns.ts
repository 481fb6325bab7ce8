import { attributesFault, isInexact, nameFault, parseJson, quoted, repeatedName } from './json-line.ts';

/** The value of a cell, or why it is not valid in its column. */
export type Cell = { readonly value: unknown } | { readonly fault: string };

const jsonNumber = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

function readNumber(cell: string): Cell {
  if (!jsonNumber.test(cell)) return { fault: `${quoted(cell)} is not a number as JSON writes it, such as -1.5` };
  const value = Number(cell);
  if (!Number.isFinite(value)) return { fault: `${quoted(cell)} is beyond the range of a double` };
  if (isInexact(cell)) return { fault: `${quoted(cell)} is an integer that a double cannot hold exactly` };
  return { value };
}

function readBoolean(cell: string): Cell {
  const lower = cell.toLowerCase();
  if (lower === 'true' || lower === '1') return { value: true };
  if (lower === 'false' || lower === '0') return { value: false };
  return { fault: `${quoted(cell)} is neither true nor false` };
}

function readJson(cell: string): Cell {
  const parsed = parseJson(cell);
  if ('fault' in parsed) return { fault: `${quoted(cell)} is ${parsed.fault}` };
  const twice = repeatedName(cell, parsed.value);
  if (twice !== undefined) return { fault: `has the name ${quoted(twice)} twice in one object` };
  const fault = attributesFault(parsed.value, cell);
  return fault === undefined ? parsed : { fault };
}

const readers = new Map<string, (cell: string) => Cell>([
  ['string', (cell) => ({ value: cell })],
  ['number', readNumber],
  ['boolean', readBoolean],
  ['json', readJson],
]);

/** The attribute of a CSV column: `plan`, or `age:number` with its type. */
export function columnOf(written: string): { name: string; read: (cell: string) => Cell } | { fault: string } {
  const colon = written.lastIndexOf(':');
  const name = colon === -1 ? written : written.slice(0, colon).trimEnd();
  const type =
    colon === -1
      ? 'string'
      : written
          .slice(colon + 1)
          .trim()
          .toLowerCase();
  if (written === '') return { fault: 'has a column without a name' };
  const read = readers.get(type);
  if (!read) {
    return {
      fault: `column ${quoted(written)} names an unknown type; the types are ${[...readers.keys()].join(', ')}. If the colon belongs to the name, write ${quoted(`${written}:string`)}`,
    };
  }
  const fault = nameFault(name);
  return fault === undefined ? { name, read } : { fault: `column ${quoted(written)} ${fault}` };
}
