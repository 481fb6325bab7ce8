import { setTimeout as sleep } from 'node:timers/promises';
import type { Ask } from '@kohort/testkit/http.ts';
import type { Ledger, Write } from '@kohort/testkit/ledger/ledger.ts';
import { type Caller, callAgain, createCaller, type Outcome } from './http.ts';
import { createSeen, record, type Seen } from './seen.ts';

export interface Traffic {
  readonly seen: Seen;
  /** Stops sending and waits until everything is answered. */
  pause(): Promise<void>;
  resume(): void;
  /** Milliseconds until a write that is sent from now on is acknowledged. */
  untilAcknowledged(withinMs: number): Promise<number>;
  /** Returns the record of what was seen, and begins a new one. */
  take(): Seen;
  stop(): Promise<void>;
}

export interface TrafficOptions {
  readonly ledger: Ledger;
  /** Asked for each call. */
  readonly port: () => number;
  readonly token: () => string;
  /** Calls a second, all together. */
  readonly rate: number;
  /** Share of reads, from 0 to 1. */
  readonly reads?: number;
  /** Several callers with connections of their own. */
  readonly clients?: number;
  /** Connections that each of them may keep. */
  readonly sockets?: number;
  /** Called after a call that was refused or got no answer. */
  readonly onFailure?: (port: number) => void;
  /** Whether a call that met the end of a kept connection is sent once more. */
  readonly retryKept?: boolean;
}

interface State {
  readonly options: TrafficOptions;
  readonly nextCaller: () => Caller;
  /** Called with the moment at which an acknowledged write was sent. */
  readonly listeners: Set<(sentAtMs: number) => void>;
  seen: Seen;
  underWay: number;
  isSending: boolean;
  /** Calls since `sinceMs`, when sending began or was resumed. */
  sent: number;
  sinceMs: number;
  restingSinceMs: number;
}

const maxUnderWay = 2_000;
const tickMs = 10;
/** The pause between two calls with one Idempotency-Key, and how long they are repeated once nothing else is under way. */
const repeatAfterMs = 200;
const repeatForMs = 3_000;

async function call(state: State, port: number, ask: Ask): Promise<Outcome> {
  const { options, nextCaller } = state;
  if (!options.retryKept) return nextCaller().call(port, ask);
  let isFirst = true;
  const nextPort = () => {
    if (isFirst) {
      isFirst = false;
      return port;
    }
    // An instance that ends connections is about to stop, so the second call goes to the other one, if there is one.
    options.onFailure?.(port);
    return options.port();
  };
  const { outcome, again } = await callAgain(nextCaller(), nextPort, ask);
  if (again) state.seen.again++;
  return outcome;
}

async function writeOnce(state: State, { ask }: Write): Promise<'done' | 'not done' | 'unknown'> {
  const { options, listeners } = state;
  const sentAtMs = performance.now();
  const port = options.port();
  const outcome = await call(state, port, ask);
  record(state.seen, performance.now() - sentAtMs, `${ask.method} ${ask.path}`, outcome);
  if (outcome.kind === 'answer' && outcome.status < 300) {
    state.seen.acknowledged++;
    for (const listener of listeners) listener(sentAtMs);
    return 'done';
  }
  options.onFailure?.(port);
  const isRefused = outcome.kind === 'answer' && outcome.code !== 'outcome_unknown' && outcome.status !== 500;
  if (isRefused) state.seen.refused++;
  else if (outcome.kind !== 'refused') state.seen.unknown++;
  return isRefused || outcome.kind === 'refused' ? 'not done' : 'unknown';
}

/** Writes, repeats writes of unknown outcome with their Idempotency-Key, and records the outcome in the ledger. */
async function write(state: State, one: Write): Promise<void> {
  let outcome = await writeOnce(state, one);
  if (outcome === 'unknown' && 'name' in one && one.isKeyed) {
    state.seen.repeated++;
    // A refusal of the repetition says nothing about the first call, whose outcome stays unknown until there is an answer.
    while (outcome === 'unknown' && performance.now() - state.restingSinceMs < repeatForMs) {
      await sleep(repeatAfterMs);
      if ((await writeOnce(state, one)) === 'done') outcome = 'done';
    }
    if (outcome === 'done') state.seen.answeredLater++;
  }
  state.options.ledger.settle(one, outcome);
}

