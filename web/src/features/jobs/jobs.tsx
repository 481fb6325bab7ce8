import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { TextField } from '../../ui/field.tsx';
import { Badge, Card, Empty, layout, Page } from '../../ui/layout.tsx';
import { JobView, useJob } from './job-view.tsx';
import { type Recent, recentJobs, rememberJob } from './recent.ts';

const route = getRouteApi('/jobs/$id');

function State({ id }: { readonly id: string }) {
  const { plain } = useSpeech();
  const { data, error } = useJob(id);
  if (error) return <Badge>?</Badge>;
  return data ? (
    <Badge tone={data.state === 'failed' ? 'bad' : data.state === 'done' ? 'good' : 'accent'}>
      {plain(`job.state.${data.state}`)}
    </Badge>
  ) : (
    '…'
  );
}

function RecentRow({ job }: { readonly job: Recent }) {
  const { moment } = useSpeech();
  return (
    <tr>
      <td>
        <Link to="/jobs/$id" params={{ id: job.id }}>
          #{job.id}
        </Link>
      </td>
      <td>{job.about}</td>
      <td>
        <State id={job.id} />
      </td>
      <td>{moment(job.at)}</td>
    </tr>
  );
}

export function JobsPage() {
  const { text } = useSpeech();
  const navigate = useNavigate();
  const [id, setId] = useState('');
  const jobs = recentJobs();
  return (
    <Page title={text('nav.jobs')} lead={text('jobs.lead')}>
      <form
        className={classes(layout.row, layout.ends)}
        onSubmit={(event) => {
          event.preventDefault();
          if (/^[1-9]\d*$/.test(id)) void navigate({ to: '/jobs/$id', params: { id } });
        }}
      >
        <TextField label={text('jobs.number')} value={id} onChange={setId} inputMode="numeric" />
        <Button type="submit">{text('jobs.open')}</Button>
      </form>
      {jobs.length === 0 ? (
        <Empty title={text('jobs.none')}>{text('jobs.noneHint')}</Empty>
      ) : (
        <Card title={text('jobs.recent')} isFlush={false}>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to take the focus */}
          <section className={layout.scroll} tabIndex={0} aria-label={text('jobs.recent')}>
            <table className={layout.table}>
              <thead>
                <tr>
                  <th scope="col">{text('jobs.job')}</th>
                  <th scope="col">{text('jobs.about')}</th>
                  <th scope="col">{text('jobs.state')}</th>
                  <th scope="col">{text('charts.time')}</th>
                </tr>
              </thead>
              <tbody>
                {jobs.map((job) => (
                  <RecentRow key={job.id} job={job} />
                ))}
              </tbody>
            </table>
          </section>
        </Card>
      )}
    </Page>
  );
}

export function JobPage() {
  const { text } = useSpeech();
  const { id } = route.useParams();
  const navigate = useNavigate();
  return (
    <Page
      title={text('jobs.title', { id })}
      above={
        <Link to="/jobs" className={layout.small}>
          {text('nav.jobs')}
        </Link>
      }
    >
      <Card>
        <JobView
          id={id}
          onUndone={(job) => {
            rememberJob({ id: job, about: text('jobs.undoOf', { id }), at: new Date().toISOString() });
            void navigate({ to: '/jobs/$id', params: { id: job } });
          }}
        />
      </Card>
    </Page>
  );
}
