import { type FormEvent, useContext, useEffect, useState } from 'react';
import { api } from '../api/api.ts';
import { isLanguage, LanguageContext, languages, useSpeech } from '../i18n/language.ts';
import { Logo } from '../shell/logo.tsx';
import { Button } from '../ui/button.tsx';
import { Failure } from '../ui/failure.tsx';
import { Choices, TextField } from '../ui/field.tsx';
import { layout } from '../ui/layout.tsx';
import styles from './sign-in.module.css';

export function SignInForm(props: { readonly onSignedIn: () => Promise<void>; readonly isNested?: boolean }) {
  const { text } = useSpeech();
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const [error, setError] = useState<unknown>();
  const [isBusy, setIsBusy] = useState(false);

  const signIn = async () => {
    setIsBusy(true);
    setError(undefined);
    try {
      await api.openSession({ body: { username, password } });
      await props.onSignedIn();
    } catch (failure) {
      setError(failure);
    } finally {
      setIsBusy(false);
    }
  };
  const fields = (
    <>
      <TextField
        label={text('signIn.username')}
        name="username"
        value={username}
        onChange={setUsername}
        autoComplete="username"
        autoFocus
      />
      <TextField
        label={text('signIn.password')}
        name="password"
        type="password"
        value={password}
        onChange={setPassword}
        autoComplete="current-password"
      />
      {error !== undefined && <Failure error={error} />}
      <Button
        look="primary"
        type={props.isNested ? 'button' : 'submit'}
        isDisabled={isBusy}
        onPress={props.isNested ? signIn : undefined}
      >
        {text('signIn.button')}
      </Button>
    </>
  );
  // Over a page it stands in the form of the dialog already.
  if (props.isNested) return <div className={styles.form}>{fields}</div>;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void signIn();
  };
  return (
    <form className={styles.form} onSubmit={submit} noValidate>
      {fields}
    </form>
  );
}

export function SignInPage({ onSignedIn }: { readonly onSignedIn: () => Promise<void> }) {
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
