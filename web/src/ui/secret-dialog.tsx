import { useSpeech } from '../i18n/language.ts';
import { Button } from './button.tsx';
import { Dialog } from './dialog.tsx';
import { TextField } from './field.tsx';
import { Icon } from './icons.tsx';
import { Notice } from './layout.tsx';
import { useSay } from './toast.tsx';

/** Shows a secret that is shown only once. The dialog stays until the reader confirms that they have stored it. */
export function SecretDialog(props: {
  readonly title: string;
  readonly label: string;
  readonly secret: string;
  readonly onClose: () => void;
}) {
  const { text } = useSpeech();
  const say = useSay();
  const copy = () =>
    navigator.clipboard.writeText(props.secret).then(
      () => say(text('keys.copied')),
      () => say(text('keys.copyByHand')),
    );
  return (
    <Dialog
      title={props.title}
      isOpen
      onClose={props.onClose}
      isAlert
      actions={
        <Button look="primary" onPress={props.onClose}>
          {text('keys.kept')}
        </Button>
      }
    >
      <Notice tone="warn">{text('keys.shownOnce')}</Notice>
      <TextField label={props.label} value={props.secret} onChange={() => {}} isMono />
      <div>
        <Button onPress={copy}>
          <Icon name="copy" /> {text('keys.copy')}
        </Button>
      </div>
    </Dialog>
  );
}
