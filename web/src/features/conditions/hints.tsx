import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { api } from '../../api/api.ts';
import type { Attribute } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import type { Choice } from '../../ui/select.tsx';

/** The attributes of users: names, types and examples. With an older service, which lacks the call, there are no suggestions. */
export function useAttributes(): readonly Attribute[] {
  const { data } = useQuery({
    queryKey: ['attributes'],
    queryFn: ({ signal }) => api.attributes({ signal }),
    staleTime: 60_000,
    retry: false,
  });
  return data?.attributes ?? [];
}

const mostSuggestions = 40;

function matches(name: string, typed: string): boolean {
  return name.toLowerCase().includes(typed.trim().toLowerCase());
}

export function usePathChoices(typed: string): readonly Choice[] {
  const { text } = useSpeech();
  const attributes = useAttributes();
  const isPicked = attributes.some(({ name }) => name === typed);
  return attributes
    .filter(({ name }) => isPicked || matches(name, typed))
    .slice(0, mostSuggestions)
    .map(({ name, users }) => ({ id: name, text: name, hint: text('editor.attributeUsers', { count: users }) }));
}

export function useValueChoices(path: string, typed: string): readonly Choice[] {
  const attribute = useAttributes().find(({ name }) => name === path);
  return (attribute?.examples ?? [])
    .filter((example) => typeof example === 'string' || typeof example === 'number')
    .map(String)
    .filter((example) => typed === '' || matches(example, typed))
    .map((example) => ({ id: example, text: example }));
}

export function useSegmentChoices(typed: string): readonly Choice[] {
  const { data } = useQuery({
    queryKey: ['segments', 'suggested', typed],
    queryFn: ({ signal }) => api.listSegments({ query: { query: typed, limit: mostSuggestions }, signal }),
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });
  return (data?.segments ?? []).map(({ slug }) => ({ id: slug, text: slug }));
}
