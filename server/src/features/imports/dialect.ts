import { type Separator, splitLine } from './csv.ts';

const separators: readonly Separator[] = [',', ';', '\t'];
const idColumns = new Set(['user_id', 'external_id']);
/** What spreadsheets write, and read, as the first line. A spreadsheet that saved it again may have padded it. */
const separatorLine = /^\s*"?sep=([,;\t])"?[,;\s]*$/i;

/** What a line of its own says the separator is. */
export function declaredSeparator(line: string): Separator | undefined {
  return separators.find((one) => one === separatorLine.exec(line)?.[1]);
}

/**
 * The separator by which a header line names a column that identifies users; of several, the one that makes most columns of it.
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
