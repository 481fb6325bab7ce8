import type { Source } from '../../api/types.ts';
import { type Key, useSpeech } from '../../i18n/language.ts';
import { Badge, type Tone } from '../../ui/layout.tsx';

const known: Readonly<Record<string, readonly [Key, Tone]>> = {
  include: ['source.include', 'accent'],
  exclude: ['source.exclude', 'bad'],
  percentage: ['source.percentage', 'good'],
  condition: ['source.condition', 'good'],
  'percentage+condition': ['source.both', 'good'],
  layer: ['source.layer', 'good'],
  'layer+condition': ['source.layerBoth', 'good'],
  ramp: ['source.percentage', 'good'],
  none: ['source.none', 'plain'],
};

/** Why a person is in or out. An unknown reason is shown as it is. */
export function SourceBadge({ source }: { readonly source: Source }) {
  const { plain } = useSpeech();
  const [key, tone] = known[source] ?? [];
  return <Badge tone={tone}>{key ? plain(key) : source}</Badge>;
}
