import { FileTrigger } from 'react-aria-components';
import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Icon } from '../../ui/icons.tsx';
import { layout, Notice } from '../../ui/layout.tsx';
import { Meter } from '../../ui/meter.tsx';
import { Select } from '../../ui/select.tsx';
import { JobView } from '../jobs/job-view.tsx';
import { useJob } from '../jobs/live.ts';
import { type Step, type Target, type Upload, useUpload } from './use-upload.ts';

function Running({ step, upload }: { readonly step: Step; readonly upload: Upload }) {
  const { text } = useSpeech();
  const { data: job } = useJob(step.job);
  // The trial succeeded, so the file can be applied.
  const isFine = job?.state === 'done' && step.isTrial;
  // The file is well formed but has no rows, so it would remove all members.
  const wouldEmpty =
    upload.mode === 'replace' &&
    job?.state === 'failed' &&
    job.rows === 0 &&
    job.errors.every(({ line }) => line === null);
  return (
    <>
      <Notice tone={step.isTrial ? 'plain' : 'accent'}>{text(step.isTrial ? 'upload.trial' : 'upload.applied')}</Notice>
      <JobView id={step.job} {...(!step.isTrial && { onUndone: upload.follow })} />
      {wouldEmpty && (
        <Notice tone="warn">
          <span>{text('upload.empty')}</span>
          <span>
            <Button isSmall isDisabled={upload.isBusy} onPress={() => upload.send(step.isTrial, true)}>
              {text('upload.emptyGoOn')}
            </Button>
          </span>
        </Notice>
      )}
      {isFine && (
        <div>
          <Button look="primary" isDisabled={upload.isBusy} onPress={() => upload.send(false)}>
            {text('upload.apply')}
          </Button>
        </div>
      )}
    </>
  );
}

/** The file, and the progress of its upload. */
function FileField({ upload }: { readonly upload: Upload }) {
  const { text, size } = useSpeech();
  const { file, sent } = upload;
  return (
    <>
      <div className={layout.row}>
        <FileTrigger
          acceptedFileTypes={['.csv', '.tsv', '.txt', '.ndjson', '.jsonl']}
          onSelect={(files) => upload.choose(files?.[0])}
        >
          <Button>
            <Icon name="upload" /> {text('upload.choose')}
          </Button>
        </FileTrigger>
        <span>{file ? `${file.name} · ${size(file.size)}` : text('upload.noFile')}</span>
      </div>
      {sent && (
        <Meter
          label={text('upload.sending')}
          share={sent.total === 0 ? 100 : (sent.sent / sent.total) * 100}
          words={text('upload.sent', { sent: size(sent.sent), total: size(sent.total) })}
        />
      )}
    </>
  );
}

function Options({ upload, isMembers }: { readonly upload: Upload; readonly isMembers: boolean }) {
  const { text, plain } = useSpeech();
  return (
    <>
      <div className={layout.halves}>
        {isMembers && (
          <Select
            label={text('upload.mode')}
            value={upload.mode}
            onChange={upload.setMode}
            items={(['add', 'remove', 'replace'] as const).map((id) => ({ id, text: plain(`upload.mode.${id}`) }))}
          />
        )}
        <Select
          label={text('upload.unknown')}
          value={upload.unknown}
          onChange={upload.setUnknown}
          items={(['reject', 'skip', 'create'] as const).map((id) => ({ id, text: plain(`upload.unknown.${id}`) }))}
        />
      </div>
      {upload.mode === 'replace' && <Notice tone="warn">{text('upload.replaceHint')}</Notice>}
    </>
  );
}

/** Uploads a file of people: first as a trial that shows its effect, then, once confirmed, for real. */
export function UploadDialog({ target, onClose }: { readonly target: Target; readonly onClose: () => void }) {
  const { text } = useSpeech();
  const isMembers = target !== 'users';
  const upload = useUpload(target);
  const { file, step, error, isBusy } = upload;
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
            isDisabled={!file || isBusy}
            onPress={() => upload.send(true, false)}
          >
            {text('upload.check')}
          </Button>
        </>
      }
    >
      <p className={layout.soft}>{text(isMembers ? 'upload.hint' : 'upload.usersHint')}</p>
      <FileField upload={upload} />
      <Options upload={upload} isMembers={isMembers} />
      {error !== undefined && <Failure error={error} />}
      {step && <Running step={step} upload={upload} />}
    </Dialog>
  );
}
