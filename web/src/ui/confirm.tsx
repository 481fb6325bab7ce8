import { type ReactNode, useState } from 'react';
import { useSpeech } from '../i18n/language.ts';
import { Button } from './button.tsx';
import { Dialog } from './dialog.tsx';
import { Failure } from './failure.tsx';

/** Asks before an action that cannot be undone. The dialog stays open on an error, and shows it. */
export function Confirm(props: {
  readonly title: string;
  readonly isOpen: boolean;
  readonly onClose: () => void;
  readonly button: string;
  readonly run: () => Promise<unknown>;
  readonly isDanger?: boolean;
  /** False until the required input is complete. */
  readonly isReady?: boolean;
  readonly children: ReactNode;
}) {
  const { text } = useSpeech();
  const [error, setError] = useState<unknown>();
  const [isBusy, setIsBusy] = useState(false);
  const close = () => {
    setError(undefined);
    props.onClose();
  };
  const run = async () => {
    setIsBusy(true);
    setError(undefined);
    try {
      await props.run();
      close();
    } catch (failure) {
      setError(failure);
    } finally {
      setIsBusy(false);
    }
  };
  return (
    <Dialog
      title={props.title}
      isOpen={props.isOpen}
      onClose={close}
      isAlert
      actions={
        <>
          <Button look="quiet" onPress={close}>
            {text('cancel')}
          </Button>
          <Button
            look={props.isDanger ? 'danger' : 'primary'}
            isDisabled={isBusy || props.isReady === false}
            onPress={run}
          >
            {props.button}
          </Button>
        </>
      }
    >
      {props.children}
      {error !== undefined && <Failure error={error} />}
    </Dialog>
  );
}
