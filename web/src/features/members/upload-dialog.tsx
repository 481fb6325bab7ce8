import { useState } from 'react';
import { FileTrigger } from 'react-aria-components';
import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Icon } from '../../ui/icons.tsx';
import { layout, Notice } from '../../ui/layout.tsx';
import { Select } from '../../ui/select.tsx';
import { JobView, useJob } from '../jobs/job-view.tsx';
import { rememberJob } from '../jobs/recent.ts';
import {
  type ImportMode,
  type ImportOptions,
  typeOfFile,
  type Unknown,
  uploadMembers,
  uploadUsers,
} from '../jobs/upload.ts';

type Target = { readonly segment: string } | 'users';

interface Step {
  readonly job: string;
  readonly isTrial: boolean;
}

function Running(props: {
  readonly step: Step;
  readonly onApply: () => void;
  readonly onUndone: (id: string) => void;
}) {
  const { text } = useSpeech();
  const { step } = props;
  // The trial says yes: the file may be applied as it is.
  const isFine = useJob(step.job).data?.state === 'done' && step.isTrial;
  return (
    <>
      <Notice tone={step.isTrial ? 'plain' : 'accent'}>{text(step.isTrial ? 'upload.trial' : 'upload.applied')}</Notice>
      <JobView id={step.job} {...(!step.isTrial && { onUndone: props.onUndone })} />
      {isFine && (
        <div>
          <Button look="primary" onPress={props.onApply}>
            {text('upload.apply')}
          </Button>
        </div>
      )}
    </>
  );
}

function useUpload(target: Target) {
  const isMembers = target !== 'users';
  const [file, setFile] = useState<File>();
  const [mode, setMode] = useState<ImportMode>('add');
  const [unknown, setUnknown] = useState<Unknown>(isMembers ? 'reject' : 'create');
  const [step, setStep] = useState<Step>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setIsBusy] = useState(false);

  const send = async (isTrial: boolean) => {
    if (!file) return;
    setIsBusy(true);
    setError(undefined);
    try {
      const options: ImportOptions = { unknown, dry_run: isTrial };
      const type = typeOfFile(file.name);
      const { job } = isMembers
        ? await uploadMembers(target.segment, { ...options, mode }, file, type)
        : await uploadUsers(options, file, type);
      if (!isTrial)
        rememberJob({ id: job, about: isMembers ? target.segment : file.name, at: new Date().toISOString() });
      setStep({ job, isTrial });
    } catch (failure) {
      setError(failure);
    } finally {
      setIsBusy(false);
    }
  };
  const choose = (next: File | undefined) => {
    setFile(next);
    setStep(undefined);
    setError(undefined);
  };
  const follow = (job: string) => setStep({ job, isTrial: false });
  return { file, mode, setMode, unknown, setUnknown, step, error, isBusy, send, choose, follow };
}

/** A file of people: first what it would do, then, on a second word, done. */
export function UploadDialog({ target, onClose }: { readonly target: Target; readonly onClose: () => void }) {
  const { text, plain } = useSpeech();
  const isMembers = target !== 'users';
  const upload = useUpload(target);
  const { file, mode, unknown, step, error } = upload;

  return (
    <Dialog
      title={isMembers ? text('upload.title', { slug: target.segment }) : text('upload.usersTitle')}
      isOpen
      onClose={onClose}
      isWide
      isAlert
      actions={
        <>
          <Button look="quiet" onPress={onClose}>
            {text('close')}
          </Button>
          <Button
            look={step ? 'secondary' : 'primary'}
            isDisabled={!file || upload.isBusy}
            onPress={() => upload.send(true)}
          >
            {text('upload.check')}
          </Button>
        </>
      }
    >
      <p className={layout.soft}>{text(isMembers ? 'upload.hint' : 'upload.usersHint')}</p>
      <div className={layout.row}>
        <FileTrigger
          acceptedFileTypes={['.csv', '.tsv', '.txt', '.ndjson', '.jsonl']}
          onSelect={(files) => upload.choose(files?.[0])}
        >
          <Button>
            <Icon name="upload" /> {text('upload.choose')}
          </Button>
        </FileTrigger>
        <span>{file?.name ?? text('upload.noFile')}</span>
      </div>
      <div className={layout.halves}>
        {isMembers && (
          <Select
            label={text('upload.mode')}
            value={mode}
            onChange={upload.setMode}
            items={(['add', 'remove', 'replace'] as const).map((id) => ({ id, text: plain(`upload.mode.${id}`) }))}
          />
        )}
        <Select
          label={text('upload.unknown')}
          value={unknown}
          onChange={upload.setUnknown}
          items={(['reject', 'skip', 'create'] as const).map((id) => ({ id, text: plain(`upload.unknown.${id}`) }))}
        />
      </div>
      {mode === 'replace' && <Notice tone="warn">{text('upload.replaceHint')}</Notice>}
      {error !== undefined && <Failure error={error} />}
      {step && <Running step={step} onApply={() => upload.send(false)} onUndone={upload.follow} />}
    </Dialog>
  );
}
