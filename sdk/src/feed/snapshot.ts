import { calls } from '../api.ts';
import { type Call, chunksOf } from '../call.ts';
import { KohortError, Unreachable } from '../errors.ts';

const defaultIdleMs = 60_000;

/** A user who is in a followed segment. */
export interface FeedMember {
  readonly slug: string;
  readonly user_id: number;
  readonly external_id: string | null;
}

/** Some of the members, as they arrive. */
export interface SnapshotPart {
  readonly members: readonly FeedMember[];
  /** The cursor after which changes follow; null until the last part. */
  readonly cursor: string | null;
}

type Line = FeedMember | { readonly cursor: string };

function partOf(lines: readonly string[]): SnapshotPart {
  const members: FeedMember[] = [];
  let cursor: string | null = null;
  for (const line of lines) {
    if (line === '') continue;
    const parsed = JSON.parse(line) as Line;
    if ('cursor' in parsed) cursor = parsed.cursor;
    else members.push(parsed);
  }
  return { members, cursor };
}

/** Aborts with the signal, or when nothing has arrived for too long. */
function whileHeardOf(signal: AbortSignal | undefined, idleMs: number) {
  const controller = new AbortController();
  const stop = () => controller.abort(signal?.reason);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(stop, idleMs);
  };
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop, { once: true });
  heard();
  return {
    signal: controller.signal,
    heard,
    release() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    },
  };
}

/**
 * Who is in the followed segments as of one moment, part by part.
 * @throws Unreachable if it was cut off: the parts so far are then useless.
 */
export async function* snapshotOf(
  call: Call,
  feed: number | string,
  signal: AbortSignal | undefined,
  idleMs = defaultIdleMs,
): AsyncGenerator<SnapshotPart, void, undefined> {
  const watch = whileHeardOf(signal, idleMs);
  try {
    const input = { params: { id: feed }, signal: watch.signal };
    const stream = (await call(calls.feeds.feedSnapshot, input)) as ReadableStream<Uint8Array>;
    const decoder = new TextDecoder();
    let held = '';
    for await (const chunk of chunksOf(stream)) {
      watch.heard();
      const lines = (held + decoder.decode(chunk, { stream: true })).split('\n');
      held = lines.pop() ?? '';
      const part = partOf(lines);
      if (part.members.length > 0 || part.cursor !== null) yield part;
      if (part.cursor !== null) return;
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (error instanceof KohortError || error instanceof Unreachable) throw error;
    throw new Unreachable(cutOff, { cause: error });
  } finally {
    watch.release();
  }
  throw new Unreachable(cutOff);
}

const cutOff = 'The snapshot of the feed was cut off.';
