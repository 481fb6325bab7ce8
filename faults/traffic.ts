import { setTimeout as sleep } from 'node:timers/promises';
import type { Ask } from '@kohort/testkit/http.ts';
import type { Ledger, Write } from '@kohort/testkit/ledger/ledger.ts';
import { callAgain, createCaller, type Outcome } from './http.ts';

export interface Seen {
  /** Writes that were acknowledged. */
  acknowledged: number;
  /** Answered 503: they must not have happened. */
  refused: number;
  /** Answered "outcome unknown", or the connection broke. */
  unknown: number;
  /** No connection to be had. */
  unreachable: number;
  /** Connections that broke with a call on them. */
  lost: number;
  /** Calls of unknown outcome that were asked again with their Idempotency-Key, and how many of those were told in the end. */
  repeated: number;
  told: number;
  /** In what ways they broke. */
  readonly breaks: Map<string, number>;
  /** Sent once more, since a kept connection ended under them. */
  again: number;
  reads: number;
  /** Reads that did not show what was acknowledged before they were sent. */
  stale: number;
  /** Answers that nobody promised: a 500, a 4xx, a 503 without Retry-After, none at all. */
  readonly unexpected: string[];
  /** Milliseconds the slowest answer, or refusal, took. */
  slowest: number;
  slowestWhat: string;
}

export interface Traffic {
  readonly seen: Seen;
  /** Stops sending and waits until everything is answered. */
  pause(): Promise<void>;
  resume(): void;
  /** Milliseconds from now until a write that was sent after now is acknowledged. */
  untilAcknowledged(within: number): Promise<number>;
  /** Takes the record of what was seen, and begins a new one. */
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
  /** Told about calls that found nobody, or were refused. */
  readonly onFailure?: (port: number) => void;
  /** Whether a call that met the end of a kept connection is sent once more. */
  readonly retryKept?: boolean;
}

const MAX_UNDER_WAY = 2_000;
const TICK = 10;
const MAX_KEPT = 50;
/** Between two askings with one Idempotency-Key, and how long it is asked once everything else has come to rest. */
const ASK_AGAIN_AFTER = 200;
const ASK_AGAIN_FOR = 3_000;

function nothing(): Seen {
  return {
    acknowledged: 0,
    refused: 0,
    unknown: 0,
    unreachable: 0,
    lost: 0,
    repeated: 0,
    told: 0,
    breaks: new Map(),
    again: 0,
    reads: 0,
    stale: 0,
    unexpected: [],
    slowest: 0,
    slowestWhat: '',
  };
}

