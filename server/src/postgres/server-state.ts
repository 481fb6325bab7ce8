import type pg from 'pg';
import { advisoryLocks } from './advisory-locks.ts';
import { OtherForm, WritesStopped } from './errors.ts';
import { isRefusedForm, readIsDistributed } from './forms.ts';
import { timelineOf } from './timeline.ts';

/** What is known about the server: which one it is, in which form it takes statements, and whether it takes changes. */
export class ServerState {
  readonly #onWriteStop: (isStopped: boolean) => void;
  readonly #failoverListeners: (() => void)[] = [];
  #timeline: string | undefined;
  #isDistributed = false;
  #areWritesStopped = false;

  constructor(onWriteStop: (isStopped: boolean) => void = () => undefined) {
    this.#onWriteStop = onWriteStop;
  }

  /** As read with each new connection, and when a statement is refused that one of the two forms does not support. */
  get isDistributed(): boolean {
    return this.#isDistributed;
  }

  get areWritesStopped(): boolean {
    return this.#areWritesStopped;
  }

  onFailover(listener: () => void): void {
    this.#failoverListeners.push(listener);
  }

  /** Reads what may have changed since the last connection. */
  async recognise(client: pg.ClientBase): Promise<void> {
    await this.#readForm(client);
    const timeline = await timelineOf(client);
    if (timeline === undefined || timeline === this.#timeline) return;
    const isOther = this.#timeline !== undefined;
    this.#timeline = timeline;
    if (isOther) for (const listener of this.#failoverListeners) listener();
  }

  /** The probe's query, twice a second. Writes go on only once it is known what the database has become. */
  async lookForWriteStop(client: pg.ClientBase): Promise<void> {
    const { rows } = await client.query<{ may: boolean }>('SELECT pg_try_advisory_xact_lock_shared($1) AS may', [
      advisoryLocks.writing,
    ]);
    const isStopped = rows[0]?.may === false;
    if (isStopped === this.#areWritesStopped) return;
    if (!isStopped) await this.#readForm(client);
    this.#areWritesStopped = isStopped;
    this.#onWriteStop(isStopped);
  }

  /** @throws WritesStopped */
  refuseStopped(): void {
    if (this.#areWritesStopped) throw new WritesStopped('writes are stopped');
  }

  /**
   * Reads the form again after an error.
   * @throws OtherForm when the statement suited the database before it was distributed, else the error itself.
   */
  async refuse(error: unknown, sentTo: boolean, pool: pg.Pool | undefined): Promise<never> {
    if (!isRefusedForm(error) || !pool) throw error;
    await this.#readForm(pool).catch(() => undefined);
    throw sentTo === this.#isDistributed ? error : new OtherForm('the database was distributed', { cause: error });
  }

  async #readForm(client: pg.ClientBase | pg.Pool): Promise<void> {
    this.#isDistributed = (await readIsDistributed(client)) ?? this.#isDistributed;
  }
}
