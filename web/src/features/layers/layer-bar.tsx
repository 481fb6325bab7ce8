import type { LayerRange } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import styles from './layer-bar.module.css';

interface Drawn extends LayerRange {
  readonly isNew?: boolean;
}

const narrow = 8;

/** The ranges of a layer from 0 to 100; red if two would overlap. A table beside it has the same data. */
export function LayerBar({ ranges }: { readonly ranges: readonly Drawn[] }) {
  const { percent, text } = useSpeech();
  const sorted = ranges.toSorted((one, other) => one.from - other.from);
  const isOver = (range: Drawn) =>
    range.isNew && ranges.some((other) => other !== range && other.from < range.to && range.from < other.to);
  const words = sorted.map(({ slug, from, to }) => `${slug}: ${percent(from)} – ${percent(to)}`).join('; ');
  return (
    <div>
      <div className={styles.bar} role="img" aria-label={words === '' ? text('layers.free') : words}>
        {sorted.map((range) => (
          <div
            key={range.slug}
            className={styles.range}
            data-new={range.isNew || undefined}
            data-over={isOver(range) || undefined}
            style={{ insetInlineStart: `${range.from}%`, width: `${range.to - range.from}%` }}
            title={`${range.slug}: ${percent(range.from)} – ${percent(range.to)}`}
          >
            {range.to - range.from >= narrow ? range.slug : ''}
          </div>
        ))}
      </div>
      <div className={styles.scale} aria-hidden="true">
        <span>0</span>
        <span>50</span>
        <span>100</span>
      </div>
    </div>
  );
}