async function read(state: State): Promise<void> {
  const { options } = state;
  const expected = options.ledger.expected();
  if (!expected) return;
  const { user, pairs, versions } = expected;
  const sentAtMs = performance.now();
  const port = options.port();
  const path = `/api/users/${user}/segments`;
  const outcome = await call(state, port, { method: 'GET', path, headers: { consistency: 'strong' } });
  record(state.seen, performance.now() - sentAtMs, `GET ${path}`, outcome);
  if (outcome.kind !== 'answer' || outcome.status !== 200) return options.onFailure?.(port);
  state.seen.reads++;
  // What the answer must be is certain only if no write to any of them was under way meanwhile.
  if (pairs.some(({ busy, version }, i) => busy || version !== versions[i])) return;
  const wanted = pairs.flatMap(({ slug, state }) => (state.startsWith('include') ? [slug] : [])).sort();
  if (outcome.text !== JSON.stringify({ segments: wanted })) state.seen.stale++;
}

function launch(state: State): void {
  const { ledger, reads = 0 } = state.options;
  const isRead = (state.sent++ % 100) / 100 < reads;
  const one = isRead ? undefined : ledger.draw();
  if (!isRead && !one) return;
  state.underWay++;
  void (one ? write(state, one) : read(state)).finally(() => {
    state.underWay--;
  });
}

/** Launches the calls that are due by now. */
function keepRate(state: State): void {
  if (!state.isSending) return;
  const { rate } = state.options;
  const due = ((performance.now() - state.sinceMs) * rate) / 1000;
  // On a busy machine the schedule falls behind; at most one second is made up.
  if (due - state.sent > rate) state.sent = Math.floor(due - rate);
  while (state.sent < due && state.underWay < maxUnderWay) launch(state);
}

async function pause(state: State): Promise<void> {
  state.isSending = false;
  state.restingSinceMs = performance.now();
  while (state.underWay > 0) await sleep(10);
}

function resume(state: State): void {
  state.sinceMs = performance.now();
  state.sent = 0;
  state.restingSinceMs = Number.POSITIVE_INFINITY;
  state.isSending = true;
}

function untilAcknowledged({ listeners }: State, withinMs: number): Promise<number> {
  const beganMs = performance.now();
  const { promise, resolve } = Promise.withResolvers<number>();
  const timer = setTimeout(() => end(Number.POSITIVE_INFINITY), withinMs);
  const listener = (sentAtMs: number) => {
    if (sentAtMs >= beganMs) end(performance.now() - beganMs);
  };
  function end(tookMs: number): void {
    clearTimeout(timer);
    listeners.delete(listener);
    resolve(tookMs);
  }
  listeners.add(listener);
  return promise;
}

/** Sends writes and reads at a steady rate, whether or not they are answered, and records each outcome in the ledger. */
export function startTraffic(options: TrafficOptions): Traffic {
  const { clients = 8, sockets = 64 } = options;
  const callers = Array.from({ length: clients }, () => createCaller(options.token, sockets));
  let turn = 0;
  const state: State = {
    options,
    nextCaller: () => callers[turn++ % callers.length] ?? createCaller(options.token),
    listeners: new Set(),
    seen: createSeen(),
    underWay: 0,
    isSending: true,
    sent: 0,
    sinceMs: performance.now(),
    restingSinceMs: Number.POSITIVE_INFINITY,
  };
  const timer = setInterval(keepRate, tickMs, state);
  return {
    get seen() {
      return state.seen;
    },
    pause: () => pause(state),
    resume: () => resume(state),
    untilAcknowledged: (withinMs) => untilAcknowledged(state, withinMs),
    take() {
      const taken = state.seen;
      state.seen = createSeen();
      return taken;
    },
    async stop() {
      await pause(state);
      clearInterval(timer);
      for (const caller of callers) caller.close();
    },
  };
}
