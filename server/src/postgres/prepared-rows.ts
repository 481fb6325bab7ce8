import pg from 'pg';
import type { Sql } from 'sql-template-tag';
import { type Sending, type Statement, timeoutOf, tupleConfig } from './statement.ts';

type ReadColumn = (text: string) => unknown;
type Columns = Map<string, readonly ReadColumn[]>;

/** How to read the columns of what each connection has prepared, by the name of the statement. */
const preparedOn = new WeakMap<pg.Connection, Columns>();

function columnsOn(connection: pg.Connection): Columns {
  const known = preparedOn.get(connection);
  if (known) return known;
  const columns: Columns = new Map();
  preparedOn.set(connection, columns);
  return columns;
}

/** A parameter as PostgreSQL reads it. */
function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return Array.isArray(value) ? `{${value.map(elementText).join()}}` : scalarText(value);
}

function elementText(value: unknown): string {
  if (value === null || value === undefined) return 'NULL';
  return typeof value === 'string' ? `"${value.replaceAll(/["\\]/g, '\\$&')}"` : scalarText(value);
}

/** @throws TypeError if it is an object, which named statements take as text. */
function scalarText(value: unknown): string {
  if (typeof value === 'object')
    throw new TypeError('A parameter of a named statement is neither a scalar nor a list of scalars.');
  return String(value);
}

/**
 * A named statement that the client submits in place of a query of its own. Once a connection has prepared it, its columns are known:
 * the server is not asked to describe them again, and what the client makes for each query (a copy of its settings, an emitter, a
 * result) is left out.
 */
class PreparedRows<Row extends unknown[]> implements pg.Submittable {
  /** The client reads it, and replaces the callback by one that stops its timer. */
  readonly query_timeout: number;
  callback: (error: Error | null) => void;
  readonly rows: Row[] = [];
  readonly #statement: Statement & { readonly name: string };
  readonly #parameters: (string | null)[];
  #prepared: Columns = new Map();
  #columns: readonly ReadColumn[] | undefined;
  #unreadable: Error | undefined;

  constructor(
    statement: Statement & { readonly name: string },
    timeoutMs: number,
    callback: (error: Error | null) => void,
  ) {
    this.#statement = statement;
    this.#parameters = statement.values.map(textOf);
    this.query_timeout = timeoutMs;
    this.callback = callback;
  }

  submit(connection: pg.Connection): void {
    const { name, text } = this.#statement;
    this.#prepared = columnsOn(connection);
    this.#columns = this.#prepared.get(name);
    const isNew = this.#columns === undefined;
    const { stream } = connection;
    // In one piece.
    stream.cork();
    try {
      if (isNew) {
        // One that failed before may be there already; closing one that is not there is no error.
        connection.close({ type: 'S', name }, true);
        connection.parse({ name, text, types: [] }, true);
      }
      connection.bind({ statement: name, values: this.#parameters }, true);
      if (isNew) connection.describe({ type: 'P' }, true);
      connection.execute(null, true);
      connection.sync();
    } finally {
      stream.uncork();
    }
  }

  handleRowDescription({ fields }: { readonly fields: readonly pg.FieldDef[] }): void {
    this.#columns = fields.map(({ dataTypeID }): ReadColumn => pg.types.getTypeParser(dataTypeID, 'text'));
  }

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    try {
      // The caller says what the columns are, as with every query.
      this.rows.push(fields.map((field, i) => (field === null ? null : this.#columns?.[i]?.(field))) as Row);
    } catch (error) {
      this.#unreadable ??= error instanceof Error ? error : new Error(String(error));
    }
  }

  handleCommandComplete(): void {
    if (this.#columns) this.#prepared.set(this.#statement.name, this.#columns);
  }

  handleReadyForQuery(): void {
    this.callback(this.#unreadable ?? null);
  }

  handleError(error: Error): void {
    this.callback(error);
  }
}

/** Each row as a tuple of its columns. */
export function rowsOn<Row extends unknown[]>(
  client: pg.ClientBase,
  statement: Sql | Statement,
  sending: Sending,
): Promise<Row[]> {
  const name = 'name' in statement ? statement.name : undefined;
  if (name === undefined || !sending.keepsPrepared) {
    return client.query<Row>(tupleConfig(statement, sending)).then(({ rows }) => rows);
  }
  const { text, values } = statement;
  return new Promise((resolve, reject) => {
    const query = new PreparedRows<Row>({ name, text, values }, timeoutOf(sending), (error) =>
      error ? reject(error) : resolve(query.rows),
    );
    client.query(query);
  });
}