/** Sends writes, and reads where asked to, at a steady rate whatever becomes of them, and enters each outcome in the ledger. */
export function startTraffic(options: TrafficOptions): Traffic {
  const { ledger, rate, reads = 0, clients = 8, sockets = 64 } = options;
  const callers = Array.from({ length: clients }, () => createCaller(options.token, sockets));
  let seen = nothing();
  let underWay = 0;
  let sending = true;
  let turn = 0;
  let sent = 0;
  let since = performance.now();
  let restingSince = Number.POSITIVE_INFINITY;
  const waiting = new Set<(sentAt: number) => void>();

  const nextCaller = () => callers[turn++ % callers.length] ?? createCaller(options.token);

  function note(started: number, what: string, outcome: Outcome): void {
    const took = performance.now() - started;
    if (took > seen.slowest) {
      seen.slowest = took;
      seen.slowestWhat = `${what}: ${outcome.kind === 'answer' ? `${outcome.status} ${outcome.code ?? ''}` : outcome.kind}`;
    }
    if (outcome.kind === 'refused') seen.unreachable++;
    if (outcome.kind === 'lost') {
      seen.lost++;
      seen.breaks.set(outcome.why, (seen.breaks.get(outcome.why) ?? 0) + 1);
    }
    const fine =
      outcome.kind !== 'hung' &&
      (outcome.kind !== 'answer' ||
        outcome.status < 300 ||
        ((outcome.status === 503 || outcome.code === 'idempotency_in_flight') && outcome.retryAfter !== undefined));
    if (!fine && seen.unexpected.length < MAX_KEPT) {
      const words =
        outcome.kind === 'answer' ? `answered ${outcome.status} ${outcome.text.slice(0, 300)}` : 'was never answered';
      seen.unexpected.push(`${what} ${words}`);
    }
  }

  async function call(port: number, ask: Ask): Promise<Outcome> {
    if (!options.retryKept) return nextCaller().call(port, ask);
    let isFirst = true;
    const nextPort = () => {
      if (isFirst) {
        isFirst = false;
        return port;
      }
      // Whoever ends connections is about to go: the second time the other one is asked, where there is one.
      options.onFailure?.(port);
      return options.port();
    };
    const { outcome, again } = await callAgain(nextCaller(), nextPort, ask);
    if (again) seen.again++;
    return outcome;
  }

  /** Asks once and says how it went. */
  async function ask(write: Write): Promise<'done' | 'not done' | 'unknown'> {
    const started = performance.now();
    const port = options.port();
    const outcome = await call(port, write.ask);
    note(started, `${write.ask.method} ${write.ask.path}`, outcome);
    if (outcome.kind === 'answer' && outcome.status < 300) {
      seen.acknowledged++;
      for (const one of waiting) one(started);
      return 'done';
    }
    options.onFailure?.(port);
    const isRefused = outcome.kind === 'answer' && outcome.code !== 'outcome_unknown' && outcome.status !== 500;
    if (isRefused) seen.refused++;
    else if (outcome.kind !== 'refused') seen.unknown++;
    return isRefused || outcome.kind === 'refused' ? 'not done' : 'unknown';
  }

  async function send(write: Write): Promise<void> {
    let outcome = await ask(write);
    if (outcome === 'unknown' && 'name' in write && write.isKeyed) {
      seen.repeated++;
      // A refusal now tells nothing about the first asking: it stays unknown until there is an answer.
      while (outcome === 'unknown' && performance.now() - restingSince < ASK_AGAIN_FOR) {
        await sleep(ASK_AGAIN_AFTER);
        if ((await ask(write)) === 'done') outcome = 'done';
      }
      if (outcome === 'done') seen.told++;
    }
    ledger.settle(write, outcome);
  }

  async function read(): Promise<void> {
    const expected = ledger.expected();
    if (!expected) return;
    const { user, pairs, versions } = expected;
    const started = performance.now();
    const port = options.port();
    const path = `/api/users/${user}/segments`;
    const outcome = await call(port, { method: 'GET', path, headers: { consistency: 'strong' } });
    note(started, `GET ${path}`, outcome);
    if (outcome.kind !== 'answer' || outcome.status !== 200) return options.onFailure?.(port);
    seen.reads++;
    // Only if nobody wrote to any of them meanwhile is it certain what had to be answered.
    if (pairs.some(({ busy, version }, i) => busy || version !== versions[i])) return;
    const wanted = pairs.flatMap(({ slug, state }) => (state.startsWith('include') ? [slug] : [])).sort();
    if (outcome.text !== JSON.stringify({ segments: wanted })) seen.stale++;
  }

  function launch(): void {
    const isRead = (sent++ % 100) / 100 < reads;
    const write = isRead ? undefined : ledger.draw();
    if (!isRead && !write) return;
    underWay++;
    void (write ? send(write) : read()).finally(() => {
      underWay--;
    });
  }

  const timer = setInterval(() => {
    if (!sending) return;
    const due = ((performance.now() - since) * rate) / 1000;
    // What could not be sent in time, since this machine was busy, is not made up for beyond a second.
    if (due - sent > rate) sent = Math.floor(due - rate);
    while (sent < due && underWay < MAX_UNDER_WAY) launch();
  }, TICK);

  async function pause(): Promise<void> {
    sending = false;
    restingSince = performance.now();
    while (underWay > 0) await sleep(10);
  }

  return {
    get seen() {
      return seen;
    },
    pause,
    resume() {
      since = performance.now();
      sent = 0;
      restingSince = Number.POSITIVE_INFINITY;
      sending = true;
    },
    untilAcknowledged(within) {
      const began = performance.now();
      return new Promise((resolve) => {
        const late = setTimeout(() => end(Number.POSITIVE_INFINITY), within);
        const hear = (sentAt: number) => {
          if (sentAt >= began) end(performance.now() - began);
        };
        function end(took: number): void {
          clearTimeout(late);
          waiting.delete(hear);
          resolve(took);
        }
        waiting.add(hear);
      });
    },
    take() {
      const taken = seen;
      seen = nothing();
      return taken;
    },
    async stop() {
      await pause();
      clearInterval(timer);
      for (const one of callers) one.close();
    },
  };
}
