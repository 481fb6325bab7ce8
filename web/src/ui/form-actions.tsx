import { useSpeech } from '../i18n/language.ts';
import { Button } from './button.tsx';

/** The buttons of a form in a dialog: one that cancels, and one that submits. */
export function FormActions(props: {
  readonly onClose: () => void;
  readonly submit: string;
  readonly isDisabled?: boolean;
}) {
  const { text } = useSpeech();
  return (
    <>
      <Button look="quiet" onPress={props.onClose}>
        {text('cancel')}
      </Button>
      <Button look="primary" type="submit" isDisabled={props.isDisabled}>
        {props.submit}
      </Button>
    </>
  );
}
