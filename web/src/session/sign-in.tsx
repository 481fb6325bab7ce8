import { useContext, useEffect } from 'react';
import { isLanguage, LanguageContext, languages, useSpeech } from '../i18n/language.ts';
import { Logo } from '../shell/logo.tsx';
import { Choices } from '../ui/field.tsx';
import { layout } from '../ui/layout.tsx';
import styles from './sign-in.module.css';
import { SignInForm } from './sign-in-form.tsx';

export default function SignInPage({ onSignedIn }: { readonly onSignedIn: () => Promise<void> }) {
  const { text, language } = useSpeech();
  const choose = useContext(LanguageContext);
  useEffect(() => {
    document.title = `${text('signIn.title')} · Kohort`;
  }, [text]);
  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <div className={styles.brand}>
          <Logo /> Kohort
        </div>
        <div>
          <h1>{text('signIn.title')}</h1>
          <p className={layout.soft}>{text('signIn.hint')}</p>
        </div>
        <SignInForm onSignedIn={onSignedIn} />
        <div className={styles.foot}>
          <Choices
            label={text('language')}
            isLabelHidden
            isSmall
            value={language}
            onChange={choose}
            items={Object.entries(languages).flatMap(([id, name]) => (isLanguage(id) ? [{ id, text: name }] : []))}
          />
        </div>
      </div>
    </main>
  );
}
