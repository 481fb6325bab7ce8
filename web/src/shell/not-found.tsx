import { Link } from '@tanstack/react-router';
import { useSpeech } from '../i18n/language.ts';
import { buttonClass } from '../ui/button.tsx';
import { Empty, Page } from '../ui/layout.tsx';

export function NotFound() {
  const { text } = useSpeech();
  return (
    <Page title={text('notFound.title')}>
      <Empty
        title={text('notFound.hint')}
        action={
          <Link to="/segments" className={buttonClass('primary')}>
            {text('nav.segments')}
          </Link>
        }
      />
    </Page>
  );
}
