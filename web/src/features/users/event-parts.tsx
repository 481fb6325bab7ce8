import { Link } from '@tanstack/react-router';
import type { SegmentChange, UserEvent } from '../../api/types.ts';
import { type Key, useSpeech } from '../../i18n/language.ts';
import { Badge, layout, type Tone } from '../../ui/layout.tsx';
import { Actor } from './actor.tsx';

type Event = UserEvent | SegmentChange;

const tones: Readonly<Record<string, Tone>> = { add: 'good', remove: 'bad', expire: 'warn' };

/** Exclusions have their own words. */
function wordsOf({ source, action }: Event): Key {
  if (source !== 'exclude') return `event.${action}`;
  return action === 'remove' || action === 'expire' ? 'event.included' : 'event.exclude';
}

/** A change of an override, with its expiry. */
export function EventBadge({ event }: { readonly event: Event }) {
  const { text, plain, moment } = useSpeech();
  const words = wordsOf(event);
  return (
    <>
      <Badge tone={words === 'event.exclude' ? 'bad' : words === 'event.included' ? 'plain' : tones[event.action]}>
        {plain(words)}
      </Badge>
      {event.expires_at && <div className={layout.small}>{text('why.until', { time: moment(event.expires_at) })}</div>}
    </>
  );
}

const byImport = 'import:';

/** Who made the change, and by which job if it was a bulk change. */
export function EventActor({ event }: { readonly event: Event }) {
  const { text } = useSpeech();
  const id = event.source.startsWith(byImport) ? event.source.slice(byImport.length) : undefined;
  return (
    <div className={layout.links}>
      <Actor actor={event.actor} />
      {id !== undefined && (
        <div className={layout.small}>
          <Link to="/jobs/$id" params={{ id }} className={layout.inText}>
            {text('person.import', { id })}
          </Link>
        </div>
      )}
    </div>
  );
}
