import type { Client } from '../client.ts';

/** Where commands write. */
export interface Output {
  readonly isJson: boolean;
  write(text: string): void;
}

export function outputOn(out: { write(text: string): unknown }, isJson: boolean): Output {
  return { isJson, write: (text) => void out.write(text) };
}

/** One value as JSON, or what people read. */
export function print(output: Output, value: unknown, lines: readonly string[]): void {
  if (output.isJson) output.write(`${JSON.stringify(value, undefined, 2)}\n`);
  else if (lines.length > 0) output.write(`${lines.join('\n')}\n`);
}

/** Columns as wide as their content. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  return all.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** Runs a command with a client that the environment configures. A number that it returns is the exit code. */
export type Act = (run: (client: Client, output: Output) => Promise<unknown>) => Promise<void>;
