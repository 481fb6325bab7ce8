import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import type { Job } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Badge, Card, layout, Page } from '../../ui/layout.tsx';
import { Actor } from '../users/actor.tsx';
import { AboutSegment, kindWords } from './job-parts.tsx';
import { JobView } from './job-view.tsx';
import { useJob } from './live.ts';

const route = getRouteApi('/jobs/$id');

/** The kind of the job, its segment, and who started it when. */
function Lead({ job }: { readonly job: Job }) {
  const speech = useSpeech();
  return (
    <div className={layout.row}>
      <span>{kindWords(job, speech)}</span>
      {job.segment !== null && <AboutSegment slug={job.segment} />}
      {job.dry_run && <Badge>{speech.text('job.trial')}</Badge>}
      <span>
        · <Actor actor={job.actor} /> · <time dateTime={job.created_at}>{speech.moment(job.created_at)}</time>
      </span>
    </div>
  );
}

export function JobPage() {
  const { text } = useSpeech();
  const { id } = route.useParams();
  const navigate = useNavigate();
  const { data: job } = useJob(id);
  return (
    <Page
      title={text('jobs.title', { id })}
      above={
        <Link to="/jobs" className={layout.small}>
          {text('nav.jobs')}
        </Link>
      }
      lead={job && <Lead job={job} />}
    >
      <Card>
        <JobView id={id} onUndone={(undo) => navigate({ to: '/jobs/$id', params: { id: undo } })} />
      </Card>
    </Page>
  );
}
