import { Link } from '@tanstack/react-router';
import type { Job, JobEntry } from '../../api/types.ts';
import { type Key, type Speech, useSpeech } from '../../i18n/language.ts';
import { Badge, layout, type Tone } from '../../ui/layout.tsx';
import { Meter } from '../../ui/meter.tsx';
import { hasEnded } from './live.ts';

/** A job in the form of the list or of its page. */
export type AnyJob = Job | JobEntry;

const tones: Readonly<Partial<Record<Job['state'], Tone>>> = { done: 'good', failed: 'bad', cancelled: 'warn' };

export function StateBadge({ state }: { readonly state: Job['state'] }) {
  const { plain } = useSpeech();
  return <Badge tone={tones[state] ?? 'accent'}>{plain(`job.state.${state}`)}</Badge>;
}

/** The name of a kind of job; an unknown kind is shown as it is. */
export function kindWords({ kind }: Pick<AnyJob, 'kind'>, { find }: Speech): string {
  return find(`job.kind.${kind}`) ?? kind;
}

export function AboutSegment({ slug }: { readonly slug: string }) {
  return (
    <Link to="/segments/$slug/members" params={{ slug }} className={layout.inText}>
      {slug}
    </Link>
  );
}

/** The progress of a job, until it ends. */
export function ProgressBar({ job, label }: { readonly job: AnyJob; readonly label: string }) {
  if (hasEnded(job)) return null;
  return <Meter label={label} share={job.rows === 0 ? 0 : (job.processed / job.rows) * 100} />;
}

export const counts = [
  ['added', 'job.added'],
  ['updated', 'job.updated'],
  ['removed', 'job.removed'],
  ['unchanged', 'job.unchanged'],
  ['skipped', 'job.skipped'],
  ['lapsed', 'job.lapsed'],
  ['kept', 'job.kept'],
] as const satisfies readonly (readonly [keyof AnyJob, Key])[];

/** The outcome of a job, in one line. */
export function outcomeWords(job: AnyJob, { plain, number }: Speech): string {
  return counts
    .filter(([name]) => job[name] > 0)
    .map(([name, key]) => `${plain(key)} ${number(job[name])}`)
    .join(' · ');
}
