import { useSpeech } from '../../i18n/language.ts';

/** The expiry of a membership or an exclusion, if it has one. */
export function Expiry({ at }: { readonly at: string | null }) {
  const { text, moment, ago } = useSpeech();
  return (
    at && (
      <time dateTime={at} title={moment(at)}>
        {text('members.expiresIn', { time: ago(at) })}
      </time>
    )
  );
}
