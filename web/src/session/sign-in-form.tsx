import { type FormEvent, useState } from 'react';
import { api } from '../api/api.ts';
import { useSpeech } from '../i18n/language.ts';
import { Button } from '../ui/button.tsx';
import { Failure } from '../ui/failure.tsx';
import { TextField } from '../ui/field.tsx';
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
  // Over a page it is inside the form of the dialog already.
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
