import { useState } from 'react';
import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { Checkbox, TextField } from '../../ui/field.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Combo, Select } from '../../ui/select.tsx';
import styles from './editor.module.css';
import { useAttributes, useValueChoices } from './hints.tsx';
import { type Operand, typeNames, typeOfValue, usualType, type ValueType, valueOfText } from './operators.ts';
import type { Json } from './tree.ts';

interface ValueProps {
  readonly path: string;
  readonly value: Json;
  readonly onChange: (value: Json) => void;
}

function useTypeChoices() {
  const { text } = useSpeech();
  return [
    { id: 'string', text: text('type.text') },
    { id: 'number', text: text('type.number') },
    { id: 'boolean', text: text('type.boolean') },
    { id: 'null', text: text('type.null') },
  ] as const;
}

/** A single value with its type beside it: "30" and 30 are different values. */
function OneValue({ path, value, onChange }: ValueProps) {
  const { text } = useSpeech();
  const shown = value === null ? '' : String(value);
  const suggested = usualType(useAttributes().find(({ name }) => name === path)?.types);
  // An empty value follows the type of the attribute until a type is chosen.
  const [chosen, setChosen] = useState<ValueType | undefined>(value === '' ? undefined : typeOfValue(value));
  const type = chosen ?? suggested;
  const choices = useValueChoices(path, shown);
  const retype = (next: ValueType) => {
    setChosen(next);
    onChange(valueOfText(next === 'boolean' ? 'true' : shown, next));
  };
  return (
    <>
      {type === 'boolean' ? (
        <Select
          label={text('editor.value')}
          isLabelHidden
          value={value === false ? 'false' : 'true'}
          onChange={(id) => onChange(id === 'true')}
          items={[
            { id: 'true', text: text('value.true') },
            { id: 'false', text: text('value.false') },
          ]}
        />
      ) : type === 'null' ? (
        <TextField
          label={text('editor.value')}
          isLabelHidden
          value={text('value.null')}
          onChange={() => {}}
          isDisabled
        />
      ) : (
        <Combo
          label={text('editor.value')}
          isLabelHidden
          value={shown}
          placeholder={text('editor.value')}
          items={choices}
          onChange={(typed) => {
            if (typed !== shown) onChange(valueOfText(typed, type));
          }}
          error={type === 'number' && value !== '' && typeof value !== 'number' ? text('editor.noNumber') : undefined}
        />
      )}
      <span className={styles.type}>
        <Select label={text('editor.type')} isLabelHidden value={type} onChange={retype} items={useTypeChoices()} />
      </span>
    </>
  );
}

function Chips({
  values,
  onChange,
}: {
  readonly values: readonly Json[];
  readonly onChange: (values: readonly Json[]) => void;
}) {
  const { text } = useSpeech();
  return (
    <ul className={styles.chips}>
      {values.map((one) => (
        <li key={JSON.stringify(one)} className={styles.chip}>
          {one === null ? text('value.null') : String(one)}
          <button
            type="button"
            className={styles.remove}
            aria-label={text('editor.removeValue', { value: String(one) })}
            onClick={() => onChange(values.filter((other) => other !== one))}
          >
            <Icon name="close" size={13} />
          </button>
        </li>
      ))}
    </ul>
  );
}

function ListValue({ path, value, onChange }: ValueProps) {
  const { text } = useSpeech();
  const [typed, setTyped] = useState('');
  const values: readonly Json[] = Array.isArray(value) ? value : [];
  const usual = usualType(useAttributes().find(({ name }) => name === path)?.types);
  const last = values.at(-1);
  const [chosen, setChosen] = useState<ValueType | undefined>(last === undefined ? undefined : typeOfValue(last));
  const type = chosen ?? usual;
  const choices = useValueChoices(path, typed).filter(({ id }) => !values.some((one) => String(one) === id));
  const add = (words: string) => {
    const found = words
      .split(/[,;\n\t]/)
      .map((word) => word.trim())
      .filter(Boolean)
      .map((word) => valueOfText(word, type));
    if (found.length > 0) onChange([...values, ...found.filter((one) => !values.includes(one))]);
    setTyped('');
  };
  return (
    <>
      <div className={styles.group}>
        {values.length > 0 && <Chips values={values} onChange={onChange} />}
        {/* biome-ignore lint/a11y/noStaticElementInteractions: it only handles events of the field inside */}
        <div
          role="presentation"
          onBlur={() => add(typed)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || typed === '') return;
            event.preventDefault();
            add(typed);
          }}
        >
          <Combo
            label={text('editor.addValue')}
            isLabelHidden
            value={typed}
            placeholder={text('editor.addValue')}
            items={choices}
            onChange={(next) => (/[,;\n]/.test(next) ? add(next) : setTyped(next))}
            onPick={add}
          />
        </div>
      </div>
      <span className={styles.type}>
        <Select
          label={text('editor.type')}
          isLabelHidden
          value={type}
          onChange={setChosen}
          items={useTypeChoices().slice(0, 2)}
        />
      </span>
    </>
  );
}

function NumberValue({
  value,
  label,
  onChange,
}: {
  readonly value: Json;
  readonly label: string;
  readonly onChange: (value: number) => void;
}) {
  const [typed, setTyped] = useState(String(value ?? ''));
  return (
    <TextField
      label={label}
      isLabelHidden
      inputMode="numeric"
      value={typed}
      onChange={(next) => {
        setTyped(next);
        if (/^\d+$/.test(next)) onChange(Number(next));
      }}
    />
  );
}

/** The fields of an operator's operand. */
export function ValueFields(
  props: ValueProps & {
    readonly operand: Operand;
    readonly isPattern: boolean;
    readonly isTime: boolean;
    readonly anyCase: boolean;
    readonly onAnyCase: (anyCase: boolean) => void;
  },
) {
  const { text } = useSpeech();
  const { operand, value, onChange } = props;
  switch (operand) {
    case 'none':
      return null;
    case 'value':
      return <OneValue {...props} />;
    case 'list':
      return <ListValue {...props} />;
    case 'number':
      return <NumberValue label={text('editor.value')} value={value} onChange={onChange} />;
    case 'type':
      return (
        <Select
          label={text('editor.type')}
          isLabelHidden
          value={typeNames.find((name) => name === (Array.isArray(value) ? value[0] : value)) ?? 'string'}
          onChange={onChange}
          items={typeNames.map((id) => ({ id, text: id }))}
        />
      );
    case 'mod': {
      const [divisor = 2, remainder = 0] = Array.isArray(value) ? value : [];
      return (
        <>
          <NumberValue
            label={text('editor.divisor')}
            value={divisor}
            onChange={(next) => onChange([next, remainder])}
          />
          <NumberValue
            label={text('editor.remainder')}
            value={remainder}
            onChange={(next) => onChange([divisor, next])}
          />
        </>
      );
    }
    case 'text':
      return (
        <>
          <TextField
            label={text('editor.value')}
            isLabelHidden
            value={typeof value === 'string' ? value : ''}
            onChange={onChange}
            placeholder={props.isTime ? '2026-12-01, now-7d' : text('editor.value')}
          />
          {props.isPattern && (
            <Checkbox isSelected={props.anyCase} onChange={props.onAnyCase}>
              {text('editor.anyCase')}
            </Checkbox>
          )}
        </>
      );
  }
}

export function RemoveButton({ label, onPress }: { readonly label: string; readonly onPress: () => void }) {
  return (
    <Button look="quiet" isIcon aria-label={label} onPress={onPress}>
      <Icon name="close" />
    </Button>
  );
}
