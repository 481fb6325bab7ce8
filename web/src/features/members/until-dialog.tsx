import { useState } from 'react';
import { useSpeech } from '../../i18n/language.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { TextField } from '../../ui/field.tsx';
import { FormActions } from '../../ui/form-actions.tsx';
import { instantOf, localOf } from '../segments/draft.ts';

/** Asks for an expiry; none means permanently. */
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
      actions={<FormActions onClose={props.onClose} submit={text('save')} />}
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
