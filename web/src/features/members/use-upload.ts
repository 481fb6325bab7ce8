import { useState } from 'react';
import type { Sent } from '../../api/upload.ts';
import {
  type ImportMode,
  type ImportOptions,
  typeOfFile,
  type Unknown,
  uploadMembers,
  uploadUsers,
} from '../jobs/upload.ts';

export type Target = { readonly segment: string } | 'users';

export interface Step {
  readonly job: string;
  readonly isTrial: boolean;
}

/** The state of an upload: the file, its options and its progress. */
export function useUpload(target: Target) {
  const isMembers = target !== 'users';
  const [file, setFile] = useState<File>();
  const [mode, setMode] = useState<ImportMode>('add');
  const [unknown, setUnknown] = useState<Unknown>(isMembers ? 'reject' : 'create');
  const [mayEmpty, setMayEmpty] = useState(false);
  const [step, setStep] = useState<Step>();
  const [sent, setSent] = useState<Sent>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setIsBusy] = useState(false);

  const send = async (isTrial: boolean, empties = mayEmpty) => {
    if (!file) return;
    setIsBusy(true);
    setError(undefined);
    setMayEmpty(empties);
    try {
      const options: ImportOptions = { unknown, dry_run: isTrial ? 'true' : undefined };
      const how = { type: typeOfFile(file.name), onProgress: setSent };
      const { job } = isMembers
        ? await uploadMembers(target.segment, { ...options, mode, confirm: empties ? 'empty' : undefined }, file, how)
        : await uploadUsers(options, file, how);
      setStep({ job, isTrial });
    } catch (failure) {
      setError(failure);
    } finally {
      setIsBusy(false);
      setSent(undefined);
    }
  };
  const choose = (next: File | undefined) => {
    setFile(next);
    setMayEmpty(false);
    setStep(undefined);
    setError(undefined);
  };
  const follow = (job: string) => setStep({ job, isTrial: false });
  return { file, mode, setMode, unknown, setUnknown, step, sent, error, isBusy, send, choose, follow };
}

export type Upload = ReturnType<typeof useUpload>;
