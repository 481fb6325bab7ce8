import { useState } from 'react';
import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { TextField } from '../../ui/field.tsx';
import { instantOf, localOf } from '../segments/draft.ts';

/** Asks for a time, or none: for good. */
export function UntilDialog(props: {
  readonly title: string;
  readonly initial: string | null;
  readonly onClose: () => void;
  readonly onChoose: (expires_at: string | undefined) => void;
}) {
  const { text } = useSpeech();
  const [until, setUntil] = useState(localOf(props.initial));
  const choose = () => {
    props.onChoose(instantOf(until));
    props.onClose();
  };
  return (
    <Dialog
      title={props.title}
      isOpen
      onClose={props.onClose}
      onSubmit={choose}
      actions={
        <>
          <Button look="quiet" onPress={props.onClose}>
            {text('cancel')}
          </Button>
          <Button look="primary" type="submit">
            {text('save')}
          </Button>
        </>
      }
    >
      <TextField
        label={text('members.until')}
        hint={text('members.untilHint')}
        type="datetime-local"
        value={until}
        onChange={setUntil}
      />
    </Dialog>
  );
}
