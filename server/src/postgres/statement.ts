import pg from 'pg';
import type { Sql } from 'sql-template-tag';

// bigint: constraints keep ids and counts below 2^53. numeric: only percentages, with three decimals.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
pg.types.setTypeParser(pg.types.builtins.NUMERIC, Number);

/** A statement with a name is prepared once per connection. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values: unknown[];
}

/** An array as PostgreSQL writes it, with NULL for what is missing. The client quotes each element, which takes it longer. */
export function bigintArray<T>(items: readonly T[], numberOf: (item: T) => number | null | undefined): string {
  return `{${items.map((item) => numberOf(item) ?? 'NULL').join()}}`;
}

/** The numbers of an array that PostgreSQL wrote, none of them NULL. The client's parser reads character by character. */
export function numbersOf(array: string | null): number[] {
  return array === null || array === '{}' ? [] : array.slice(1, -1).split(',').map(Number);
}

const cancelGraceMs = 1_000;

/** Names a statement whose text never varies. */
export function named(name: string, { text, values }: Sql): Statement {
  return { name, text, values };
}

export interface Sending {
  readonly timeoutMs: number;
  /** Whether a statement that was prepared is still there for the next call. */
  readonly keepsPrepared: boolean;
}

/** `statement_timeout` cannot fire in a backend that is stuck, so the client has its own timeout, a little later. */
export function timeoutOf({ timeoutMs }: Sending): number {
  return timeoutMs + cancelGraceMs;
}

export function queryConfig(statement: Sql | Statement, sending: Sending): pg.QueryConfig {
  const { text, values } = statement;
  const config = { text, values, query_timeout: timeoutOf(sending) };
  const isNamed = sending.keepsPrepared && 'name' in statement && statement.name !== undefined;
  return isNamed ? { name: statement.name, ...config } : config;
}

/** The same, with each row as a tuple of its columns. */
export function tupleConfig(statement: Sql | Statement, sending: Sending): pg.QueryArrayConfig {
  return { ...queryConfig(statement, sending), rowMode: 'array' };
}
