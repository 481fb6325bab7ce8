import type { Answer, auth, Role } from '@kohort/contract';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, lazy, type ReactNode, Suspense, useContext, useEffect, useState } from 'react';
import { api } from '../api/api.ts';
import { beginSession, listen, Refusal } from '../api/call.ts';
import { useSpeech } from '../i18n/language.ts';
import { Failure } from '../ui/failure.tsx';
import { layout } from '../ui/layout.tsx';

// For a reader who is signed in already, neither is needed for the first page.
const SignInPage = lazy(() => import('./sign-in.tsx'));
const loadOver = () => import('./session-over.tsx');
const SessionOver = lazy(loadOver);
export const loadSessionParts = (): Promise<unknown> => loadOver();

export type Me = Answer<typeof auth.me>;

const MeContext = createContext<Me | undefined>(undefined);

export function useMe(): Me {
  const me = useContext(MeContext);
  if (!me) throw new Error('nobody is signed in');
  return me;
}

const order: readonly Role[] = ['member', 'viewer', 'editor', 'admin'];

/** Whether the signed-in account has this role or a higher one. */
export function useMay(role: Role): boolean {
  return order.indexOf(useMe().role) >= order.indexOf(role);
}

/**
 * Shows its children to signed-in readers. If the session ends meanwhile, the sign-in appears over the page, which stays as it
 * is, so that no input is lost.
 */
export function Session({ children }: { readonly children: ReactNode }) {
  const { text } = useSpeech();
  const queries = useQueryClient();
  const [isOver, setIsOver] = useState(false);
  const me = useQuery({ queryKey: ['me'], queryFn: ({ signal }) => api.me({ signal }), staleTime: 60_000 });

  useEffect(() => listen((event) => event === 'signed-out' && setIsOver(true)), []);

  const signedIn = async () => {
    beginSession();
    const before = me.data?.id;
    const now = await queries.fetchQuery({ queryKey: ['me'], queryFn: () => api.me({}), staleTime: 0 });
    // Another person has signed in, who must not see cached data of the previous one.
    if (before !== undefined && before !== now.id)
      queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'me' });
    setIsOver(false);
    await queries.invalidateQueries();
  };

  const loading = <div className={layout.loading}>{text('loading')}</div>;
  if (me.data === undefined) {
    if (me.error instanceof Refusal && me.error.status === 401) {
      return (
        <Suspense fallback={loading}>
          <SignInPage onSignedIn={signedIn} />
        </Suspense>
      );
    }
    return me.error ? <Failure error={me.error} onRetry={() => me.refetch()} /> : loading;
  }
  return (
    <MeContext value={me.data}>
      {children}
      <Suspense>{isOver && <SessionOver onSignedIn={signedIn} />}</Suspense>
    </MeContext>
  );
}
