/** One line of the table at the end: what was tried how often, what was promised, what was seen. */
export interface Row {
  readonly scenario: string;
  readonly times: number;
  readonly promised: string;
  readonly seen: string;
  /** Undefined where it could not be tried here. */
  readonly held: boolean | undefined;
}

export interface Options {
  readonly quick: boolean;
  readonly seed: number;
  readonly random: () => number;
  /** Of the soak. */
  readonly minutes: number;
}

export type Scenario = (options: Options) => Promise<Row[]>;

export function skipped(scenario: string, why: string): Row {
  return { scenario, times: 0, promised: '', seen: `not tried: ${why}`, held: undefined };
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

export function seconds(milliseconds: number): string {
  return Number.isFinite(milliseconds) ? `${(milliseconds / 1000).toFixed(1)} s` : 'never';
}

function verdictOf({ held }: Row): string {
  return held === undefined ? '–' : held ? 'held' : 'BROKEN';
}

/** As Markdown, so that it can go into the docs as it is. */
export function renderTable(rows: readonly Row[]): string {
  const cells = [
    ['Scenario', 'Times', 'Promised', 'Seen', ''],
    ...rows.map((row) => [row.scenario, String(row.times), row.promised, row.seen, verdictOf(row)]),
  ].map((line) => line.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')));
  const [head = [], ...body] = cells;
  const line = (parts: readonly string[]) => `| ${parts.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n');
}
