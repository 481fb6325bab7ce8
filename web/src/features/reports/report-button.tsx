import { useState } from 'react';
import { api } from '../../api/api.ts';
import { useSpeech } from '../../i18n/language.ts';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { Failure } from '../../ui/failure.tsx';
import { Icon } from '../../ui/icons.tsx';
import { layout } from '../../ui/layout.tsx';

const everMs = Date.UTC(1970, 0, 1);

/** Creates an expiring link to a CSV of all changes of a segment's members, or of a person's memberships. */
export function ReportButton(about: { readonly segment?: string; readonly user?: string }) {
  const { text } = useSpeech();
  const mayEdit = useMay('editor');
  const [url, setUrl] = useState<string>();
  const [error, setError] = useState<unknown>();
  if (!mayEdit) return null;
  const make = async () => {
    setError(undefined);
    try {
      const body = { ...about, from: new Date(everMs).toISOString(), to: new Date(Date.now()).toISOString() };
      setUrl((await api.createReport({ body })).url);
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <div className={layout.row}>
      {url === undefined ? (
        <Button isSmall onPress={make}>
          <Icon name="download" /> {text('report.make')}
        </Button>
      ) : (
        <a href={new URL(url).pathname} download>
          {text('report.download')}
        </a>
      )}
      {error !== undefined && <Failure error={error} />}
    </div>
  );
}
