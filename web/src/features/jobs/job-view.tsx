import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { api } from '../../api/api.ts';
import type { Job } from '../../api/types.ts';
import { type Key, useSpeech } from '../../i18n/language.ts';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Failure } from '../../ui/failure.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Badge, layout, type Tone } from '../../ui/layout.tsx';
import { useSay } from '../../ui/toast.tsx';
import styles from './job.module.css';

const askEveryMs = 700;
const ended = new Set(['done', 'failed', 'cancelled']);

const tones: Readonly<Record<string, Tone>> = { done: 'good', failed: 'bad', cancelled: 'warn' };

/** A job, asked for again until it ends; then whatever it changed is read anew. */
export function useJob(id: string) {
  const queries = useQueryClient();
  const job = useQuery({
    queryKey: ['job', id],
    queryFn: ({ signal }) => api.readJob({ params: { id }, signal }),
    refetchInterval: ({ state }) => (state.data && ended.has(state.data.state) ? false : askEveryMs),
  });
  const state = job.data?.state;
  useEffect(() => {
    if (state === 'done') {
      void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'me' && queryKey[0] !== 'job' });
    }
  }, [state, queries]);
  return job;
}

const counts = [
  ['added', 'job.added'],
  ['updated', 'job.updated'],
  ['removed', 'job.removed'],
  ['unchanged', 'job.unchanged'],
  ['skipped', 'job.skipped'],
  ['lapsed', 'job.lapsed'],
  ['kept', 'job.kept'],
] as const satisfies readonly (readonly [keyof Job, Key])[];

function Problems({ errors }: { readonly errors: Job['errors'] }) {
  const { text, number } = useSpeech();
  if (errors.length === 0) return null;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to take the focus
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
                {level === 'warning' && <Badge tone="warn">{text('job.warning')}</Badge>} {message}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function JobActions({ job, onUndone }: { readonly job: Job; readonly onUndone?: ((id: string) => void) | undefined }) {
  const { text } = useSpeech();
  const queries = useQueryClient();
  const say = useSay();
  const [error, setError] = useState<unknown>();
  const attempt = async (run: () => Promise<unknown>) => {
    setError(undefined);
    try {
      await run();
    } catch (failure) {
      setError(failure);
    }
  };
  const cancel = () =>
    attempt(async () => {
      queries.setQueryData(['job', job.id], await api.cancelJob({ params: { id: job.id } }));
    });
  const undo = () =>
    attempt(async () => {
      const { job: id } = await api.undoJob({ params: { id: job.id } });
      say(text('job.undoing', { id }));
      onUndone?.(id);
    });
  const hasChanged = job.added + job.updated + job.removed > 0;
  return (
    <>
      <div className={layout.row}>
        {!ended.has(job.state) && <Button onPress={cancel}>{text('job.cancel')}</Button>}
        {job.state === 'done' && job.kind === 'segment_import' && hasChanged && onUndone && (
          <Button onPress={undo}>
            <Icon name="undo" /> {text('job.undo')}
          </Button>
        )}
      </div>
      {error !== undefined && <Failure error={error} />}
    </>
  );
}

/** How far a job is, and what came of it. `onUndone` hears of the job that takes it back. */
export function JobView({ id, onUndone }: { readonly id: string; readonly onUndone?: (id: string) => void }) {
  const { text, plain, number } = useSpeech();
  const mayEdit = useMay('editor');
  const { data: job, error, refetch } = useJob(id);
  if (!job)
    return error ? (
      <Failure error={error} onRetry={() => refetch()} />
    ) : (
      <div className={layout.loading}>{text('loading')}</div>
    );
  const share = job.rows === 0 ? 0 : Math.min(100, (job.processed / job.rows) * 100);
  return (
    <div className={layout.stack}>
      <div className={layout.row} role="status">
        <Badge tone={tones[job.state] ?? 'accent'}>{plain(`job.state.${job.state}`)}</Badge>
        <span className={layout.soft}>{text('job.progress', { done: number(job.processed), count: job.rows })}</span>
      </div>
      {!ended.has(job.state) && (
        <div
          className={styles.bar}
          role="progressbar"
          aria-label={text('job.progressLabel')}
          aria-valuenow={Math.round(share)}
          aria-valuemin={0}
          aria-valuemax={100}
        >
          <div className={styles.fill} style={{ width: `${share}%` }} />
        </div>
      )}
      {job.state === 'done' && (
        <dl className={styles.counts}>
          {counts.map(([name, key]) => {
            const count = job[name];
            const isUsual = name === 'added' || name === 'updated' || name === 'removed' || name === 'unchanged';
            return count === undefined || (count === 0 && !isUsual) ? null : (
              <div key={name}>
                <dt>{plain(key)}</dt>
                <dd>{number(count)}</dd>
              </div>
            );
          })}
        </dl>
      )}
      <Problems errors={job.errors} />
      {mayEdit && <JobActions job={job} onUndone={onUndone} />}
    </div>
  );
}
