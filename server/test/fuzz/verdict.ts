import { accepts, type Operation } from './document.ts';

export interface Heard {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | number | undefined>>;
  readonly text: string;
}

/** What no answer may show of what is behind it. */
const INNARDS =
  /\bat (?:async |new )?[\w.<>$]+ \(|node_modules|\.ts\b|\/work\/|\/home\/|\b(?:SELECT|INSERT INTO|DELETE FROM)\b|pg_|relation "|violates|SQLSTATE|ECONN/;

/** What is wrong with an answer, by the document alone; undefined when nothing is. */
export function faultOf(
  { responses, method }: Operation,
  { status, headers, text }: Heard,
  statuses: readonly number[] | undefined,
): string | undefined {
  if (status >= 500) return 'a fault of the service';
  if (statuses && !statuses.includes(status)) return `expected ${statuses.join(' or ')}`;
  const documented = responses.get(status);
  if (!documented) return 'not a documented status';
  if (!headers['x-request-id']) return 'without X-Request-Id';
  if (status === 401 && !headers['www-authenticate']) return 'without WWW-Authenticate';
  if (status === 429 && !headers['retry-after']) return 'without Retry-After';
  const type = String(headers['content-type'] ?? '').split(';', 1)[0] ?? '';
  if (documented.size === 0) return text === '' ? undefined : 'a body where none is documented';
  const schema = documented.get(type);
  if (!schema) return `${type} is not a documented type`;
  if (status >= 400 && INNARDS.test(text)) return 'shows its innards';
  if (!/json$/.test(type) || type === 'application/x-ndjson') return undefined;
  const value = JSON.parse(text);
  if (!accepts(schema, value)) return 'not its documented schema';
  // OFREP has a form of its own for errors, which its schema says all about.
  if (status >= 400 && !('errorCode' in value) && (value.status !== status || value.message !== value.detail))
    return 'not our problem form';
  return method === 'HEAD' ? 'a body' : undefined;
}
