import { useQueryClient } from '@tanstack/react-query';
import { api } from '../../api/api.ts';
import type { Source } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { sentenceOf } from '../../ui/failure.tsx';
import { useSay } from '../../ui/toast.tsx';

/** One user as a member of one segment. */
export interface MemberOf {
  readonly user: string;
  readonly name: string;
  readonly slug: string;
  readonly source: Source;
  readonly expires_at: string | null;
}

/** The actions on one person in one segment. Those that can be undone offer it. */
export function useMemberActions() {
  const speech = useSpeech();
  const { text } = speech;
  const queries = useQueryClient();
  const say = useSay();

  const refresh = () =>
    queries.invalidateQueries({
      predicate: ({ queryKey }) =>
        ['members', 'count', 'user', 'memberships', 'why', 'history', 'changes', 'sizes'].includes(String(queryKey[0])),
    });
  const attempt = async (run: () => Promise<unknown>) => {
    try {
      await run();
      await refresh();
      return true;
    } catch (error) {
      say(sentenceOf(error, speech));
      return false;
    }
  };
  /** Restores the previous state: the override with its expiry, or none if the rule had let them in. */
  const putBack = ({ user, slug, source, expires_at }: MemberOf) => {
    const mode = (['include', 'exclude'] as const).find((one) => one === source) ?? 'auto';
    return api.setOverride({
      params: { user, slug },
      body: { mode, ...(mode !== 'auto' && expires_at && { expires_at }) },
    });
  };
  return {
    refresh,
    async remove(member: MemberOf) {
      const { user, slug, name } = member;
      if (await attempt(() => api.removeFromSegment({ params: { user, slug } }))) {
        say(text('members.removed', { name }), {
          text: text('undo'),
          run: () =>
            void attempt(() => putBack(member)).then((isDone) => isDone && say(text('members.back', { name }))),
        });
      }
    },
    async set(member: MemberOf, mode: 'include' | 'exclude' | 'auto', expires_at?: string) {
      const { user, slug, name } = member;
      const body = { mode, ...(expires_at !== undefined && { expires_at }) };
      if (await attempt(() => api.setOverride({ params: { user, slug }, body }))) {
        say(text(`members.set.${mode}`, { name }), {
          text: text('undo'),
          run: () => void attempt(() => putBack(member)),
        });
      }
    },
  };
}
