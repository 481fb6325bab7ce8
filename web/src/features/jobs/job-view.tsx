import type { Job } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { useMay } from '../../session/session.tsx';
import { classes } from '../../ui/classes.ts';
import { Failure } from '../../ui/failure.tsx';
import { Badge, layout } from '../../ui/layout.tsx';
import styles from './job.module.css';
import { JobActions } from './job-actions.tsx';
import { counts, ProgressBar, StateBadge } from './job-parts.tsx';
import { useJob } from './live.ts';

function Problems({ errors }: { readonly errors: Job['errors'] }) {
  const { text, number } = useSpeech();
  if (errors.length === 0) return null;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be focusable
    <section className={layout.scroll} tabIndex={0} aria-label={text('job.problems')}>
      <table className={classes(layout.table, layout.compact)}>
        <thead>
          <tr>
            <th scope="col">{text('job.line')}</th>
            <th scope="col">{text('job.problem')}</th>
          </tr>
        </thead>
        <tbody>
          {errors.map(({ line, message, level }) => (
            <tr key={`${line} ${message}`}>
              <td>{line === null ? '–' : number(line)}</td>
              <td>
                {level === 'warning' && <Badge tone="warn">{text('job.warning')}</Badge>}{' '}
                <span lang="en">{message}</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Outcome({ job }: { readonly job: Job }) {
  const { plain, number } = useSpeech();
  return (
    <dl className={styles.counts}>
      {counts.map(([name, key]) => {
        const isUsual = name === 'added' || name === 'updated' || name === 'removed' || name === 'unchanged';
        return job[name] === 0 && !isUsual ? null : (
          <div key={name}>
            <dt>{plain(key)}</dt>
            <dd>{number(job[name])}</dd>
          </div>
        );
      })}
    </dl>
  );
}

/** The progress and outcome of a job. `onUndone` is called with the id of the job that undoes it. */
export function JobView({ id, onUndone }: { readonly id: string; readonly onUndone?: (id: string) => void }) {
  const { text, number } = useSpeech();
  const mayEdit = useMay('editor');
  const { data: job, error, refetch } = useJob(id);
  if (!job)
    return error ? (
      <Failure error={error} onRetry={() => refetch()} />
    ) : (
      <div className={layout.loading}>{text('loading')}</div>
    );
  return (
    <div className={layout.stack}>
      <div className={layout.row} role="status">
        <StateBadge state={job.state} />
        <span className={layout.soft}>{text('job.progress', { done: number(job.processed), count: job.rows })}</span>
      </div>
      <ProgressBar job={job} label={text('job.progressLabel')} />
      {job.state === 'done' && job.kind !== 'question' && <Outcome job={job} />}
      <Problems errors={job.errors} />
      {mayEdit && <JobActions job={job} onUndone={onUndone} />}
    </div>
  );
}
