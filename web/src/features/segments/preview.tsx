import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { api } from '../../api/api.ts';
import type { Change, Preview, Rule, User, Warning } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { classes } from '../../ui/classes.ts';
import { Failure } from '../../ui/failure.tsx';
import { Card, layout, Notice } from '../../ui/layout.tsx';
import { useSettled } from '../../ui/settled.ts';
import { PersonLink } from '../users/person-link.tsx';
import styles from './preview.module.css';

function People({ users, title }: { readonly users: readonly User[]; readonly title: string }) {
  if (users.length === 0) return null;
  return (
    <div className={classes(layout.stack, layout.tight)}>
      <h3>{title}</h3>
      <ul className={styles.people}>
        {users.map((user) => (
          <li key={user.id}>
            <PersonLink user={user} />
          </li>
        ))}
      </ul>
    </div>
  );
}

function Share({
  count,
  total,
  isStale,
}: {
  readonly count: number;
  readonly total: number;
  readonly isStale: boolean;
}) {
  const { number, text, percent } = useSpeech();
  const share = total === 0 ? 0 : (count / total) * 100;
  return (
    <div className={classes(layout.stack, layout.tight, isStale && styles.stale)}>
      <p className={layout.count} data-testid="preview-count">
        {number(count)}
      </p>
      <p className={layout.soft}>
        {text('preview.of', { count: total })} ({percent(Math.round(share * 10) / 10)})
      </p>
      <div className={styles.bar} aria-hidden="true">
        <div className={styles.fill} style={{ width: `${share}%` }} />
      </div>
    </div>
  );
}

function Warnings({ warnings = [] }: { readonly warnings?: readonly Warning[] | undefined }) {
  if (warnings.length === 0) return null;
  return (
    <Notice tone="warn">
      <ul>
        {warnings.map(({ path, message }) => (
          <li key={`${path} ${message}`}>
            <code>{path}</code> {message}
          </li>
        ))}
      </ul>
    </Notice>
  );
}

/** The people that a rule would cover, while it is typed. */
export function NewPreview({ rule }: { readonly rule: Rule | undefined }) {
  const { text } = useSpeech();
  const settled = useSettled(JSON.stringify(rule));
  const { data, error, isFetching } = useQuery<Preview>({
    queryKey: ['preview', settled],
    queryFn: ({ signal }) => api.preview({ body: JSON.parse(settled), signal }),
    enabled: settled !== undefined,
    placeholderData: keepPreviousData,
    retry: false,
  });
  return (
    <Card title={text('preview.title')}>
      {data && <Share count={data.count} total={data.total} isStale={isFetching || rule === undefined} />}
      {data && <Warnings warnings={data.warnings} />}
      {error && <Failure error={error} />}
      {data && <People users={data.sample} title={text('preview.sample')} />}
      {rule === undefined && <p className={layout.soft}>{text('preview.incomplete')}</p>}
    </Card>
  );
}

function Moves({ change, isStale }: { readonly change: Change; readonly isStale: boolean }) {
  const { number, text } = useSpeech();
  return (
    <>
      <div className={classes(styles.moves, isStale && styles.stale)}>
        <div className={classes(styles.move, styles.entering)}>
          <p className={styles.number} data-testid="entering">
            +{number(change.entering)}
          </p>
          {text('preview.entering')}
        </div>
        <div className={classes(styles.move, styles.leaving)}>
          <p className={styles.number} data-testid="leaving">
            −{number(change.leaving)}
          </p>
          {text('preview.leaving')}
        </div>
      </div>
      <People users={change.sample_entering} title={text('preview.sampleEntering')} />
      <People users={change.sample_leaving} title={text('preview.sampleLeaving')} />
    </>
  );
}

/** The effect of a change of a segment: who would enter and who would leave. */
export function ChangePreview(props: {
  readonly slug: string;
  readonly version: number;
  readonly changes: Rule | undefined;
}) {
  const { text } = useSpeech();
  const { slug, version, changes } = props;
  const hasChanges = changes !== undefined && Object.keys(changes).length > 0;
  const settled = useSettled(JSON.stringify(changes));
  const { data, error, isFetching } = useQuery<Change>({
    queryKey: ['preview', slug, version, settled],
    queryFn: ({ signal }) => api.previewChange({ params: { slug }, body: JSON.parse(settled), signal }),
    enabled: settled !== undefined,
    placeholderData: keepPreviousData,
    retry: false,
  });
  return (
    <Card title={text('preview.title')}>
      {data && <Share count={data.count} total={data.total} isStale={isFetching || changes === undefined} />}
      {data && <Warnings warnings={data.warnings} />}
      {error && <Failure error={error} />}
      {data && hasChanges && <Moves change={data} isStale={isFetching} />}
      {changes === undefined && <p className={layout.soft}>{text('preview.incomplete')}</p>}
    </Card>
  );
}
