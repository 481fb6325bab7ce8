import { useState } from 'react';
import { useSpeech } from '../../i18n/language.ts';
import { TextField } from '../../ui/field.tsx';
import { type Group, isObject, readTree, writeTree } from './tree.ts';

function parsed(text: string): ReturnType<typeof readTree> | undefined {
  if (text.trim() === '') return readTree(null);
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? readTree(value) : undefined;
  } catch {
    return undefined;
  }
}

const written = (tree: Group): string => JSON.stringify(writeTree(tree) ?? {}, null, 2);

/** The same condition as JSON. Typed text becomes rows as soon as it is valid. */
export function JsonView({ tree, onChange }: { readonly tree: Group; readonly onChange: (tree: Group) => void }) {
  const { text } = useSpeech();
  const [typed, setTyped] = useState<{ readonly text: string; readonly tree: Group }>();
  // Once the rows are edited, text typed here before is outdated.
  const shown = typed && (typed.tree === tree || parsed(typed.text) === undefined) ? typed.text : written(tree);
  return (
    <TextField
      label={text('editor.json')}
      hint={text('editor.jsonHint')}
      value={shown}
      rows={Math.min(24, Math.max(5, shown.split('\n').length))}
      isMono
      error={parsed(shown) === undefined ? text('editor.jsonWrong') : undefined}
      onChange={(next) => {
        const read = parsed(next);
        setTyped({ text: next, tree: read ?? tree });
        if (read) onChange(read);
      }}
    />
  );
}
