import './theme/base.css';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode, useMemo, useState } from 'react';
import { I18nProvider } from 'react-aria-components';
import { createRoot } from 'react-dom/client';
import { Queries } from './api/queries.ts';
import {
  type Language,
  LanguageContext,
  loadSpeech,
  preferredLanguage,
  rememberLanguage,
  type Speech,
  SpeechContext,
} from './i18n/language.ts';
import { loadPages, router } from './router.tsx';
import { Session } from './session/session.tsx';
import { applyTheme, chosenTheme } from './theme/theme.ts';
import { Toasts } from './ui/toast.tsx';

const freshMs = 5_000;

const queries = new Queries({
  defaultOptions: { queries: { staleTime: freshMs, retry: false, refetchOnWindowFocus: true } },
});

function App({ first }: { readonly first: Speech }) {
  const [speech, setSpeech] = useState(first);
  const choose = useMemo(
    () => async (language: Language) => {
      const next = await loadSpeech(language);
      rememberLanguage(language);
      document.documentElement.lang = language;
      setSpeech(next);
    },
    [],
  );
  return (
    <SpeechContext value={speech}>
      <LanguageContext value={choose}>
        <I18nProvider locale={speech.language}>
          <QueryClientProvider client={queries}>
            <Toasts>
              <Session>
                <RouterProvider router={router} />
              </Session>
            </Toasts>
          </QueryClientProvider>
        </I18nProvider>
      </LanguageContext>
    </SpeechContext>
  );
}

applyTheme(chosenTheme());
const speech = await loadSpeech(preferredLanguage());
document.documentElement.lang = speech.language;
const place = document.getElementById('root');
if (place) {
  createRoot(place).render(
    <StrictMode>
      <App first={speech} />
    </StrictMode>,
  );
}

// Once the first page is shown, the others are fetched too: they then still work if the service is unreachable or was replaced.
const whenIdle = window.requestIdleCallback ?? ((run: () => void) => setTimeout(run, 1000));
whenIdle(loadPages);
