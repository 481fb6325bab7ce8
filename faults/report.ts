/** One line of the table at the end: what was tried and how often, what is promised, what was seen. */
export interface Row {
  readonly scenario: string;
  readonly times: number;
  readonly promised: string;
  readonly seen: string;
  /** Undefined if it could not be tried here. */
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

/** As Markdown, so that it can be copied into the docs. */
export function renderTable(rows: readonly Row[]): string {
  return markdownTable([
    ['Scenario', 'Times', 'Promised', 'Seen', ''],
    ...rows.map((row) => [row.scenario, String(row.times), row.promised, row.seen, verdictOf(row)]),
  ]);
}

/** The first line is the header. */
export function markdownTable(lines: readonly (readonly string[])[]): string {
  const [head = [], ...body] = lines.map((line) =>
    line.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')),
  );
  const line = (parts: readonly string[]) => `| ${parts.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n');
}
