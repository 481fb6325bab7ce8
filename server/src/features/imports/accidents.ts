import { trimBlanks } from './blanks.ts';

const words = new Set(['null', 'nil', 'none', 'undefined', 'nan', 'n/a', 'external_id', 'user_id', 'id']);
/** `#N/A`, `#REF!`, `#NAME?` … */
const spreadsheetError = /^#(?:N\/A|REF!|VALUE!|NAME\?|DIV\/0!|NUM!|NULL!|SPILL!|CALC!|GETTING_DATA)$/i;
/** `1.23E+16`, also with a decimal comma. */
const spreadsheetNumber = /^\d(?:[.,]\d+)?E\+\d+$/i;

/** Why an external id looks like an accident of a spreadsheet. It is accepted with a warning. */
export function accidentOf(id: string): string | undefined {
  if (id.length <= 16) {
    if (words.has(id.toLowerCase())) return `external_id "${id}" looks like an accident: no value, or the header again`;
    if (spreadsheetError.test(id)) return `external_id "${id}" looks like an accident: an error of a spreadsheet`;
    if (spreadsheetNumber.test(id)) {
      return `external_id "${id}" looks like an accident: a spreadsheet made a number of it`;
    }
  }
  return trimBlanks(id) === id ? undefined : 'external_id begins or ends with a blank';
}
