import { useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useLocation } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { listen, root } from '../api/call.ts';
import { useSpeech } from '../i18n/language.ts';
import { useMay, useMe } from '../session/session.tsx';
import { Button } from '../ui/button.tsx';
import { Icon, type IconName } from '../ui/icons.tsx';
import { layout } from '../ui/layout.tsx';
import { Logo } from './logo.tsx';
import styles from './shell.module.css';

function NavLink({ to, icon, children }: { readonly to: string; readonly icon: IconName; readonly children: string }) {
  return (
    <Link to={to} className={styles.link} activeOptions={{ exact: false, includeSearch: false }}>
      <Icon name={icon} size={18} />
      {children}
    </Link>
  );
}

function Navigation() {
  const { text } = useSpeech();
  const isAdmin = useMay('admin');
  const maySee = useMay('viewer');
  return (
    <div className={styles.nav}>
      {maySee && (
        <>
          <NavLink to="/segments" icon="segments">
            {text('nav.segments')}
          </NavLink>
          <NavLink to="/people" icon="people">
            {text('nav.people')}
          </NavLink>
          <NavLink to="/overlap" icon="compare">
            {text('nav.overlap')}
          </NavLink>
          <NavLink to="/layers" icon="layers">
            {text('nav.layers')}
          </NavLink>
          <NavLink to="/jobs" icon="jobs">
            {text('nav.jobs')}
          </NavLink>
          <NavLink to="/feeds" icon="feeds">
            {text('nav.feeds')}
          </NavLink>
        </>
      )}
      {isAdmin && (
        <>
          <div className={styles.rule} />
          <NavLink to="/accounts" icon="accounts">
            {text('nav.accounts')}
          </NavLink>
          <NavLink to="/keys" icon="keys">
            {text('nav.keys')}
          </NavLink>
        </>
      )}
    </div>
  );
}

function Who() {
  const me = useMe();
  const { plain } = useSpeech();
  const name = me.name ?? me.username;
  return (
    <Link to="/account" className={styles.me}>
      <span className={styles.face} aria-hidden="true">
        {[...name][0]?.toUpperCase()}
      </span>
      <span className={styles.who}>
        <span>{name}</span>
        <span className={`${layout.soft} ${layout.small}`}>{plain(`role.${me.role}`)}</span>
      </span>
    </Link>
  );
}

const askEveryMs = 3000;

/** Shows that the service is unreachable, polls until it is back, and then reloads the data of the page. */
function AwayBanner() {
  const { text } = useSpeech();
  const queries = useQueryClient();
  const [isAway, setIsAway] = useState(false);
  useEffect(
    () =>
      listen((event) => {
        if (event === 'away') setIsAway(true);
        if (event === 'back') setIsAway(false);
      }),
    [],
  );
  useEffect(() => {
    if (!isAway) return;
    const timer = setInterval(async () => {
      const answer = await fetch(`${root}/healthz`).catch(() => undefined);
      if (!answer?.ok) return;
      setIsAway(false);
      await queries.invalidateQueries();
    }, askEveryMs);
    return () => clearInterval(timer);
  }, [isAway, queries]);
  return <div role="alert">{isAway && <div className={styles.banner}>{text('away.banner')}</div>}</div>;
}

export function Shell() {
  const { text } = useSpeech();
  const [isOpen, setIsOpen] = useState(false);
  const path = useLocation({ select: ({ pathname }) => pathname });
  const main = useRef<HTMLElement>(null);
  const seen = useRef(path);

  // On a new page the menu closes, and a screen reader starts at the top. A tab of the same page keeps the focus.
  useEffect(() => {
    if (seen.current === path) return;
    const isSamePage = seen.current.split('/')[2] !== undefined && seen.current.split('/')[2] === path.split('/')[2];
    seen.current = path;
    setIsOpen(false);
    if (!isSamePage) main.current?.focus({ preventScroll: true });
  }, [path]);

  return (
    <div className={styles.shell}>
      <button type="button" className={styles.skip} onClick={() => main.current?.focus()}>
        {text('skip')}
      </button>
      <header className={styles.top}>
        <Link to="/segments" className={styles.brand}>
          <Logo /> Kohort
        </Link>
        <Button
          look="quiet"
          isIcon
          aria-label={text('nav.menu')}
          aria-expanded={isOpen}
          onPress={() => setIsOpen(!isOpen)}
        >
          <Icon name={isOpen ? 'close' : 'menu'} size={20} />
        </Button>
      </header>
      <nav className={styles.side} data-open={isOpen || undefined} aria-label={text('nav.label')}>
        <Link to="/segments" className={styles.brand}>
          <Logo /> Kohort
        </Link>
        <Navigation />
        <Who />
      </nav>
      <main id="main" className={styles.main} ref={main} tabIndex={-1}>
        <AwayBanner />
        <Outlet />
      </main>
    </div>
  );
}
