import type { VersionState } from '../../api/types.ts';
import { type Key, type Speech, useSpeech } from '../../i18n/language.ts';
import { isSame } from '../conditions/same.ts';
import { isObject, readTree } from '../conditions/tree.ts';
import { treeWords } from '../conditions/words.ts';
import styles from './diff.module.css';

const fields = [
  ['slug', 'details.slug'],
  ['description', 'details.description'],
  ['tags', 'details.tags'],
  ['percentage', 'diff.percentage'],
  ['ramp', 'diff.ramp'],
  ['layer', 'diff.layer'],
  ['bucket_by', 'rule.bucketBy'],
  ['condition', 'rule.condition'],
  ['active_from', 'rule.activeFrom'],
  ['active_until', 'rule.activeUntil'],
] as const satisfies readonly (readonly [keyof VersionState, Key])[];

function words(name: (typeof fields)[number][0], state: VersionState, speech: Speech): string {
  const { ramp, layer, percentage } = state;
  switch (name) {
    case 'percentage':
      return percentage === null || percentage === undefined ? '' : speech.percent(percentage);
    case 'ramp':
      return ramp
        ? `${speech.percent(ramp.from)} → ${speech.percent(ramp.to)}, ${speech.moment(ramp.starts_at)} – ${speech.moment(ramp.ends_at)}`
        : '';
    case 'layer':
      return layer ? `${layer.slug}, ${speech.percent(layer.from)} – ${speech.percent(layer.to)}` : '';
    case 'condition': {
      if (!isObject(state.condition)) return '';
      return treeWords(readTree(state.condition), speech) || speech.text('words.everyone');
    }
    case 'active_from':
    case 'active_until': {
      const time = state[name];
      return time ? speech.moment(time) : '';
    }
    case 'tags':
      return state.tags.join(', ');
    default:
      return state[name] ?? '';
  }
}

/** The differences between two states of a definition, field by field, in words. */
export function Diff({ before, after }: { readonly before: VersionState | null; readonly after: VersionState }) {
  const speech = useSpeech();
  const changed = fields.filter(
    ([name]) => !isSame(before?.[name], after[name]) && !(before === null && name === 'slug'),
  );
  return (
    <div className={styles.diff}>
      {changed.map(([name, key]) => {
        const [was, is] = [before ? words(name, before, speech) : '', words(name, after, speech)];
        if (was === '' && is === '') return null;
        return (
          <div key={name} className={styles.field}>
            <span className={styles.name}>{speech.plain(key)}</span>
            <div className={styles.sides}>
              {was !== '' && (
                <del className={styles.old}>
                  <span className={styles.sign}>−</span>
                  {was}
                </del>
              )}
              {is !== '' && (
                <ins className={styles.new}>
                  <span className={styles.sign}>+</span>
                  {is}
                </ins>
              )}
            </div>
          </div>
        );
      })}
    </div>
  );
}
