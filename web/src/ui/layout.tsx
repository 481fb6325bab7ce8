import type { ReactNode } from 'react';
import { useEffect } from 'react';
import { classes } from './classes.ts';
import { Icon } from './icons.tsx';
import styles from './layout.module.css';

/** A page: its heading, its lead and its actions. Also sets the title of the browser tab. */
export function Page(props: {
  readonly title: string;
  readonly lead?: ReactNode;
  readonly above?: ReactNode;
  readonly beside?: ReactNode;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}) {
  useEffect(() => {
    document.title = `${props.title} · Kohort`;
  }, [props.title]);
  return (
    <div className={styles.page}>
      <header className={styles.head}>
        <div className={styles.titles}>
          {props.above}
          <div className={styles.row}>
            <h1>{props.title}</h1>
            {props.beside}
          </div>
          {props.lead !== undefined && <div className={styles.lead}>{props.lead}</div>}
        </div>
        {props.actions !== undefined && <div className={styles.row}>{props.actions}</div>}
      </header>
      {props.children}
    </div>
  );
}

export function Card(props: {
  readonly title?: string;
  readonly actions?: ReactNode;
  readonly isFlush?: boolean;
  readonly children: ReactNode;
}) {
  return (
    <section className={classes(styles.card, props.isFlush && styles.flush)}>
      {props.title !== undefined && (
        <div className={classes(styles.row, styles.apart)}>
          <h2>{props.title}</h2>
          {props.actions}
        </div>
      )}
      {props.children}
    </section>
  );
}

export type Tone = 'accent' | 'good' | 'bad' | 'warn' | 'plain';

export function Badge({ tone, children }: { readonly tone?: Tone; readonly children: ReactNode }) {
  return <span className={classes(styles.badge, tone && tone !== 'plain' && styles[tone])}>{children}</span>;
}

/** An important sentence. `isAlert` is for an error that has just happened. */
export function Notice(props: { readonly tone?: Tone; readonly isAlert?: boolean; readonly children: ReactNode }) {
  const tone = props.tone ?? 'plain';
  return (
    <div className={classes(styles.notice, styles[tone])} role={props.isAlert ? 'alert' : undefined}>
      <Icon name={tone === 'bad' || tone === 'warn' ? 'warning' : 'info'} />
      <div className={styles.noticeBody}>{props.children}</div>
    </div>
  );
}

/** Says that there is nothing here yet, and what to do about it. */
export function Empty(props: { readonly title: string; readonly children?: ReactNode; readonly action?: ReactNode }) {
  return (
    <div className={styles.empty}>
      <h2>{props.title}</h2>
      {props.children !== undefined && <p>{props.children}</p>}
      {props.action}
    </div>
  );
}

export { styles as layout };
