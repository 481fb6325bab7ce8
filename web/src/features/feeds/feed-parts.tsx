import { Link } from '@tanstack/react-router';
import type { Feed } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Badge, layout } from '../../ui/layout.tsx';

const mostShown = 6;

/** The segments that a feed follows: by name, or by tag. */
export function Followed({ feed }: { readonly feed: Feed }) {
  const { text } = useSpeech();
  const { segments, tags } = feed;
  if (segments === null) {
    return (
      <span className={layout.row}>
        <span className={layout.soft}>{text('feeds.byTag')}</span>
        {tags?.map((tag) => (
          <Badge key={tag}>{tag}</Badge>
        ))}
      </span>
    );
  }
  return (
    <span className={layout.row}>
      {segments.slice(0, mostShown).map((slug) => (
        <Link key={slug} to="/segments/$slug" params={{ slug }} className={layout.inText}>
          {slug}
        </Link>
      ))}
      {segments.length > mostShown && <span className={layout.soft}>+{segments.length - mostShown}</span>}
    </span>
  );
}

export function FeedState({ feed }: { readonly feed: Feed }) {
  const { plain } = useSpeech();
  return <Badge tone={feed.state === 'ready' ? 'good' : 'warn'}>{plain(`feeds.state.${feed.state}`)}</Badge>;
}
