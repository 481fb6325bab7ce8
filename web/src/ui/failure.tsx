import { Away, Refusal } from '../api/call.ts';
import { type Key, type Speech, useSpeech } from '../i18n/language.ts';
import { Button } from './button.tsx';
import { layout, Notice } from './layout.tsx';

const byStatus: Readonly<Record<number, Key>> = {
  403: 'failure.forbidden',
  412: 'failure.stale',
  413: 'failure.large',
  429: 'failure.throttled',
  503: 'failure.busy',
};

/** The call is one of the contract that this service, an older one, does not have yet. */
export function isMissing(error: unknown): boolean {
  return error instanceof Refusal && (error.code === 'route_unknown' || error.code === 'method_not_allowed');
}

/** What went wrong, in a sentence. The detail of the service says which name or number it was. */
export function sentenceOf(error: unknown, { text, plain }: Speech): string {
  if (error instanceof Away) return text('failure.away');
  if (!(error instanceof Refusal)) return text('failure.unknown');
  if (isMissing(error)) return text('failure.missing');
  if (error.status === 429 && error.retryAfter !== undefined) return text('failure.wait', { count: error.retryAfter });
  const known = byStatus[error.status];
  if (error.status >= 500 && known === undefined) return text('failure.fault');
  return known === undefined ? error.message : plain(known);
}

/** An error where its answer would have stood: what happened, its fields, the request's id, and a way to try again. */
export function Failure({ error, onRetry }: { readonly error: unknown; readonly onRetry?: () => void }) {
  const speech = useSpeech();
  if (isMissing(error)) return <Notice>{speech.text('failure.missing')}</Notice>;
  const refusal = error instanceof Refusal ? error : undefined;
  const sentence = sentenceOf(error, speech);
  const detail = refusal && refusal.message !== sentence && refusal.status !== 403 ? refusal.message : undefined;
  return (
    <Notice tone="bad" isAlert>
      <span>{sentence}</span>
      {detail !== undefined && refusal?.errors.length === 0 && <span className={layout.soft}>{detail}</span>}
      {refusal && refusal.errors.length > 0 && (
        <ul className={layout.small}>
          {refusal.errors.map(({ path, message }) => (
            <li key={`${path} ${message}`}>
              <code>{path}</code> {message}
            </li>
          ))}
        </ul>
      )}
      {refusal?.requestId !== undefined && (
        <span className={layout.small}>
          {speech.text('failure.request')} <code>{refusal.requestId}</code>
        </span>
      )}
      {onRetry && (
        <span>
          <Button isSmall onPress={onRetry}>
            {speech.text('retry')}
          </Button>
        </span>
      )}
    </Notice>
  );
}
