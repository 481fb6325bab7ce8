import { type Separator, splitLine } from './csv.ts';

const separators: readonly Separator[] = [',', ';', '\t'];
const idColumns = new Set(['user_id', 'external_id']);
/** The separator line that spreadsheets write and read first. A spreadsheet that saved it again may have padded it. */
const separatorLine = /^\s*"?sep=([,;\t])"?[,;\s]*$/i;

/** The separator that such a line declares. */
export function declaredSeparator(line: string): Separator | undefined {
  return separators.find((one) => one === separatorLine.exec(line)?.[1]);
}

/**
 * The separator with which the header names a column that identifies users; of several, the one that yields most columns.
 * A header of one column has none, so a comma is as good as any.
 */
export function separatorOf(header: string): Separator {
  let [best, bestScore] = [separators[0] ?? ',', 0];
  for (const separator of separators) {
    const names = splitLine(header, separator);
    const isKnown = names.some((name) => idColumns.has(name.toLowerCase()));
    const score = names.length + (isKnown ? header.length : 0);
    if (score > bestScore) [best, bestScore] = [separator, score];
  }
  return best;
}
