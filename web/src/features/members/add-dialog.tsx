import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Choices, TextField } from '../../ui/field.tsx';
import { FormActions } from '../../ui/form-actions.tsx';
import { layout } from '../../ui/layout.tsx';
import { Combo } from '../../ui/select.tsx';
import { useSettled } from '../../ui/settled.ts';
import { useSay } from '../../ui/toast.tsx';
import { uploadMembers } from '../jobs/upload.ts';
import { instantOf } from '../segments/draft.ts';
import { useMemberActions } from './actions.ts';
import { csvOf, type IdKind, pastedIds, refOf } from './pasted.ts';

/** The most people that one call may change. */
const mostAtOnce = 1000;

/** The typed or pasted ids, and the call that adds them. */
function useAdding(slug: string, onDone: () => void) {
  const { text } = useSpeech();
  const navigate = useNavigate();
  const say = useSay();
  const { refresh } = useMemberActions();
  const [how, setHow] = useState<'one' | 'paste'>('one');
  const [kind, setKind] = useState<IdKind>('theirs');
  const [one, setOne] = useState('');
  const [pasted, setPasted] = useState('');
  const [until, setUntil] = useState('');
  const [error, setError] = useState<unknown>();
  const [isBusy, setIsBusy] = useState(false);
  const query = useSettled(one.trim());
  const suggested = useQuery({
    queryKey: ['users', 'suggested', query],
    queryFn: ({ signal }) => api.listUsers({ query: { query, limit: 20 }, signal }),
    enabled: query !== '' && how === 'one',
  });
  const ids = how === 'one' ? [one.trim()].filter(Boolean) : pastedIds(pasted);
  const choices = (suggested.data?.users ?? []).flatMap(({ id, external_id, name }) => {
    const itself = kind === 'ours' ? String(id) : external_id;
    return itself === null ? [] : [{ id: itself, text: itself, hint: name ?? undefined }];
  });

  /** Longer lists are sent as an import. */
  const importThem = async () => {
    const { job } = await uploadMembers(
      slug,
      { mode: 'add', unknown: kind === 'ours' ? 'reject' : 'create', expires_at: instantOf(until) },
      csvOf(ids, kind),
      { type: 'text/csv' },
    );
    await navigate({ to: '/jobs/$id', params: { id: job } });
  };
  const add = async () => {
    setIsBusy(true);
    setError(undefined);
    const expires_at = instantOf(until);
    try {
      if (ids.length > mostAtOnce) await importThem();
      else {
        const body = { add: ids.map((id) => ({ user: refOf(id, kind), ...(expires_at && { expires_at }) })) };
        const done = await api.changeMembers({ params: { slug }, body });
        say(text('members.added', { count: done.added + done.updated }));
        await refresh();
      }
      onDone();
    } catch (failure) {
      setError(failure);
    } finally {
      setIsBusy(false);
    }
  };
  const fields = { how, setHow, kind, setKind, one, setOne, pasted, setPasted, until, setUntil };
  return { ...fields, ids, choices, error, isBusy, add };
}

function HowToName({ adding }: { readonly adding: ReturnType<typeof useAdding> }) {
  const { text } = useSpeech();
  return (
    <div className={layout.row}>
      <Choices
        label={text('members.how')}
        isLabelHidden
        value={adding.how}
        onChange={adding.setHow}
        items={[
          { id: 'one', text: text('members.one') },
          { id: 'paste', text: text('members.paste') },
        ]}
      />
      <Choices
        label={text('members.idKind')}
        isLabelHidden
        value={adding.kind}
        onChange={adding.setKind}
        items={[
          { id: 'theirs', text: text('members.idTheirs') },
          { id: 'ours', text: text('members.idOurs') },
        ]}
      />
    </div>
  );
}

/** Adds one person or a pasted list. */
export function AddDialog({ slug, onClose }: { readonly slug: string; readonly onClose: () => void }) {
  const { text } = useSpeech();
  const adding = useAdding(slug, onClose);
  const { how, kind, ids, error } = adding;

  return (
    <Dialog
      title={text('members.addTitle', { slug })}
      isOpen
      onClose={onClose}
      onSubmit={adding.add}
      actions={
        <FormActions
          onClose={onClose}
          submit={text('members.addCount', { count: ids.length })}
          isDisabled={adding.isBusy || ids.length === 0}
        />
      }
    >
      <HowToName adding={adding} />
      {how === 'one' ? (
        <Combo
          label={text(kind === 'theirs' ? 'members.externalId' : 'members.ourId')}
          hint={kind === 'theirs' ? text('members.registers') : undefined}
          value={adding.one}
          onChange={adding.setOne}
          items={adding.choices}
        />
      ) : (
        <TextField
          label={text('members.pasteLabel')}
          hint={text('members.pasteHint')}
          value={adding.pasted}
          onChange={adding.setPasted}
          rows={7}
          isMono
        />
      )}
      <TextField
        label={text('members.until')}
        hint={text('members.untilHint')}
        type="datetime-local"
        value={adding.until}
        onChange={adding.setUntil}
      />
      {error !== undefined && <Failure error={error} />}
    </Dialog>
  );
}
