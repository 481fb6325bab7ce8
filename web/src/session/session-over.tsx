import { useSpeech } from '../i18n/language.ts';
import { Dialog } from '../ui/dialog.tsx';
import { layout } from '../ui/layout.tsx';
import { SignInForm } from './sign-in-form.tsx';

/** Shown when the session ends while the page is in use: a sign-in over the page, which stays as it is. */
export default function SessionOver({ onSignedIn }: { readonly onSignedIn: () => Promise<void> }) {
  const { text } = useSpeech();
  return (
    <Dialog title={text('session.over')} isOpen onClose={() => {}} isAlert actions={null}>
      <p className={layout.soft}>{text('session.overHint')}</p>
      <SignInForm onSignedIn={onSignedIn} isNested />
    </Dialog>
  );
}
