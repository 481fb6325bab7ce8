import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { call, demand } from '@kohort/testkit/http.ts';
import type { PublishedChange } from '@kohort/testkit/published-change.ts';
import { Webhook } from 'standardwebhooks';
import { Fold } from './fold.ts';

/** A random instance, and the credentials for it. */
export interface Access {
  readonly url: () => string;
  readonly token: string;
  readonly random: () => number;
}

export interface Follower {
  readonly name: string;
  readonly feed: number;
  readonly fold: Fold;
  /** Counts answers other than 200 and broken connections. */
  readonly failures: () => number;
  stop(): Promise<void>;
}

const retryAfterMs = 50;
const callWithinMs = 10_000;

/** Starts `fold` with a snapshot. Returns the cursor after it. */
export async function beginAtSnapshot({ url, token }: Access, feed: number, fold: Fold): Promise<string> {
  for (;;) {
    const answer = await call(url(), 'GET', `/api/feeds/${feed}/snapshot`, { token }).catch(() => undefined);
    const lines = (answer?.status === 200 ? answer.text.trimEnd().split('\n') : []).map((line) => JSON.parse(line));
    const cursor = lines.at(-1)?.cursor;
    if (typeof cursor === 'string') {
      fold.begin(lines.slice(0, -1));
      return cursor;
    }
    await sleep(retryAfterMs);
  }
}

/** How a follower handles a change: usually it applies it. */
export type Apply = (fold: Fold, change: PublishedChange) => void;
export interface FollowOptions {
  readonly apply?: Apply | undefined;
  readonly isStrict?: boolean;
}

const applyAll: Apply = (fold, change) => fold.apply(change);

/** Repeats a step until it is stopped. Counts the steps that fail, except those that were aborted on purpose. */
function repeating(step: () => Promise<void>, wasAborted = () => false): Pick<Follower, 'failures' | 'stop'> {
  let [failures, isStopping] = [0, false];
  async function repeat(): Promise<void> {
    while (!isStopping) {
      await step().catch(() => {
        if (!wasAborted()) failures += 1;
        return sleep(retryAfterMs);
      });
    }
  }
  const repeated = repeat();
  return {
    failures: () => failures,
    async stop() {
      isStopping = true;
      await repeated;
    },
  };
}

/** Polls, and now and then from an earlier cursor, like a follower that lost an answer. */
export async function followByPull(
  access: Access,
  feed: number,
  { apply = applyAll, isStrict = true }: FollowOptions = {},
): Promise<Follower> {
  const { url, token, random } = access;
  const fold = new Fold(isStrict);
  let cursor = await beginAtSnapshot(access, feed, fold);
  let before = cursor;

  async function poll(): Promise<void> {
    const after = random() < 0.1 ? before : cursor;
    const query = new URLSearchParams({ after, limit: String(1 + Math.floor(random() * 40)), wait: '1' });
    const { status, text } = await call(url(), 'GET', `/api/feeds/${feed}/changes?${query}`, {
      token,
      withinMs: callWithinMs,
    });
    if (status !== 200 && status < 500) fold.faults.push(`pulling was answered ${text}`);
    if (status !== 200) throw new Error(text);
    const page = JSON.parse(text) as { changes: PublishedChange[]; cursor: string };
    for (const change of page.changes) apply(fold, change);
    if (after === cursor) [before, cursor] = [cursor, page.cursor];
  }

  return { name: 'pull', feed, fold, ...repeating(poll) };
}

/** Reads the stream of events, disconnects at times, and resumes after the last event received. */
export async function followByEvents(
  access: Access,
  feed: number,
  { apply = applyAll, isStrict = true }: FollowOptions = {},
): Promise<Follower> {
  const { url, token, random } = access;
  const fold = new Fold(isStrict);
  let cursor = await beginAtSnapshot(access, feed, fold);
  let hangUp = new AbortController();

  function take(event: string): void {
    const fields = new Map(
      event
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trimStart()]),
    );
    const [id, data] = [fields.get('id'), fields.get('data')];
    if (data !== undefined && data !== '') {
      const found = JSON.parse(data) as PublishedChange | { readonly changes: readonly PublishedChange[] };
      for (const change of 'changes' in found ? found.changes : [found]) apply(fold, change);
    }
    if (id !== undefined && id !== '') cursor = id;
  }

  async function listen(): Promise<void> {
    hangUp = new AbortController();
    const late = setTimeout(() => hangUp.abort(), 200 + random() * 3_000);
    try {
      const answer = await fetch(`${url()}/api/feeds/${feed}/changes`, {
        headers: { Authorization: `Bearer ${token}`, Accept: 'text/event-stream', 'Last-Event-ID': cursor },
        signal: hangUp.signal,
      });
      if (answer.status === 410) fold.faults.push(`the stream was answered ${await answer.text()}`);
      if (answer.status !== 200 || !answer.body) throw new Error(`answered ${answer.status}`);
      let rest = '';
      for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
        const events = (rest + chunk).split('\n\n');
        rest = events.pop() ?? '';
        for (const event of events) take(event);
      }
    } finally {
      clearTimeout(late);
    }
  }

  const listening = repeating(listen, () => hangUp.signal.aborted);
  return {
    name: 'events',
    feed,
    fold,
    failures: listening.failures,
    async stop() {
      const stopped = listening.stop();
      hangUp.abort();
      await stopped;
    },
  };
}

interface Message {
  readonly type: 'changes' | 'resync' | 'test';
  readonly changes: readonly PublishedChange[];
}

const lostAnswers = 0.01;

/** Receives webhooks, checks their signatures, and at times disconnects instead of acknowledging. */
export async function followByWebhook(
  access: Access,
  feed: number,
  { apply = applyAll, isStrict = true }: FollowOptions = {},
): Promise<Follower> {
  const { url, token, random } = access;
  const fold = new Fold(isStrict);
  const after = await beginAtSnapshot(access, feed, fold);
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const verifier = new Webhook(secret);
  let failures = 0;

  async function receive(request: IncomingMessage): Promise<void> {
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const message = verifier.verify(await text(request), headers) as Message;
    if (message.type !== 'changes') fold.faults.push(`was sent a message of type ${message.type}`);
    for (const change of message.changes) apply(fold, change);
  }

  const receiver = createServer((request, response) => {
    receive(request).then(
      () => {
        if (random() >= lostAnswers) return response.writeHead(204).end();
        failures += 1;
        return response.destroy();
      },
      (error: unknown) => {
        // A sender killed in the middle of a message is not a fault.
        if (!request.destroyed || request.complete) fold.faults.push(`was sent what does not verify: ${error}`);
        response.destroy();
      },
    );
  });
  receiver.listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const address = receiver.address();
  if (typeof address !== 'object' || !address) throw new Error('no address');
  await demand(url(), 'POST', '/api/webhooks', {
    token,
    body: { url: `http://127.0.0.1:${address.port}/`, feed, after, secret },
  });
  return {
    name: 'webhook',
    feed,
    fold,
    failures: () => failures,
    async stop() {
      receiver.close();
      receiver.closeAllConnections();
      await once(receiver, 'close');
    },
  };
}
