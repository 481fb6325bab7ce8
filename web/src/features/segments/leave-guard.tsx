import { useBlocker } from '@tanstack/react-router';
import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';

/** Asks before the reader leaves a page with unsaved changes. */
export function LeaveGuard({ isDirty }: { readonly isDirty: boolean }) {
  const { text } = useSpeech();
  const blocker = useBlocker({
    shouldBlockFn: ({ current, next }) => isDirty && current.pathname !== next.pathname,
    enableBeforeUnload: isDirty,
    withResolver: true,
  });
  return (
    <Dialog
      title={text('leave.title')}
      isOpen={blocker.status === 'blocked'}
      onClose={() => blocker.reset?.()}
      isAlert
      actions={
        <>
          <Button onPress={() => blocker.reset?.()}>{text('leave.stay')}</Button>
          <Button look="danger" onPress={() => blocker.proceed?.()}>
            {text('leave.go')}
          </Button>
        </>
      }
    >
      <p>{text('leave.hint')}</p>
    </Dialog>
  );
}
