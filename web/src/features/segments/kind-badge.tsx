import type { Listed } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { Badge, type Tone } from '../../ui/layout.tsx';
import { type Kind, kindOf } from '../conditions/words.ts';

const tones: Readonly<Record<Kind, Tone>> = {
  list: 'plain',
  percentage: 'accent',
  ramp: 'accent',
  layer: 'warn',
  condition: 'good',
  both: 'good',
};

export function KindBadge({ segment }: { readonly segment: Listed }) {
  const { plain } = useSpeech();
  const kind = kindOf(segment);
  return <Badge tone={tones[kind]}>{plain(`kind.${kind}`)}</Badge>;
}
