import type pg from 'pg';
import type { Probe } from './probe.ts';
import { queryConfig, type Sending, type Statement } from './statement.ts';

interface Streaming {
  /** Rows at a time. */
  readonly batch: number;
  /** Begins a transaction that only reads. */
  readonly begin: string;
  readonly sending: Sending;
}

/** The rows of a query in batches, by a cursor in a transaction on `client`, which is released at the end. */
export async function* streamRows<Row extends object>(
  client: pg.PoolClient,
  probe: Probe,
  { text, values }: Statement,
  { batch, begin, sending }: Streaming,
): AsyncGenerator<Row[], void, undefined> {
  const run = (statement: string, parameters: unknown[] = []) =>
    probe.unlessAway(client.query<Row>(queryConfig({ text: statement, values: parameters }, sending)));
  let healthy = false;
  try {
    await run(begin);
    await run(`DECLARE streamed NO SCROLL CURSOR FOR ${text}`, values);
    for (;;) {
      const { rows } = await run(`FETCH ${Math.trunc(batch)} FROM streamed`);
      if (rows.length > 0) yield rows;
      if (rows.length < batch) break;
    }
    healthy = true;
  } finally {
    // Nothing was written, so the connection can be reused once the transaction has ended.
    const ended = await run(healthy ? 'COMMIT' : 'ROLLBACK').then(
      () => true,
      () => false,
    );
    client.release(!ended);
  }
}
