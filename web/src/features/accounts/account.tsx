import { useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useContext, useState } from 'react';
import { api } from '../../api/api.ts';
import { isLanguage, LanguageContext, languages, useSpeech } from '../../i18n/language.ts';
import { useMe } from '../../session/session.tsx';
import { chooseTheme, chosenTheme, themes } from '../../theme/theme.ts';
import { Button, buttonClass } from '../../ui/button.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Choices, TextField } from '../../ui/field.tsx';
import { Card, layout, Page } from '../../ui/layout.tsx';
import { useSay } from '../../ui/toast.tsx';

function Password() {
  const { text } = useSpeech();
  const say = useSay();
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const [error, setError] = useState<unknown>();
  const change = async () => {
    setError(undefined);
    try {
      await api.changePassword({ body: { current_password: current, new_password: next } });
      setCurrent('');
      setNext('');
      say(text('account.passwordChanged'));
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <Card title={text('account.password')}>
      <form
        className={`${layout.stack} ${layout.narrow}`}
        onSubmit={(event) => {
          event.preventDefault();
          void change();
        }}
      >
        <TextField
          label={text('account.current')}
          type="password"
          value={current}
          onChange={setCurrent}
          autoComplete="current-password"
        />
        <TextField
          label={text('account.new')}
          hint={text('account.newHint')}
          type="password"
          value={next}
          onChange={setNext}
          autoComplete="new-password"
        />
        {error !== undefined && <Failure error={error} />}
        <div>
          <Button type="submit" isDisabled={current === '' || next === ''}>
            {text('account.change')}
          </Button>
        </div>
      </form>
    </Card>
  );
}

function Look() {
  const { text, plain, language } = useSpeech();
  const chooseLanguage = useContext(LanguageContext);
  const [theme, setTheme] = useState(chosenTheme);
  return (
    <Card title={text('account.look')}>
      <Choices
        label={text('account.theme')}
        value={theme}
        onChange={(next) => {
          setTheme(next);
          chooseTheme(next);
        }}
        items={themes.map((id) => ({ id, text: plain(`theme.${id}`) }))}
      />
      <Choices
        label={text('language')}
        value={language}
        onChange={chooseLanguage}
        items={Object.entries(languages).flatMap(([id, name]) => (isLanguage(id) ? [{ id, text: name }] : []))}
      />
    </Card>
  );
}

export function AccountPage() {
  const { text, plain } = useSpeech();
  const me = useMe();
  const queries = useQueryClient();
  const [error, setError] = useState<unknown>();
  const signOut = async () => {
    try {
      await api.closeSession({});
      queries.clear();
      window.location.reload();
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <Page
      title={me.name ?? me.username}
      lead={`${me.username} · ${plain(`role.${me.role}`)}`}
      actions={
        <>
          <Link to="/people/$user" params={{ user: String(me.id) }} className={buttonClass('quiet')}>
            {text('account.mine')}
          </Link>
          <Button onPress={signOut}>{text('account.signOut')}</Button>
        </>
      }
    >
      {error !== undefined && <Failure error={error} />}
      <Look />
      <Password />
    </Page>
  );
}
