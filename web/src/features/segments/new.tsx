import { useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import { Refusal } from '../../api/call.ts';
import type { Segment } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay } from '../../session/session.tsx';
import { Button, buttonClass } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Failure } from '../../ui/failure.tsx';
import { Card, layout, Page } from '../../ui/layout.tsx';
import { ruleWords } from '../conditions/words.ts';
import { type Details, DetailsForm, slugForm } from './details.tsx';
import { changesOf, draftOf, errorsOf, ruleOf } from './draft.ts';
import { LeaveGuard } from './leave-guard.tsx';
import { NewPreview } from './preview.tsx';
import { segmentQuery } from './queries.ts';
import { RuleForm } from './rule-form.tsx';

const route = getRouteApi('/segments/new');

function NewSegment({ from }: { readonly from: Segment | undefined }) {
  const { text } = useSpeech();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [details, setDetails] = useState<Details>({
    slug: from ? `${from.slug}_COPY` : '',
    description: from?.description ?? '',
    tags: from?.tags ?? [],
  });
  const [draft, setDraft] = useState(() => {
    // Two segments cannot have the same range of a layer.
    const { layer: _, ...rule } = from ?? {};
    return draftOf(rule, from === undefined);
  });
  const [error, setError] = useState<unknown>();
  const [isBusy, setIsBusy] = useState(false);
  const [isDone, setIsDone] = useState(false);
  const errors = errorsOf(draft);
  const rule = Object.keys(errors).length === 0 ? ruleOf(draft) : undefined;
  const isTaken = error instanceof Refusal && error.code === 'slug_taken';

  const create = async () => {
    if (!rule) return;
    setIsBusy(true);
    setError(undefined);
    const rest = changesOf(
      { ...rule, description: details.description.trim() || null, tags: details.tags },
      { tags: [] },
    );
    try {
      await api.createSegment({ body: { slug: details.slug, ...rest } });
      setIsDone(true);
      await queries.invalidateQueries({
        predicate: ({ queryKey: [first] }) => first === 'segments' || first === 'layers',
      });
      await navigate({ to: '/segments/$slug', params: { slug: details.slug }, ignoreBlocker: true });
    } catch (failure) {
      setError(failure);
    } finally {
      setIsBusy(false);
    }
  };

  return (
    <div className={layout.split}>
      <LeaveGuard isDirty={!isDone && (details.slug !== '' || draft.tree.of.length > 0)} />
      <div className={layout.stack}>
        <DetailsForm
          details={details}
          onChange={setDetails}
          isNew
          slugError={isTaken ? text('details.slugTaken') : undefined}
        />
        <RuleForm draft={draft} onChange={setDraft} errors={errors} />
        {error !== undefined && !isTaken && <Failure error={error} />}
        <div className={layout.row}>
          <Button look="primary" isDisabled={isBusy || !rule || !slugForm.test(details.slug)} onPress={create}>
            {text('new.create')}
          </Button>
          <Link to="/segments" className={buttonClass('quiet')}>
            {text('cancel')}
          </Link>
        </div>
      </div>
      <Outcome rule={rule} isRule={draft.isRule} />
    </div>
  );
}

function Outcome({ rule, isRule }: { readonly rule: ReturnType<typeof ruleOf> | undefined; readonly isRule: boolean }) {
  const speech = useSpeech();
  const { text } = speech;
  return (
    <aside className={classes(layout.stack, layout.sticky)}>
      {rule && (
        <Card title={text('segment.words')}>
          <p>{ruleWords(rule, speech)}</p>
        </Card>
      )}
      {isRule && <NewPreview rule={rule} />}
    </aside>
  );
}

export function NewSegmentPage() {
  const { text } = useSpeech();
  const { from } = route.useSearch();
  const mayEdit = useMay('editor');
  const original = useQuery({ ...segmentQuery(from ?? ''), enabled: from !== undefined });
  const isReady = from === undefined || original.data !== undefined;
  return (
    <Page title={text(from === undefined ? 'new.title' : 'new.duplicate')} lead={from}>
      {!mayEdit && <RoleNote needs="editor" />}
      {original.error && <Failure error={original.error} />}
      {mayEdit && isReady && <NewSegment from={original.data} />}
    </Page>
  );
}
