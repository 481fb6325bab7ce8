export interface EventStream {
  readonly response: Response;
  leave(): void;
  /** The next event, as its lines, without those of mere comments; undefined when the stream has ended. */
  next(): Promise<string | undefined>;
}

/** Opens a stream of server-sent events, whose events are read one at a time. */
export async function openEvents(url: string, headers: Record<string, string> = {}): Promise<EventStream> {
  const leaving = new AbortController();
  const response = await fetch(url, { headers, signal: leaving.signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  return {
    response,
    leave: () => leaving.abort(),
    async next() {
      for (;;) {
        const end = text.indexOf('\n\n');
        if (end >= 0) {
          const event = text.slice(0, end);
          text = text.slice(end + 2);
          if (!/^:[^\n]*$/.test(event)) return event;
          continue;
        }
        const chunk = await reader?.read();
        if (chunk === undefined || chunk.done) return undefined;
        text += chunk.value;
      }
    },
  };
}
