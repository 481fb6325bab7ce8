import { useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import { Refusal } from '../../api/call.ts';
import type { Segment, SegmentBody } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Failure } from '../../ui/failure.tsx';
import { Card, layout, Notice } from '../../ui/layout.tsx';
import { useSay } from '../../ui/toast.tsx';
import { ruleWords } from '../conditions/words.ts';
import { type Details, DetailsForm, slugForm } from './details.tsx';
import { Diff } from './diff.tsx';
import { changesOf, draftOf, errorsOf, ruleOf } from './draft.ts';
import { LeaveGuard } from './leave-guard.tsx';
import { ChangePreview } from './preview.tsx';
import { segmentQuery } from './queries.ts';
import { RuleForm } from './rule-form.tsx';

const route = getRouteApi('/segments/$slug');

const detailsOf = (segment: Segment): Details => ({
  slug: segment.slug,
  description: segment.description ?? '',
  tags: segment.tags,
});

/** Shown if someone else saved meanwhile: their changes, and the choice to continue from them. */
function Conflict(props: {
  readonly mine: Segment;
  readonly theirs: Segment;
  readonly onTake: () => void;
  readonly onKeep: () => void;
}) {
  const { text } = useSpeech();
  return (
    <Notice tone="warn" isAlert>
      <strong>{text('conflict.title')}</strong>
      <span>{text('conflict.hint')}</span>
      <Diff before={props.mine} after={props.theirs} />
      <span className={layout.row}>
        <Button isSmall onPress={props.onKeep}>
          {text('conflict.keep')}
        </Button>
        <Button isSmall onPress={props.onTake}>
          {text('conflict.take')}
        </Button>
      </span>
    </Notice>
  );
}

/** The draft, its changes against the segment it started from, and the actions to save or discard it. */
function useEditor(segment: Segment, onReload: () => void) {
  const { text } = useSpeech();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const say = useSay();
  // The segment that the draft started from. Replaced when the reader chooses to continue from a newer version.
  const [base, setBase] = useState(segment);
  const [details, setDetails] = useState(() => detailsOf(segment));
  const [draft, setDraft] = useState(() => draftOf(segment));
  const [error, setError] = useState<unknown>();
  const [isBusy, setIsBusy] = useState(false);
  const [theirs, setTheirs] = useState<Segment>();
  const errors = errorsOf(draft);
  const rule = Object.keys(errors).length === 0 ? ruleOf(draft, base) : undefined;
  const ruleChanges = rule && changesOf(rule, base);
  const body: SegmentBody = { slug: details.slug, description: details.description.trim() || null, tags: details.tags };
  const changes: SegmentBody | undefined = ruleChanges && { ...changesOf(body, base), ...ruleChanges };
  const isDirty = changes === undefined || Object.keys(changes).length > 0;

  const save = async () => {
    if (!changes) return;
    setIsBusy(true);
    setError(undefined);
    try {
      const headers = { 'if-match': `"${base.version}"` };
      const saved = await api.changeSegment({ params: { slug: base.slug }, body: changes, headers });
      say(text('segment.saved'));
      queries.setQueryData(['segment', saved.slug], (old: Segment | undefined) => ({ ...old, ...saved }));
      if (saved.slug !== base.slug) {
        await navigate({ to: '/segments/$slug', params: { slug: saved.slug }, replace: true, ignoreBlocker: true });
      }
      await queries.invalidateQueries({
        predicate: ({ queryKey }) => queryKey[0] !== 'me' && queryKey[0] !== 'preview',
      });
      onReload();
    } catch (failure) {
      if (failure instanceof Refusal && failure.status === 412) {
        setTheirs(await api.readSegment({ params: { slug: base.slug } }).catch(() => undefined));
      }
      setError(failure);
    } finally {
      setIsBusy(false);
    }
  };
  const reset = () => {
    setDetails(detailsOf(base));
    setDraft(draftOf(base));
    setError(undefined);
  };
  const take = (next: Segment) => {
    queries.setQueryData(['segment', next.slug], next);
    onReload();
  };
  /** Applies only the changes made here to their version, so that their other changes stay. */
  const keep = (next: Segment) => {
    const mine = { ...next, ...changes };
    setBase(next);
    setDetails({ slug: mine.slug, description: mine.description ?? '', tags: mine.tags ?? [] });
    setDraft(draftOf(mine));
    setTheirs(undefined);
    setError(undefined);
  };
  const state = { base, details, draft, errors, error, isBusy, theirs, rule, ruleChanges, changes, isDirty };
  return { ...state, setDetails, setDraft, save, reset, take, keep };
}

function Editor({ segment, onReload }: { readonly segment: Segment; readonly onReload: () => void }) {
  const speech = useSpeech();
  const { text } = speech;
  const edit = useEditor(segment, onReload);
  const { base, details, draft, errors, error, isBusy, theirs, rule, ruleChanges, changes, isDirty } = edit;
  const isTaken = error instanceof Refusal && error.code === 'slug_taken';

  return (
    <div className={layout.split}>
      <LeaveGuard isDirty={isDirty && !isBusy} />
      <div className={layout.stack}>
        <RuleForm draft={draft} onChange={edit.setDraft} errors={errors} slug={base.slug} />
        <DetailsForm
          details={details}
          onChange={edit.setDetails}
          slugError={isTaken ? text('details.slugTaken') : undefined}
        />
        {theirs && (
          <Conflict mine={base} theirs={theirs} onTake={() => edit.take(theirs)} onKeep={() => edit.keep(theirs)} />
        )}
        {error !== undefined && !theirs && !isTaken && <Failure error={error} />}
        <div className={classes(layout.row, isDirty && layout.savebar)}>
          <Button
            look="primary"
            isDisabled={isBusy || !isDirty || !changes || !slugForm.test(details.slug)}
            onPress={edit.save}
          >
            {text('save')}
          </Button>
          <Button look="quiet" isDisabled={!isDirty} onPress={edit.reset}>
            {text('discard')}
          </Button>
        </div>
      </div>
      <aside className={classes(layout.stack, layout.sticky)}>
        {rule && (
          <Card title={text('segment.words')}>
            <p>{ruleWords(rule, speech)}</p>
          </Card>
        )}
        <ChangePreview slug={base.slug} version={base.version} changes={ruleChanges} />
      </aside>
    </div>
  );
}

export function RuleTab() {
  const speech = useSpeech();
  const { text } = speech;
  const { slug } = route.useParams();
  const mayEdit = useMay('editor');
  const { data: segment } = useQuery(segmentQuery(slug));
  const [round, setRound] = useState(0);
  if (!segment) return null;
  const usedBy = segment.used_by ?? [];
  return (
    <>
      {mayEdit ? (
        <Editor key={`${slug} ${round}`} segment={segment} onReload={() => setRound(round + 1)} />
      ) : (
        <Card title={text('segment.words')}>
          <p>{ruleWords(segment, speech)}</p>
          {segment.condition && <pre className={layout.mono}>{JSON.stringify(segment.condition, null, 2)}</pre>}
        </Card>
      )}
      {usedBy.length > 0 && (
        <Card title={text('segment.usedBy')}>
          <ul className={layout.row}>
            {usedBy.map((one) => (
              <li key={one}>
                <Link to="/segments/$slug" params={{ slug: one }}>
                  {one}
                </Link>
              </li>
            ))}
          </ul>
        </Card>
      )}
      <RoleNote needs="editor" />
    </>
  );
}
