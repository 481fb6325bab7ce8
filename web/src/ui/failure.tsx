import type { ProblemCode } from '@kohort/contract';
import { Away, Refusal } from '../api/call.ts';
import { type Speech, useSpeech } from '../i18n/language.ts';
import { Button } from './button.tsx';
import { layout, Notice } from './layout.tsx';

/** Codes whose detail from the service says more than our sentence for the code, such as a name or a number. */
const detailed: ReadonlySet<string> = new Set<ProblemCode>([
  'invalid',
  'malformed',
  'user_unknown',
  'segment_unknown',
  'layer_unknown',
  'slug_taken',
  'external_id_taken',
  'username_taken',
  'segment_referenced',
  'layer_overlap',
  'layer_used',
  'job_finished',
  'job_not_undoable',
  'too_large',
  'media_type',
]);

/** Whether the service is an older one that does not have this call yet. */
export function isMissing(error: unknown): boolean {
  return error instanceof Refusal && (error.code === 'route_unknown' || error.code === 'method_not_allowed');
}

/** The error, as a sentence in the reader's language. */
export function sentenceOf(error: unknown, { text, find, language }: Speech): string {
  if (error instanceof Away) return text('failure.away');
  if (!(error instanceof Refusal)) return text('failure.unknown');
  if (isMissing(error)) return text('failure.missing');
  if (error.status === 429 && error.retryAfter !== undefined) return text('failure.wait', { count: error.retryAfter });
  const speaksEnglish = language === 'en' && detailed.has(error.code) && error.errors.length === 0;
  return speaksEnglish ? error.message : (find(`problem.${error.code}`) ?? error.message);
}

/** The details from the service, in English. */
function Details({ refusal, sentence }: { readonly refusal: Refusal; readonly sentence: string }) {
  if (refusal.errors.length > 0) {
    return (
      <ul className={layout.small} lang="en">
        {refusal.errors.map(({ path, message }) => (
          <li key={`${path} ${message}`}>
            <code>{path}</code> {message}
          </li>
        ))}
      </ul>
    );
  }
  if (!detailed.has(refusal.code) || refusal.message === sentence) return null;
  return (
    <span className={layout.soft} lang="en">
      {refusal.message}
    </span>
  );
}

/** Shows an error in place of the answer: a sentence, the invalid fields, the request id, and a button to retry. */
export function Failure({ error, onRetry }: { readonly error: unknown; readonly onRetry?: () => void }) {
  const speech = useSpeech();
  if (isMissing(error)) return <Notice>{speech.text('failure.missing')}</Notice>;
  const refusal = error instanceof Refusal ? error : undefined;
  const sentence = sentenceOf(error, speech);
  return (
    <Notice tone="bad" isAlert>
      <span>{sentence}</span>
      {refusal && <Details refusal={refusal} sentence={sentence} />}
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
