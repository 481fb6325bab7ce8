import { useState } from 'react';
import { useSpeech } from '../../i18n/language.ts';
import { TextField } from '../../ui/field.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Card, layout } from '../../ui/layout.tsx';
import styles from '../conditions/editor.module.css';

export interface Details {
  readonly slug: string;
  readonly description: string;
  readonly tags: readonly string[];
}

export function TagsField(props: {
  readonly tags: readonly string[];
  readonly onChange: (tags: readonly string[]) => void;
}) {
  const { text } = useSpeech();
  const [typed, setTyped] = useState('');
  const add = () => {
    const found = typed
      .split(',')
      .map((tag) => tag.trim())
      .filter((tag) => tag !== '' && !props.tags.includes(tag));
    if (found.length > 0) props.onChange([...props.tags, ...new Set(found)]);
    setTyped('');
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only handles events of the field inside
    <div
      className={styles.group}
      role="presentation"
      onBlur={add}
      onKeyDown={(event) => {
        if (event.key !== 'Enter' || typed === '') return;
        event.preventDefault();
        add();
      }}
    >
      <TextField
        label={text('details.tags')}
        hint={text('details.tagsHint')}
        value={typed}
        onChange={setTyped}
        maxLength={64}
      />
      {props.tags.length > 0 && (
        <ul className={styles.chips}>
          {props.tags.map((tag) => (
            <li key={tag} className={styles.chip}>
              {tag}
              <button
                type="button"
                className={styles.remove}
                aria-label={text('editor.removeValue', { value: tag })}
                onClick={() => props.onChange(props.tags.filter((other) => other !== tag))}
              >
                <Icon name="close" size={13} />
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

export const slugForm = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/;

/** Name, description and tags. */
export function DetailsForm(props: {
  readonly details: Details;
  readonly onChange: (details: Details) => void;
  readonly slugError?: string | undefined;
  readonly isNew?: boolean;
}) {
  const { text } = useSpeech();
  const { details, onChange } = props;
  const isWrong = details.slug !== '' && !slugForm.test(details.slug);
  return (
    <Card title={text('details.title')}>
      <div className={layout.halves}>
        <TextField
          label={text('details.slug')}
          hint={text(props.isNew ? 'details.slugHint' : 'details.renameHint')}
          value={details.slug}
          onChange={(slug) => onChange({ ...details, slug })}
          error={isWrong ? text('details.slugWrong') : props.slugError}
          autoFocus={props.isNew}
          isMono
          isRequired
        />
        <TagsField tags={details.tags} onChange={(tags) => onChange({ ...details, tags })} />
      </div>
      <TextField
        label={text('details.description')}
        value={details.description}
        onChange={(description) => onChange({ ...details, description })}
        rows={2}
        maxLength={2000}
      />
    </Card>
  );
}
