import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { Job } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { Confirm } from '../../ui/confirm.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Icon } from '../../ui/icons.tsx';
import { layout } from '../../ui/layout.tsx';
import { useSay } from '../../ui/toast.tsx';
import type { AnyJob } from './job-parts.tsx';
import { hasEnded } from './live.ts';

type Undone = (id: string) => void;

function isUndoable({ kind, state, dry_run, added, updated, removed }: Job): boolean {
  const isImport = kind === 'segment_import' || kind === 'user_import';
  return isImport && state === 'done' && !dry_run && added + updated + removed > 0;
}

/** Cancels a job. Errors go to `onError`. */
export function useCancel(onError: (error: unknown) => void) {
  const queries = useQueryClient();
  return async ({ id }: AnyJob) => {
    try {
      queries.setQueryData(['job', id], await api.cancelJob({ params: { id } }));
      await queries.invalidateQueries({ queryKey: ['jobs'] });
    } catch (failure) {
      onError(failure);
    }
  };
}

function Undo({ job, onUndone }: { readonly job: Job; readonly onUndone: Undone }) {
  const { text } = useSpeech();
  const say = useSay();
  const [isOpen, setIsOpen] = useState(false);
  const undo = async () => {
    const { job: id } = await api.undoJob({ params: { id: job.id } });
    say(text('job.undoing', { id }));
    onUndone(id);
  };
  return (
    <>
      <Button onPress={() => setIsOpen(true)}>
        <Icon name="undo" /> {text('job.undo')}
      </Button>
      <Confirm
        title={text('job.undoTitle', { id: job.id })}
        isOpen={isOpen}
        onClose={() => setIsOpen(false)}
        button={text('job.undo')}
        run={undo}
      >
        <p>{text(job.kind === 'user_import' ? 'job.undoPeopleHint' : 'job.undoHint')}</p>
      </Confirm>
    </>
  );
}

/** `onUndone` is called with the id of the job that undoes this one. */
export function JobActions({ job, onUndone }: { readonly job: Job; readonly onUndone?: Undone | undefined }) {
  const { text } = useSpeech();
  const [error, setError] = useState<unknown>();
  const cancel = useCancel(setError);
  return (
    <>
      <div className={layout.row}>
        {!hasEnded(job) && <Button onPress={() => cancel(job)}>{text('job.cancel')}</Button>}
        {onUndone && isUndoable(job) && <Undo job={job} onUndone={onUndone} />}
      </div>
      {error !== undefined && <Failure error={error} />}
    </>
  );
}
